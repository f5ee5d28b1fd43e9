"""The other half of the codec: what the service says of a job that was bought. Pure, and no reply makes it raise.

``/result`` answers an unfinished job with its state [page]; where a server answers that with a 4xx instead, the reader
says AskStatus and the client goes to ``/status``. ``/status`` is never believed about how a job ended: it may say
``completed`` where ``/result`` says ``failed`` or ``succeeded``, so an ending there is SeeResult [CONTRACT].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.lifecycle import CancelConfirmed, CancelDenied, Completed, Errored
from ..core.model import Kind, Output, Problem
from ..ports import CancelReply, LookReply, NoAnswer, StillRunning
from .reply import NOT_YOURS, Meaning, Said, clean, read_said, retry_after
from .submit_codec import Headers, micros

QUEUED = frozenset({"in_queue", "pending", "waiting"})  # [page], then [seen]
RUNNING = frozenset({"in_progress", "processing", "starting"})
SUCCEEDED = frozenset({"completed", "succeeded"})
FAILED = frozenset({"failed"})
CANCELLED = frozenset({"cancelled", "canceled"})
ENDED = SUCCEEDED | FAILED | CANCELLED
LISTED = QUEUED | RUNNING | ENDED


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """401, 403 or their codes: the client raises TokenError."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class AskStatus:
    """``/result`` answered with a 4xx that need not mean more than "not finished": ask ``/status``."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class SeeResult:
    """``/status`` says that the job has ended: ask ``/result``, and take ``otherwise`` if that tells nothing."""

    otherwise: LookReply


def read_result(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> LookReply | TokenRefused | AskStatus:
    """The answer of ``GET …/result``."""
    said = read_said(body, secret)
    word = _word(said)
    if 200 <= status < 300 and word in LISTED:
        return _state(word, said, now)
    if (silent := _no_state(status, headers, said, now)) is not None:
        return silent
    if word:
        return StillRunning(word, running=False, queue_position=_position(said), known=False)
    return NoAnswer(_problem(Kind.UNREADABLE, "the service's answer makes no sense", status, said))


def read_status(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> LookReply | TokenRefused | SeeResult:
    """The answer of ``GET …/status``. Never AskStatus: there is no third place to ask."""
    found = read_result(status, headers, body, now, secret=secret)
    match found:
        case Completed() | Errored():
            return SeeResult(found)
        case NoAnswer(problem) if problem.kind is Kind.UNREADABLE and _word(read_said(body)) in SUCCEEDED:
            return SeeResult(found)
        case AskStatus(problem):
            return NoAnswer(problem)
        case _:
            return found


def _state(word: str, said: Said, now: float) -> LookReply:
    """What a listed status word means."""
    cost = micros(said.json.get("cost"))
    if word in CANCELLED:
        return CancelConfirmed(now)
    if word in FAILED:
        kind = Kind.MODERATED if said.moderated else Kind.FAILED
        ours = "the service refuses this content" if said.moderated else "the service could not make this picture"
        return Errored(now, _problem(kind, ours, None, said), cost)
    if word in SUCCEEDED:
        outputs = read_outputs(said.json)
        if not outputs:
            # Bought and finished; the links may lag behind the word, as the cost does. Asked again, never failed.
            return NoAnswer(Problem(Kind.UNREADABLE, "the service says that it is finished but gives no file yet"))
        return Completed(now, outputs, cost)
    return StillRunning(word, running=word in RUNNING, queue_position=_position(said))


def _no_state(status: int, headers: Headers, said: Said, now: float) -> NoAnswer | TokenRefused | AskStatus | None:
    """What a reply that holds no state of a job means, by its code, then by its HTTP status; None for a plain 200."""
    meaning = said.meaning or _BY_HTTP.get(status)
    if meaning is Meaning.AUTH:
        foreign = "this request belongs to another account"
        ours = foreign if said.code == NOT_YOURS else "the service does not accept the API token"
        return TokenRefused(_problem(Kind.AUTH, ours, status, said))
    for kind, applies, ours in (
        (Kind.NOT_FOUND, meaning is Meaning.ABSENT, "the service does not know this request"),
        (Kind.THROTTLED, meaning is Meaning.THROTTLED, "the service asks to slow down"),
        (Kind.SERVICE, meaning is Meaning.SERVICE or status >= 500, "the service had an error"),
        (Kind.UNREADABLE, not 200 <= status < 500 or 300 <= status < 400, f"an unexpected answer, HTTP {status}"),
    ):
        if applies:
            problem = _problem(kind, ours, status, said)
            return NoAnswer(problem, absent=kind is Kind.NOT_FOUND, retry_after=retry_after(headers, now))
    if status >= 400:
        return AskStatus(_problem(Kind.UNREADABLE, "the service does not tell the job's state", status, said))
    return None


_BY_HTTP = {
    **dict.fromkeys((401, 403), Meaning.AUTH),
    **dict.fromkeys((404, 410), Meaning.ABSENT),
    408: Meaning.SERVICE,
    429: Meaning.THROTTLED,
}


def read_missed(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> NoAnswer | None:
    """For any other GET: what is worth asking again (429, 5xx, their codes), None for everything else."""
    silent = _no_state(status, headers, read_said(body, secret), now)
    return silent if isinstance(silent, NoAnswer) and silent.problem.kind in {Kind.THROTTLED, Kind.SERVICE} else None


def read_probe(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> bool:
    """Whether an answer is the service's own and shows it at work: 2xx or a 4xx that isn't about load."""
    return (
        200 <= status < 500
        and not 300 <= status < 400
        and read_missed(status, headers, body, now, secret=secret) is None
    )


def _word(said: Said) -> str:
    word = said.json.get("status")
    return clean(word, limit=40).lower() if isinstance(word, str) else ""


def _position(said: Said) -> int | None:
    value = said.json.get("queue_position")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _problem(kind: Kind, ours: str, status: int | None, said: Said) -> Problem:
    message = clean(f"{ours}: “{said.words}”" if said.words else ours)
    return Problem(kind, message, http=status, code=said.code)


def read_outputs(payload: Mapping[str, Any]) -> tuple[Output, ...]:
    """Links to files, from ``output`` alone (a result also holds API links [CONTRACT]): ``image``, ``images``,
    ``video``, ``videos`` in that order, each link once. A link is a string or ``{"url": …}``.
    """
    output = payload.get("output")
    if not isinstance(output, Mapping):
        output = {"images": output}  # a bare link or list: not on the page, costs nothing to take
    found: dict[str, Output] = {}
    for key, kind in (("image", "image"), ("images", "image"), ("video", "video"), ("videos", "video")):
        for url in _links(output.get(key)):
            found.setdefault(url, Output(url, kind))
    return tuple(found.values())


def _links(value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        url = item.get("url") if isinstance(item, dict) else item
        if isinstance(url, str) and url.strip().lower().startswith(("https://", "http://")):
            text = url.strip()
            if text.isprintable() and len(text) <= 8192:
                yield text


# --- cancel ---------------------------------------------------------------------------------------


def read_cancel(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> CancelReply | TokenRefused:
    """The answer of ``POST …/cancel``. Only queued jobs can be cancelled [page]; ``outcome`` says how it went [seen].

    CancelDenied sends the job back to be looked at, so it is the safe reading of a 4xx that names no reason.
    """
    said = read_said(body, secret)
    outcome = said.json.get("outcome")
    word = clean(outcome, limit=40).lower() if isinstance(outcome, str) else ""
    if 200 <= status < 300 and said.meaning is None:
        if word in CANCELLED or (not word and _word(said) in CANCELLED):
            return CancelConfirmed(now)
        if word == "not_cancellable" or (not word and _word(said) in LISTED):
            return CancelDenied(now)
    match _no_state(status, headers, said, now):
        case AskStatus():
            return CancelDenied(now)
        case None:
            return NoAnswer(_problem(Kind.UNREADABLE, "the service does not say whether it cancelled", status, said))
        case other:
            return other


# --- an id that a person pasted -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that exists and is ours. ``model_id`` is empty where the reply doesn't tell."""

    model_id: str
    word: str


def read_identity(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> Seen | Problem:
    """Whether a reply of ``/result`` or ``/status`` shows a request of ours."""
    said = read_said(body, secret)
    silent = _no_state(status, headers, said, now)
    if silent is not None and not (isinstance(silent, NoAnswer) and _word(said) in LISTED and status < 300):
        return silent.problem
    if not _word(said):
        return _problem(Kind.UNREADABLE, "the service's answer makes no sense", status, said)
    model = said.json.get("model_id")
    return Seen(clean(model, limit=200) if isinstance(model, str) else "", _word(said))
