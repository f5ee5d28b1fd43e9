"""The API itself: what each call does and answers. No sockets and no clock; `now` is Unix seconds and never decreases."""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from batchedit.sandbox import links
from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.job_clock import Job, Order, State
from batchedit.sandbox.journal import Journal
from batchedit.sandbox.latency import parse_latency
from batchedit.sandbox.memory import Memory
from batchedit.sandbox.money import to_usd
from batchedit.sandbox.schema import (
    EDIT,
    EDIT_SCHEMA,
    OTHER_MODELS,
    PICTURE_FIELDS,
    decode_data_uri,
    list_body_problems,
)
from batchedit.sandbox.throttle import Bucket, parse_rate_limit
from batchedit.sandbox.wire import Reply, make_error, make_json

_MODERATED = "The request was rejected by our safety system: content_policy_violation."
_SLOW_JOB = 10.0

_CATEGORY = "image-to-image"


class Service:
    """The service for one account: its models, jobs, money, faults and ledger."""

    def __init__(self, config: SandboxConfig, now: float, journal: Journal | None = None) -> None:
        self.config, self._token = config, config.token
        self.memory = memory = Memory(journal, config.get_balance_micros())
        self.ledger, self.account, self.job_clock = memory.ledger, memory.account, memory.job_clock
        memory.start(now, config.slots, config.queue, config.seed, list(config.faults))
        self._latency = parse_latency(config.latency)
        self._bucket = Bucket(parse_rate_limit(config.rate_limit), now) if config.rate_limit else None
        self._models = {EDIT: EDIT_SCHEMA, **OTHER_MODELS, **config.models}

    def set_faults(self, faults: list[str], now: float) -> None:
        """Replace the plan; its ordinals and its clock start again. ValueError leaves the old one."""
        self.memory.replace_plan(now, self.config.seed, faults)

    def renew_token(self, token: str) -> None:
        """From now on refuse the current token and accept ``token`` for the same jobs."""
        self._token = token

    # The calls. `token` is the Authorization header as it came; `base` the server's URL as the client wrote it.

    def submit(self, model_id: str, body: bytes, token: str, base: str, now: float) -> Reply:
        """Answer a POST of ``body``. The reply's links begin with ``base``."""
        schema = self._models.get(model_id)
        if not self._is_accepted(token):
            return make_error("token")
        if wait := self._compute_wait(now):
            return make_error("too_many", headers={"retry-after": str(max(1, round(wait + 0.499)))})
        if schema is None:
            return make_error("no_model")
        inputs = _decode(body)
        if body_problems := list_body_problems(inputs, schema, self.config.image_shape):
            return make_error("invalid", body_problems)
        if not self.account.covers(self.config.get_price_micros()):
            return make_error("no_money")
        job = self._accept(model_id, inputs, now)
        return make_json(
            {"request_id": job.order.request_id, **_build_urls(job, base, "status", "result", "cancel")}, job=job
        )

    def _compute_wait(self, now: float) -> float:
        """Seconds until a POST is accepted; 0.0 for now, 1.0 if the account has too many jobs."""
        self.job_clock.advance(now)
        if self.config.at_once is not None and self.job_clock.in_flight >= self.config.at_once:
            return 1.0
        return self._bucket.take(now) if self._bucket else 0.0

    def status(self, request_id: str, token: str, base: str, now: float) -> Reply:
        return self._answer_for_job(
            request_id, token, now, lambda job: make_json(self._build_state(job, base, coarse=True))
        )

    def result(self, request_id: str, token: str, base: str, now: float, *, with_cost: bool) -> Reply:
        return self._answer_for_job(
            request_id, token, now, lambda job: self._build_result(job, base, now, with_cost=with_cost)
        )

    def cancel(self, request_id: str, token: str, now: float) -> Reply:
        return self._answer_for_job(request_id, token, now, lambda job: self._cancel(job, now))

    def model(self, model_id: str, token: str) -> Reply:
        """The catalogue's entry: schema and price."""
        schema = self._models.get(model_id)
        if not self._is_accepted(token):
            return make_error("token")
        if schema is None or not self.config.catalogue:
            return make_error("no_model" if schema is None else "no_request")
        return make_json(self._build_entry(model_id, with_schema=True))

    def models(self, query: Mapping[str, str], token: str) -> Reply:
        """A page of the catalogue. ``query``: ``limit`` (1 to 500), ``offset``, ``search``, ``category``, ``kind``,
        ``include_schema``.
        """
        if not self._is_accepted(token):
            return make_error("token")
        if not self.config.catalogue:
            return make_error("no_request")
        try:
            limit, offset = int(query.get("limit", "50")), int(query.get("offset", "0"))
        except ValueError:
            return make_error("invalid")
        if not 1 <= limit <= 500 or offset < 0:
            return make_error("invalid")
        search, filters = query.get("search", "").casefold(), (query.get("category"), query.get("kind"))
        entries = [
            self._build_entry(id_, with_schema=query.get("include_schema") == "true") for id_ in sorted(self._models)
        ]
        matching = [
            entry
            for entry in entries
            if search in entry["model_id"].casefold()
            and filters[0] in {None, *entry["categories"]}
            and filters[1] in {None, entry["kind"]}
        ]
        return make_json(
            {"models": matching[offset : offset + limit], "total": len(matching), "limit": limit, "offset": offset}
        )

    def categories(self, token: str) -> Reply:
        """The catalogue's categories."""
        return make_json({"categories": [_CATEGORY]}) if self._is_accepted(token) else make_error("token")

    def _build_entry(self, model_id: str, *, with_schema: bool) -> dict[str, Any]:
        schema = self._models[model_id]
        return {
            "model_id": model_id,
            "display_name": model_id.rsplit("/", 1)[-1],
            "description": "",
            "categories": [_CATEGORY],
            "kind": "image",
            "base_price_usd": to_usd(self.config.get_price_micros()),
            "price_unit": "output",
            "pricing_note": "The sandbox's price: no money is ever spent.",
            "inputs": list(schema.get("properties", {})),
            "required_inputs": list(schema.get("required", ())),
            **({"input_schema": schema} if with_schema else {}),
        }

    def balance(self, token: str) -> Reply:
        if not self._is_accepted(token):
            return make_error("token")
        available = self.account.compute_available()
        micros = 1_000_000_000_000 if available is None else available
        return make_json({"balance_usd": to_usd(micros), "balance_microdollars": micros, "currency": "USD"})

    # Helpers of the calls.

    def _is_accepted(self, token: str) -> bool:
        match = re.fullmatch(r"Bearer +(\S+)", token, re.IGNORECASE)
        return bool(match) and self._token in {None, match[1] if match else None}

    def _answer_for_job(self, request_id: str, token: str, now: float, answer: Callable[[Job], Reply]) -> Reply:
        if not self._is_accepted(token):
            return make_error("token")
        # There is only one account; ids of this form stand for requests of another one.
        if request_id.startswith("foreign-"):
            return make_error("not_yours")
        job = self.ledger.jobs.get(request_id)
        if job is None:
            return make_error("no_request")
        self.job_clock.advance(now)
        return answer(job)

    def _accept(self, model_id: str, inputs: dict[str, Any], now: float) -> Job:
        ordinal = len(self.ledger.jobs) + 1
        fault = self.memory.injector.pick("job", now)
        seconds = self._latency.draw_seconds(self.config.seed, ordinal)
        fate = fault.fault if fault else None
        if fault and fate == "slow":
            fate, seconds = None, seconds * (_SLOW_JOB if fault.seconds is None else fault.seconds)
        return self.memory.accept(self._build_order(model_id, inputs, ordinal, seconds, fate), now)

    def _build_order(
        self, model_id: str, inputs: dict[str, Any], ordinal: int, seconds: float, fate: str | None
    ) -> Order:
        # Random on purpose: a later server with the same seed must not repeat an earlier server's ids.
        request_id, other_inputs = str(uuid.uuid4()), dict(inputs)
        picture_values = [other_inputs.pop(name) for name in PICTURE_FIELDS if name in other_inputs]
        pictures, prompt = picture_values[0] if picture_values else (), str(other_inputs.pop("prompt", ""))
        size = str(other_inputs.pop("size", "1:1"))
        images = tuple(self._store_upload(str(uri)) for uri in ([pictures] if isinstance(pictures, str) else pictures))
        picture_count = int(other_inputs.get("number_of_images") or 1)
        canonical = orjson.dumps([model_id, prompt, size, images, other_inputs], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(canonical).hexdigest()
        return Order(
            request_id,
            ordinal,
            model_id,
            prompt,
            size,
            images,
            digest,
            seconds,
            fate,
            other_inputs,
            self.config.get_price_micros() * picture_count,
            self.config.get_actual_micros() * picture_count,
            max(picture_count, self.config.images_per_job),
        )

    def _store_upload(self, uri: str) -> str:
        """A URL unchanged; a data URI as the digest of its bytes, which are kept while there is room."""
        return self.memory.uploads.keep(decode_data_uri(uri)) if uri.startswith("data:") else uri

    def _choose_status_word(self, job: Job, *, coarse: bool) -> str:
        config = self.config
        if coarse and config.coarse_status and job.state in {State.DONE, State.FAILED}:
            return "completed"
        status_words = {State.DONE: config.done_word, State.CANCELLED: config.cancelled_word, State.FAILED: "failed"}
        return status_words.get(job.state) or ("in_queue" if job.state is State.QUEUED else "in_progress")

    def _build_state(self, job: Job, base: str, *, coarse: bool) -> dict[str, Any]:
        job.polls += 1
        state: dict[str, Any] = {
            "request_id": job.order.request_id,
            "status": self._choose_status_word(job, coarse=coarse),
        }
        if job.state is State.QUEUED:
            state["queue_position"] = self.job_clock.find_position(job)
        return {**state, **_build_urls(job, base, "status", "result")}

    def _build_result(self, job: Job, base: str, now: float, *, with_cost: bool) -> Reply:
        running = job.state in {State.QUEUED, State.RUNNING}
        state = self._build_state(job, base, coarse=False)
        if running and self.config.result_while_running == "400005":
            return make_error("not_ready")
        if running and self.config.result_while_running != "state":
            status = int(self.config.result_while_running.replace("xx", "09"))
            return make_json({"error_message": "The request is not finished.", "status": state["status"]}, status)
        if running:
            return make_json(state)
        cancel = _build_urls(job, base, "cancel")
        return make_json(
            {**state, **cancel, **self._build_ending(job, base, now), **self._build_cost(job, now, include=with_cost)}
        )

    def _build_ending(self, job: Job, base: str, now: float) -> dict[str, Any]:
        ended = job.accepted_at if job.ended_at is None else job.ended_at
        ending: dict[str, Any] = {
            "model_id": job.order.model_id,
            "created_at": _to_iso(job.accepted_at),
            "finished_at": _to_iso(ended),
            "output": {},
        }
        if job.state is State.FAILED:
            ending["error"] = _MODERATED if job.order.fate == "moderated" else "The model failed to produce an output."
        elif job.state is State.DONE:
            urls = [base + links.sign_path(self.config, job, number, now) for number in range(job.order.outputs)]
            single = self.config.outputs == "image" and len(urls) == 1
            ending["output"] = {"image": urls[0]} if single else {"images": urls}
        return ending

    def _build_cost(self, job: Job, now: float, *, include: bool) -> dict[str, Any]:
        if not (include and self.config.show_cost and now >= (job.ended_at or 0.0) + self.config.cost_after):
            return {}
        return {"cost": to_usd(job.order.actual) if job.state is State.DONE else 0.0}

    def _cancel(self, job: Job, now: float) -> Reply:
        done = self.memory.cancel(job, now) or job.state is State.CANCELLED
        outcome = "cancelled" if done else "not_cancellable"
        return make_json(
            {
                "request_id": job.order.request_id,
                "status": self._choose_status_word(job, coarse=False),
                "outcome": outcome,
            }
        )


def _decode(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _build_urls(job: Job, base: str, *names: str) -> dict[str, str]:
    return {f"{name}_url": f"{base}/v1/requests/{job.order.request_id}/{name}" for name in names}


def _to_iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
