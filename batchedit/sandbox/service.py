"""The API itself: what each call does and answers. No sockets and no clock; `now` is Unix seconds, never going back."""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from batchedit.sandbox import links
from batchedit.sandbox.job_clock import Job, Order, State
from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.journal import Journal
from batchedit.sandbox.latency import parse_latency
from batchedit.sandbox.memory import Memory
from batchedit.sandbox.money import usd
from batchedit.sandbox.schema import EDIT, EDIT_SCHEMA, OTHER_MODELS, PICTURE_FIELDS, decode_data_uri, problems
from batchedit.sandbox.throttle import Bucket, parse_rate_limit
from batchedit.sandbox.wire import Reply, error, json_reply

_MODERATED = "The request was rejected by our safety system: content_policy_violation."
_SLOW_JOB = 10.0

_CATEGORY = "image-to-image"


class Service:
    """One account's worth of the service: its models, jobs, money, faults and ledger."""

    def __init__(self, config: SandboxConfig, now: float, journal: Journal | None = None) -> None:
        self.config, self._token = config, config.token
        self.memory = memory = Memory(journal, config.balance_micros())
        self.ledger, self.till, self.clockwork = memory.ledger, memory.till, memory.clockwork
        memory.start(now, config.slots, config.queue, config.seed, list(config.faults))
        self._latency = parse_latency(config.latency)
        self._bucket = Bucket(parse_rate_limit(config.rate_limit), now) if config.rate_limit else None
        self._models = {EDIT: EDIT_SCHEMA, **OTHER_MODELS, **config.models}

    def set_faults(self, faults: list[str], now: float) -> None:
        """Replace the plan; its ordinals and its clock start anew. ValueError leaves the old one in force."""
        self.memory.plan(now, self.config.seed, faults)

    def renew_token(self, token: str) -> None:
        """The token that was in force is refused from now on; the account's jobs are those of ``token``."""
        self._token = token

    # The calls. `token` is the Authorization header as it came; `base` the server's URL as the client wrote it.

    def submit(self, model_id: str, body: bytes, token: str, base: str, now: float) -> Reply:
        """What a POST of ``body`` gets. ``base`` is the address under which the reply's links lead back here."""
        schema = self._models.get(model_id)
        if not self._known(token):
            return error("token")
        if wait := self._wait(now):
            return error("too_many", headers={"retry-after": str(max(1, round(wait + 0.499)))})
        if schema is None:
            return error("no_model")
        inputs = _decoded(body)
        if found := problems(inputs, schema, self.config.image_shape):
            return error("invalid", found)
        if not self.till.covers(self.config.price_micros()):
            return error("no_money")
        job = self._accept(model_id, inputs, now)
        return json_reply(
            {"request_id": job.order.request_id, **_urls(job, base, "status", "result", "cancel")}, job=job
        )

    def _wait(self, now: float) -> float:
        """Seconds until a POST may come again; 0.0 if this one may. An account that has too many jobs is told 1."""
        self.clockwork.advance(now)
        if self.config.at_once is not None and self.clockwork.in_flight >= self.config.at_once:
            return 1.0
        return self._bucket.take(now) if self._bucket else 0.0

    def status(self, request_id: str, token: str, base: str, now: float) -> Reply:
        return self._of_job(request_id, token, now, lambda job: json_reply(self._state(job, base, coarse=True)))

    def result(self, request_id: str, token: str, base: str, now: float, *, with_cost: bool) -> Reply:
        return self._of_job(request_id, token, now, lambda job: self._result(job, base, now, with_cost=with_cost))

    def cancel(self, request_id: str, token: str, now: float) -> Reply:
        return self._of_job(request_id, token, now, lambda job: self._cancel(job, now))

    def model(self, model_id: str, token: str) -> Reply:
        """The catalogue's entry: schema and price."""
        schema = self._models.get(model_id)
        if not self._known(token):
            return error("token")
        if schema is None or not self.config.catalogue:
            return error("no_model" if schema is None else "no_request")
        return json_reply(self._entry(model_id, with_schema=True))

    def models(self, query: Mapping[str, str], token: str) -> Reply:
        """A page of the catalogue. ``query``: ``limit`` (1 to 500), ``offset``, ``search``, ``category``, ``kind``,
        ``include_schema``.
        """
        if not self._known(token):
            return error("token")
        if not self.config.catalogue:
            return error("no_request")
        try:
            limit, offset = int(query.get("limit", "50")), int(query.get("offset", "0"))
        except ValueError:
            return error("invalid")
        if not 1 <= limit <= 500 or offset < 0:
            return error("invalid")
        words, wanted = query.get("search", "").casefold(), (query.get("category"), query.get("kind"))
        entries = [self._entry(id_, with_schema=query.get("include_schema") == "true") for id_ in sorted(self._models)]
        found = [
            entry
            for entry in entries
            if words in entry["model_id"].casefold()
            and wanted[0] in {None, *entry["categories"]}
            and wanted[1] in {None, entry["kind"]}
        ]
        return json_reply(
            {"models": found[offset : offset + limit], "total": len(found), "limit": limit, "offset": offset}
        )

    def categories(self, token: str) -> Reply:
        """The catalogue's categories."""
        return json_reply({"categories": [_CATEGORY]}) if self._known(token) else error("token")

    def _entry(self, model_id: str, *, with_schema: bool) -> dict[str, Any]:
        schema = self._models[model_id]
        return {
            "model_id": model_id,
            "display_name": model_id.rsplit("/", 1)[-1],
            "description": "",
            "categories": [_CATEGORY],
            "kind": "image",
            "base_price_usd": usd(self.config.price_micros()),
            "price_unit": "output",
            "pricing_note": "The sandbox's price: no money is ever spent.",
            "inputs": list(schema.get("properties", {})),
            "required_inputs": list(schema.get("required", ())),
            **({"input_schema": schema} if with_schema else {}),
        }

    def balance(self, token: str) -> Reply:
        if not self._known(token):
            return error("token")
        available = self.till.available()
        micros = 1_000_000_000_000 if available is None else available
        return json_reply({"balance_usd": usd(micros), "balance_microdollars": micros, "currency": "USD"})

    # Behind them.

    def _known(self, token: str) -> bool:
        found = re.fullmatch(r"Bearer +(\S+)", token, re.IGNORECASE)
        return bool(found) and self._token in {None, found[1] if found else None}

    def _of_job(self, request_id: str, token: str, now: float, answer: Callable[[Job], Reply]) -> Reply:
        if not self._known(token):
            return error("token")
        # There is one account here; ids of this form play the part of somebody else's requests.
        if request_id.startswith("foreign-"):
            return error("not_yours")
        job = self.ledger.jobs.get(request_id)
        if job is None:
            return error("no_request")
        self.clockwork.advance(now)
        return answer(job)

    def _accept(self, model_id: str, inputs: dict[str, Any], now: float) -> Job:
        ordinal = len(self.ledger.jobs) + 1
        fault = self.memory.injector.pick("job", now)
        seconds = self._latency.seconds(self.config.seed, ordinal)
        fate = fault.fault if fault else None
        if fault and fate == "slow":
            fate, seconds = None, seconds * (_SLOW_JOB if fault.seconds is None else fault.seconds)
        return self.memory.accept(self._order(model_id, inputs, ordinal, seconds, fate), now)

    def _order(self, model_id: str, inputs: dict[str, Any], ordinal: int, seconds: float, fate: str | None) -> Order:
        # Random on purpose: a later server with the same seed must not know an earlier server's ids.
        request_id, rest = str(uuid.uuid4()), dict(inputs)
        given = [rest.pop(name) for name in PICTURE_FIELDS if name in rest]
        pictures, prompt = given[0] if given else (), str(rest.pop("prompt", ""))
        size = str(rest.pop("size", "1:1"))
        images = tuple(self._kept(str(uri)) for uri in ([pictures] if isinstance(pictures, str) else pictures))
        paid = int(rest.get("number_of_images") or 1)
        canonical = orjson.dumps([model_id, prompt, size, images, rest], option=orjson.OPT_SORT_KEYS)
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
            rest,
            self.config.price_micros() * paid,
            self.config.actual_micros() * paid,
            max(paid, self.config.images_per_job),
        )

    def _kept(self, uri: str) -> str:
        """An URL as it is; a data URI as the digest of its bytes, which are kept aside while there is room."""
        return self.memory.uploads.keep(decode_data_uri(uri)) if uri.startswith("data:") else uri

    def _word(self, job: Job, *, coarse: bool) -> str:
        config = self.config
        if coarse and config.coarse_status and job.state in {State.DONE, State.FAILED}:
            return "completed"
        words = {State.DONE: config.done_word, State.CANCELLED: config.cancelled_word, State.FAILED: "failed"}
        return words.get(job.state) or ("in_queue" if job.state is State.QUEUED else "in_progress")

    def _state(self, job: Job, base: str, *, coarse: bool) -> dict[str, Any]:
        job.polls += 1
        state: dict[str, Any] = {"request_id": job.order.request_id, "status": self._word(job, coarse=coarse)}
        if job.state is State.QUEUED:
            state["queue_position"] = self.clockwork.position(job)
        return {**state, **_urls(job, base, "status", "result")}

    def _result(self, job: Job, base: str, now: float, *, with_cost: bool) -> Reply:
        running = job.state in {State.QUEUED, State.RUNNING}
        state = self._state(job, base, coarse=False)
        if running and self.config.result_while_running == "400005":
            return error("not_ready")
        if running and self.config.result_while_running != "state":
            status = int(self.config.result_while_running.replace("xx", "09"))
            return json_reply({"error_message": "The request is not finished.", "status": state["status"]}, status)
        if running:
            return json_reply(state)
        cancel = _urls(job, base, "cancel")
        return json_reply({**state, **cancel, **self._ending(job, base, now), **self._cost(job, now, shown=with_cost)})

    def _ending(self, job: Job, base: str, now: float) -> dict[str, Any]:
        ended = job.accepted_at if job.ended_at is None else job.ended_at
        ending: dict[str, Any] = {
            "model_id": job.order.model_id,
            "created_at": _iso(job.accepted_at),
            "finished_at": _iso(ended),
            "output": {},
        }
        if job.state is State.FAILED:
            ending["error"] = _MODERATED if job.order.fate == "moderated" else "The model failed to produce an output."
        elif job.state is State.DONE:
            made = [base + links.path(self.config, job, number, now) for number in range(job.order.outputs)]
            single = self.config.outputs == "image" and len(made) == 1
            ending["output"] = {"image": made[0]} if single else {"images": made}
        return ending

    def _cost(self, job: Job, now: float, *, shown: bool) -> dict[str, Any]:
        if not (shown and self.config.show_cost and now >= (job.ended_at or 0.0) + self.config.cost_after):
            return {}
        return {"cost": usd(job.order.actual) if job.state is State.DONE else 0.0}

    def _cancel(self, job: Job, now: float) -> Reply:
        done = self.memory.cancel(job, now) or job.state is State.CANCELLED
        outcome = "cancelled" if done else "not_cancellable"
        return json_reply(
            {"request_id": job.order.request_id, "status": self._word(job, coarse=False), "outcome": outcome}
        )


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _urls(job: Job, base: str, *names: str) -> dict[str, str]:
    return {f"{name}_url": f"{base}/v1/requests/{job.order.request_id}/{name}" for name in names}


def _iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
