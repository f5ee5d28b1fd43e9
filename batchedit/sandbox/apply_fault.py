"""What a fault does to a call: either it answers in the call's place, or it spoils the answer that was made.

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


def apply_fault(rule: Rule | None, handle: Callable[[], Reply], wall: float) -> Reply:
    """The call's answer under a rule. `handle` is not called where the fault strikes before. `wall` is Unix time."""
    if rule is None:
        return handle()
    if rule.fault in BEFORE:
        return _instead(rule, wall)
    return _spoilt(rule, handle())


def _instead(rule: Rule, wall: float) -> Reply:
    fault, seconds = rule.fault, _RETRY_AFTER if rule.seconds is None else rule.seconds
    if fault.endswith("_before"):
        return Reply(delivery=_LOST[fault.removesuffix("_before")], seconds=_hangs(rule), note=fault)
    if fault in _PAGES:
        return wire.html(*_PAGES[fault])
    if fault in _ERRORS:
        detail = [{"loc": ["body", "prompt"], "msg": "refused by the fault plan"}] if fault == "422" else None
        return replace(wire.error(_ERRORS[fault], detail), note="200_error" if fault == "200_error" else "")
    # What is left tells when to come back: 429, 429_date and 503. A date has whole seconds, so it is rounded up.
    when = formatdate(math.ceil(wall + seconds), usegmt=True) if fault == "429_date" else str(math.ceil(seconds))
    return wire.error("unavailable" if fault == "503" else "too_many", headers={"retry-after": when})


def _hangs(rule: Rule) -> float:
    return math.inf if rule.seconds is None else rule.seconds


def _spoilt(rule: Rule, reply: Reply) -> Reply:
    """The answer was made; what the client gets of it. A reply that no longer names its job lets go of it."""
    fault, lost = rule.fault, replace(reply, job=None, note=rule.fault)
    name = fault.removesuffix("_after")
    if name in _PAGES:
        return replace(wire.html(*_PAGES[name]), note=fault)
    if name in _ERRORS:  # the service makes the job and says that it failed
        return replace(wire.error(_ERRORS[name]), note=fault)
    if name in _LOST:
        return replace(lost, delivery=_LOST[name], seconds=_hangs(rule))
    if fault == "truncated":
        return replace(lost, delivery=Delivery.CUT)
    if fault == "slow":
        kind = Delivery.TRICKLE if rule.place == "file" else Delivery.LATE
        return replace(reply, delivery=kind, seconds=_SLOW if rule.seconds is None else rule.seconds)
    return _reworded(fault, reply, lost)


def _reworded(fault: str, reply: Reply, lost: Reply) -> Reply:
    """Other words in a whole answer. The last two need an answer that went well to begin with."""
    if fault == "garbage":
        return replace(lost, status=200, body=b'{"request_id": "\xff\xfe', headers={})
    if fault == "html":
        return replace(lost, body=b"<!doctype html><title>Error</title><h1>Something went wrong</h1>", media=HTML)
    if fault == "no_id" and reply.status == 200:
        return replace(lost, body=orjson.dumps({"status": "accepted"}))
    return _unknown_status(reply) if fault == "unknown_status" and reply.status == 200 else reply


def _unknown_status(reply: Reply) -> Reply:
    """A status word nobody has listed, and nothing that would belong to a finished job."""
    payload = orjson.loads(reply.body)
    kept = {name: payload[name] for name in ("request_id", "status_url", "result_url") if name in payload}
    return replace(reply, body=orjson.dumps({**kept, "status": "warming_up"}), note="unknown_status")
