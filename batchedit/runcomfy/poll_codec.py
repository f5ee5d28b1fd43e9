"""The other half of the codec: what the service says of a job that was bought. Pure, and no reply makes it raise.

``/result`` answers an unfinished job with its state [page]; where a server answers that with a 4xx instead, the reader
says AskStatus and the client goes to ``/status``. ``/status`` is never believed about how a job ended: it may say
``completed`` where ``/result`` says ``failed`` or ``succeeded``, so an ending there is SeeResult (docs/vendor-api.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.events import CancelConfirmed, CancelDenied, Completed, Errored
from ..core.model import Kind, Problem
from ..core.money import read_json_usd
from ..ports import CancelReply, PollReply, NoAnswer, StillRunning
from .ids import usable_id
from .outputs import describe_keys, read_outputs
from .reply import NOT_YOURS, ErrorCode, ReplyBody, clean, parse_reply, retry_after
from .submit_codec import Headers

QUEUED = frozenset({"in_queue", "pending", "waiting"})  # [page], then [seen]
RUNNING = frozenset({"in_progress", "processing", "starting"})
SUCCEEDED = frozenset({"completed", "succeeded"})
FAILED = frozenset({"failed"})
CANCELLED = frozenset({"cancelled", "canceled"})
LONGEST_QUEUE = 10**9
"""A position from here on is no position: a number of 400 digits is more than any clock can wait for."""
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

    otherwise: PollReply


def read_result(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> PollReply | TokenRefused | AskStatus:
    """The answer of ``GET …/result``."""
    said = parse_reply(body, secret)
    word = _word(said)
    if 200 <= status < 300 and word in LISTED:
        return _state(word, said, now)
    if (silent := _no_state(status, headers, said, now)) is not None:
        return silent
    if word:
        problem = _problem(Kind.UNREADABLE, f"the service says “{word}”, which nobody has listed", status, said)
        return StillRunning(word, running=False, queue_position=_position(said), known=False, problem=problem)
    return NoAnswer(_problem(Kind.UNREADABLE, "the service's answer makes no sense", status, said))


def read_status(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> PollReply | TokenRefused | SeeResult:
    """The answer of ``GET …/status``. Never AskStatus: there is no third place to ask."""
    found = read_result(status, headers, body, now, secret=secret)
    match found:
        case Completed() | Errored():
            return SeeResult(found)
        case NoAnswer(problem) if problem.kind is Kind.UNREADABLE and _word(parse_reply(body)) in SUCCEEDED:
            return SeeResult(found)
        case AskStatus(problem):
            return NoAnswer(problem)
        case _:
            return found


def is_of_another(body: bytes, request_id: str) -> str | None:
    """The id of another request that an answer about ``request_id`` names; None where it names this one or none.

    Such an answer is no answer: its picture is another job's.
    """
    named = usable_id(parse_reply(body).json.get("request_id"))
    return named if named is not None and named != request_id else None


def _state(word: str, said: ReplyBody, now: float) -> PollReply:
    """What a listed status word means."""
    cost = read_json_usd(said.json.get("cost"))
    if word in CANCELLED:
        return CancelConfirmed(now, cost)
    if word in FAILED:
        kind = Kind.MODERATED if said.moderated else Kind.FAILED
        ours = "the service refuses this content" if said.moderated else "the service could not make this picture"
        return Errored(now, _problem(kind, ours, None, said), cost)
    if word in SUCCEEDED:
        outputs = read_outputs(said.json)
        if not outputs:
            # Bought and finished; the links may lag behind the word, as the cost does. Asked again, never failed.
            keys = describe_keys(said.json)
            ours = f"the service says “{word}” but gives no file yet; its answer has {keys}"
            return NoAnswer(_problem(Kind.UNREADABLE, ours, None, said))
        return Completed(now, outputs, cost)
    return StillRunning(word, running=word in RUNNING, queue_position=_position(said))


def _no_state(status: int, headers: Headers, said: ReplyBody, now: float) -> NoAnswer | TokenRefused | AskStatus | None:
    """What a reply that holds no state of a job means, by its code, then by its HTTP status; None for a plain 200."""
    meaning = said.meaning or _BY_HTTP.get(status)
    if meaning is ErrorCode.AUTH:
        foreign = "this request belongs to another account"
        ours = foreign if said.code == NOT_YOURS else "the service does not accept the API token"
        return TokenRefused(_problem(Kind.AUTH, ours, status, said))
    for kind, applies, ours in (
        (Kind.NOT_FOUND, meaning is ErrorCode.ABSENT, "the service does not know this request"),
        (Kind.THROTTLED, meaning is ErrorCode.THROTTLED, "the service asks to slow down"),
        (Kind.SERVICE, meaning is ErrorCode.SERVICE or status >= 500, "the service had an error"),
        (Kind.UNREADABLE, not 200 <= status < 500 or 300 <= status < 400, f"an unexpected answer, HTTP {status}"),
    ):
        if applies:
            problem = _problem(kind, ours, status, said)
            return NoAnswer(problem, absent=kind is Kind.NOT_FOUND, retry_after=retry_after(headers, now))
    if status >= 400:
        return AskStatus(_problem(Kind.UNREADABLE, "the service does not tell the job's state", status, said))
    return None


_BY_HTTP = {
    **dict.fromkeys((401, 403), ErrorCode.AUTH),
    **dict.fromkeys((404, 410), ErrorCode.ABSENT),
    408: ErrorCode.SERVICE,
    429: ErrorCode.THROTTLED,
}


def read_missed(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> NoAnswer | None:
    """For any other GET: what is worth asking again (429, 5xx, their codes), None for everything else."""
    silent = _no_state(status, headers, parse_reply(body, secret), now)
    return silent if isinstance(silent, NoAnswer) and silent.problem.kind in {Kind.THROTTLED, Kind.SERVICE} else None


def read_probe(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> bool:
    """Whether an answer is the service's own and shows it at work: 2xx or a 4xx that isn't about load."""
    return (
        200 <= status < 500
        and not 300 <= status < 400
        and read_missed(status, headers, body, now, secret=secret) is None
    )


def _word(said: ReplyBody) -> str:
    word = said.json.get("status")
    return clean(word, limit=40).lower() if isinstance(word, str) else ""


def _position(said: ReplyBody) -> int | None:
    value = said.json.get("queue_position")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LONGEST_QUEUE else None


def _problem(kind: Kind, ours: str, status: int | None, said: ReplyBody) -> Problem:
    message = clean(f"{ours}: “{said.words}”" if said.words else ours)
    return Problem(kind, message, http=status, code=said.code)


# --- cancel ---------------------------------------------------------------------------------------


def read_cancel(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> CancelReply | TokenRefused:
    """The answer of ``POST …/cancel``. Only queued jobs can be cancelled [page]; ``outcome`` says how it went [seen].

    CancelDenied sends the job back to be looked at, so it is the safe reading of a 4xx that names no reason.
    """
    said = parse_reply(body, secret)
    outcome = said.json.get("outcome")
    word = clean(outcome, limit=40).lower() if isinstance(outcome, str) else ""
    if 200 <= status < 300 and said.meaning is None:
        if word in CANCELLED or (not word and _word(said) in CANCELLED):
            return CancelConfirmed(now, read_json_usd(said.json.get("cost")))
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
    said = parse_reply(body, secret)
    silent = _no_state(status, headers, said, now)
    if silent is not None and not (isinstance(silent, NoAnswer) and _word(said) in LISTED and status < 300):
        return silent.problem
    if not _word(said):
        return _problem(Kind.UNREADABLE, "the service's answer makes no sense", status, said)
    model = said.json.get("model_id")
    return Seen(clean(model, limit=200) if isinstance(model, str) else "", _word(said))
