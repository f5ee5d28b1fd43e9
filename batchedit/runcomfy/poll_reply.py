"""The other half of the codec: replies about a job that was bought. Pure, and no reply makes it raise.

``/result`` answers an unfinished job with its state [page]; where a server answers that with a 4xx instead, the reader
returns AskStatus and the client asks ``/status``. ``/status`` is never believed about how a job ended: it may say
``completed`` where ``/result`` says ``failed`` or ``succeeded``, so an ending there is SeeResult (docs/vendor-api.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.events import CancelConfirmed, CancelDenied, Completed, Errored
from ..core.model import Kind, Problem
from ..core.money import read_json_usd
from ..ports import CancelReply, NoAnswer, PollReply, StillRunning
from .ids import parse_request_id
from .outputs import describe_keys, read_outputs
from .reply_body import NOT_YOURS, ErrorCode, ReplyBody, clean, parse_reply, read_retry_after
from .submit_reply import Headers

QUEUED = frozenset({"in_queue", "pending", "waiting"})  # [page], then [seen]
RUNNING = frozenset({"in_progress", "processing", "starting"})
SUCCEEDED = frozenset({"completed", "succeeded"})
FAILED = frozenset({"failed"})
CANCELLED = frozenset({"cancelled", "canceled"})
LONGEST_QUEUE = 10**9
"""A position from here on is ignored: a number of 400 digits is more than any clock can wait for."""
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
    """``/status`` says that the job has ended: ask ``/result``, and take ``otherwise`` if that has no state."""

    otherwise: PollReply


def read_result(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> PollReply | TokenRefused | AskStatus:
    """The answer of ``GET …/result``."""
    reply = parse_reply(body, secret)
    word = _read_word(reply)
    if 200 <= status < 300 and word in LISTED:
        return _interpret_state(word, reply, now)
    if (failure := _interpret_error(status, headers, reply, now)) is not None:
        return failure
    if word:
        problem = _make_problem(Kind.UNREADABLE, f"the service says “{word}”, which nobody has listed", status, reply)
        return StillRunning(word, running=False, queue_position=_read_position(reply), known=False, problem=problem)
    return NoAnswer(_make_problem(Kind.UNREADABLE, "the service's answer makes no sense", status, reply))


def read_status(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> PollReply | TokenRefused | SeeResult:
    """The answer of ``GET …/status``. Never AskStatus: there is no third place to ask."""
    result = read_result(status, headers, body, now, secret=secret)
    match result:
        case Completed() | Errored():
            return SeeResult(result)
        case NoAnswer(problem) if problem.kind is Kind.UNREADABLE and _read_word(parse_reply(body)) in SUCCEEDED:
            return SeeResult(result)
        case AskStatus(problem):
            return NoAnswer(problem)
        case _:
            return result


def find_other_request_id(body: bytes, request_id: str) -> str | None:
    """The id of another request that an answer about ``request_id`` names; None where it names this one or none.

    Such an answer is no answer: its picture is another job's.
    """
    named_id = parse_request_id(parse_reply(body).json.get("request_id"))
    return named_id if named_id is not None and named_id != request_id else None


def _interpret_state(word: str, reply: ReplyBody, now: float) -> PollReply:
    """What a listed status word means."""
    cost = read_json_usd(reply.json.get("cost"))
    if word in CANCELLED:
        return CancelConfirmed(now, cost)
    if word in FAILED:
        kind = Kind.MODERATED if reply.moderated else Kind.FAILED
        message = "the service refuses this content" if reply.moderated else "the service could not make this picture"
        return Errored(now, _make_problem(kind, message, None, reply), cost)
    if word in SUCCEEDED:
        outputs = read_outputs(reply.json)
        if not outputs:
            # Bought and finished; the links may lag behind the word, as the cost does. Asked again, never failed.
            keys = describe_keys(reply.json)
            message = f"the service says “{word}” but gives no file yet; its answer has {keys}"
            return NoAnswer(_make_problem(Kind.UNREADABLE, message, None, reply))
        return Completed(now, outputs, cost)
    return StillRunning(word, running=word in RUNNING, queue_position=_read_position(reply))


def _interpret_error(
    status: int, headers: Headers, reply: ReplyBody, now: float
) -> NoAnswer | TokenRefused | AskStatus | None:
    """What a reply that holds no state of a job means, by its code, then by its HTTP status; None for a plain 200."""
    meaning = reply.meaning or _BY_HTTP.get(status)
    if meaning is ErrorCode.AUTH:
        foreign = "this request belongs to another account"
        message = foreign if reply.code == NOT_YOURS else "the service does not accept the API token"
        return TokenRefused(_make_problem(Kind.AUTH, message, status, reply))
    for kind, applies, message in (
        (Kind.NOT_FOUND, meaning is ErrorCode.ABSENT, "the service does not know this request"),
        (Kind.THROTTLED, meaning is ErrorCode.THROTTLED, "the service asks to slow down"),
        (Kind.SERVICE, meaning is ErrorCode.SERVICE or status >= 500, "the service had an error"),
        (Kind.UNREADABLE, not 200 <= status < 500 or 300 <= status < 400, f"an unexpected answer, HTTP {status}"),
    ):
        if applies:
            problem = _make_problem(kind, message, status, reply)
            return NoAnswer(problem, absent=kind is Kind.NOT_FOUND, retry_after=read_retry_after(headers, now))
    if status >= 400:
        return AskStatus(_make_problem(Kind.UNREADABLE, "the service does not tell the job's state", status, reply))
    return None


_BY_HTTP = {
    **dict.fromkeys((401, 403), ErrorCode.AUTH),
    **dict.fromkeys((404, 410), ErrorCode.ABSENT),
    408: ErrorCode.SERVICE,
    429: ErrorCode.THROTTLED,
}


def read_missed(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> NoAnswer | None:
    """For any other GET: an answer after which to ask again (429, 5xx, their codes), None for everything else."""
    failure = _interpret_error(status, headers, parse_reply(body, secret), now)
    return failure if isinstance(failure, NoAnswer) and failure.problem.kind in {Kind.THROTTLED, Kind.SERVICE} else None


def read_probe(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> bool:
    """Whether an answer is the service's own and shows it at work: 2xx or a 4xx that isn't about load."""
    return (
        200 <= status < 500
        and not 300 <= status < 400
        and read_missed(status, headers, body, now, secret=secret) is None
    )


def _read_word(reply: ReplyBody) -> str:
    word = reply.json.get("status")
    return clean(word, limit=40).lower() if isinstance(word, str) else ""


def _read_position(reply: ReplyBody) -> int | None:
    value = reply.json.get("queue_position")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LONGEST_QUEUE else None


def _make_problem(kind: Kind, message: str, status: int | None, reply: ReplyBody) -> Problem:
    message = clean(f"{message}: “{reply.message}”" if reply.message else message)
    return Problem(kind, message, http=status, code=reply.code)


# --- cancel ---------------------------------------------------------------------------------------


def read_cancel(
    status: int, headers: Headers, body: bytes, now: float, *, secret: str = ""
) -> CancelReply | TokenRefused:
    """The answer of ``POST …/cancel``. Only queued jobs can be cancelled [page]; ``outcome`` says how it went [seen].

    CancelDenied sends the job back to be polled, so it is the safe reading of a 4xx that names no reason.
    """
    reply = parse_reply(body, secret)
    outcome = reply.json.get("outcome")
    word = clean(outcome, limit=40).lower() if isinstance(outcome, str) else ""
    if 200 <= status < 300 and reply.meaning is None:
        if word in CANCELLED or (not word and _read_word(reply) in CANCELLED):
            return CancelConfirmed(now, read_json_usd(reply.json.get("cost")))
        if word == "not_cancellable" or (not word and _read_word(reply) in LISTED):
            return CancelDenied(now)
    match _interpret_error(status, headers, reply, now):
        case AskStatus():
            return CancelDenied(now)
        case None:
            return NoAnswer(
                _make_problem(Kind.UNREADABLE, "the service does not say whether it cancelled", status, reply)
            )
        case other:
            return other


# --- an id that a person pasted -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """A request that exists and is ours. ``model_id`` is empty where the reply has none."""

    model_id: str
    word: str


def read_identity(status: int, headers: Headers, body: bytes, now: float, *, secret: str = "") -> OwnRequest | Problem:
    """Whether a reply of ``/result`` or ``/status`` shows a request of ours."""
    reply = parse_reply(body, secret)
    failure = _interpret_error(status, headers, reply, now)
    if failure is not None and not (isinstance(failure, NoAnswer) and _read_word(reply) in LISTED and status < 300):
        return failure.problem
    if not _read_word(reply):
        return _make_problem(Kind.UNREADABLE, "the service's answer makes no sense", status, reply)
    model = reply.json.get("model_id")
    return OwnRequest(clean(model, limit=200) if isinstance(model, str) else "", _read_word(reply))
