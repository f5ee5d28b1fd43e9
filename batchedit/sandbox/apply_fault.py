"""Applies a fault to a call: it replaces the answer before the call is handled, or changes it afterwards.

Pure: values in, values out. `delivery.py` closes the sockets.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import orjson

from batchedit.sandbox import wire
from batchedit.sandbox.faults import BEFORE, Rule
from batchedit.sandbox.wire import HTML, Delivery, Reply

_LOST = {"drop": Delivery.DROP, "reset": Delivery.RESET, "hang": Delivery.HANG}
_PAGES = {"500_html": (500, "Internal Server Error"), "502": (502, "Bad Gateway"), "504": (504, "Gateway Time-out")}
_ERRORS = {
    "429_bare": "too_many",
    "500": "internal",
    "401": "token",
    "403": "not_yours",
    "404": "no_request",
    "422": "invalid",
    "no_money": "no_money",
    "no_money_400": "no_money_400",
    "200_error": "in_200",
}
_RETRY_AFTER = 1.0
_SLOW = 2.0


def apply_fault(rule: Rule | None, handle: Callable[[], Reply], unix_time: float) -> Reply:
    """The call's answer under a rule. `handle` is not called for a fault of `BEFORE`. `unix_time` is in seconds."""
    if rule is None:
        return handle()
    if rule.fault in BEFORE:
        return _replace_reply(rule, unix_time)
    return _spoil_reply(rule, handle())


def _replace_reply(rule: Rule, unix_time: float) -> Reply:
    fault, seconds = rule.fault, _RETRY_AFTER if rule.seconds is None else rule.seconds
    if fault.endswith("_before"):
        return Reply(delivery=_LOST[fault.removesuffix("_before")], seconds=_find_hang_seconds(rule), note=fault)
    if fault in _PAGES:
        return wire.make_html(*_PAGES[fault])
    if fault in _ERRORS:
        detail = [{"loc": ["body", "prompt"], "msg": "refused by the fault plan"}] if fault == "422" else None
        return replace(wire.make_error(_ERRORS[fault], detail), note="200_error" if fault == "200_error" else "")
    # The rest has a Retry-After: 429, 429_date and 503. A date has whole seconds, so it is rounded up.
    retry_after = (
        formatdate(math.ceil(unix_time + seconds), usegmt=True) if fault == "429_date" else str(math.ceil(seconds))
    )
    return wire.make_error("unavailable" if fault == "503" else "too_many", headers={"retry-after": retry_after})


def _find_hang_seconds(rule: Rule) -> float:
    return math.inf if rule.seconds is None else rule.seconds


def _spoil_reply(rule: Rule, reply: Reply) -> Reply:
    """What the client gets of an answer. A reply that no longer names its job has no `job`."""
    fault, jobless = rule.fault, replace(reply, job=None, note=rule.fault)
    name = fault.removesuffix("_after")
    if name in _PAGES:
        return replace(wire.make_html(*_PAGES[name]), note=fault)
    if name in _ERRORS:  # the service makes the job and answers with an error
        return replace(wire.make_error(_ERRORS[name]), note=fault)
    if name in _LOST:
        return replace(jobless, delivery=_LOST[name], seconds=_find_hang_seconds(rule))
    if fault == "truncated":
        return replace(jobless, delivery=Delivery.CUT)
    if fault == "slow":
        kind = Delivery.TRICKLE if rule.place == "file" else Delivery.LATE
        return replace(reply, delivery=kind, seconds=_SLOW if rule.seconds is None else rule.seconds)
    return _change_body(fault, reply, jobless)


def _change_body(fault: str, reply: Reply, jobless: Reply) -> Reply:
    """Change the content of a whole answer. The last two need a successful answer."""
    if fault == "garbage":
        return replace(jobless, status=200, body=b'{"request_id": "\xff\xfe', headers={})
    if fault == "html":
        return replace(jobless, body=b"<!doctype html><title>Error</title><h1>Something went wrong</h1>", media=HTML)
    if fault == "no_id" and reply.status == 200:
        return replace(jobless, body=orjson.dumps({"status": "accepted"}))
    return _make_status_unknown(reply) if fault == "unknown_status" and reply.status == 200 else reply


def _make_status_unknown(reply: Reply) -> Reply:
    """Set an unknown status word, and remove the fields of a finished job."""
    payload = orjson.loads(reply.body)
    fields = {name: payload[name] for name in ("request_id", "status_url", "result_url") if name in payload}
    return replace(reply, body=orjson.dumps({**fields, "status": "warming_up"}), note="unknown_status")
