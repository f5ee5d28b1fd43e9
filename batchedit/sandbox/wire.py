"""Answers in the form of the API: a `Reply` is a value; only `delivery.py` writes it to a socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import orjson

from batchedit.sandbox.job_clock import Job

JSON = "application/json"
HTML = "text/html; charset=utf-8"


class Delivery(Enum):
    """How an answer is sent, or not."""

    WHOLE = auto()
    DROP = auto()  #: the connection is closed (FIN) without a byte
    RESET = auto()  #: the connection is reset (RST) without a byte
    HANG = auto()  #: nothing is ever sent; the connection stays open for `seconds`, which may be infinite
    CUT = auto()  #: the whole Content-Length is promised, half is sent, then the connection is closed
    LATE = auto()  #: the answer begins `seconds` later
    TRICKLE = auto()  #: the body is spread over `seconds`


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE
    seconds: float = 0.0
    note: str = ""  #: the name under which the ledger counts it, if not the status
    job: Job | None = None  #: the job that this answer tells the client about


def make_json(payload: dict[str, Any], status: int = 200, job: Job | None = None, **headers: str) -> Reply:
    return Reply(status=status, body=orjson.dumps(payload), job=job, headers=headers)


# name -> HTTP status, error_code, message: the table of docs/vendor-api.md
_ERRORS = {
    "no_model": (400, 400001, "The model id is malformed or there is no such model."),
    "no_money": (402, 400002, "Insufficient balance. Please top up your account."),
    "no_money_400": (400, 400002, "Insufficient balance. Please top up your account."),
    "token": (401, 401001, "The token is missing, invalid or expired."),
    "not_ready": (400, 400005, "The result is not ready."),
    "not_yours": (403, 403001, "This request belongs to another account."),
    "no_request": (404, 404001, "No such request; it may have been deleted or have expired."),
    "invalid": (422, 422001, "The request body does not match the model's input schema."),
    "too_large": (413, 413001, "The request body is larger than 64 MiB."),
    "too_many": (429, 429001, "Too many requests."),
    "internal": (500, 500001, "Internal error. Please retry with exponential backoff."),
    "unavailable": (503, 503001, "The service is temporarily unavailable."),
    "in_200": (200, 500001, "Internal error. Please retry with exponential backoff."),
}


def make_error(
    name: str, detail: list[dict[str, Any]] | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """The API's own JSON error of that name."""
    status, code, message = _ERRORS[name]
    payload: dict[str, Any] = {"error_code": code, "error_message": message}
    if detail is not None:
        payload["detail"] = detail
    return Reply(status=status, body=orjson.dumps(payload), headers=headers or {})


def make_html(status: int, title: str) -> Reply:
    """The HTML page of a gateway, which is not in the form of the API."""
    head = f"{status} {title}"
    body = f"<html><head><title>{head}</title></head><body><center><h1>{head}</h1></center></body></html>"
    return Reply(status=status, body=body.encode(), media=HTML)
