"""`batchedit sandbox` and `python -m batchedit.sandbox`: options in, one line out, then serve until told to stop."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import orjson

from batchedit.sandbox.config import PHOTOS, SandboxConfig
from batchedit.sandbox.faults import PLACES, allowed
from batchedit.sandbox.journal import StateError
from batchedit.sandbox.server import RunningSandbox

USAGE, UNAVAILABLE = 64, 69  # sysexits
_LOOK_SECONDS = 0.2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


Known = Callable[[int, Sequence[str]], AbstractContextManager[str]]
"""Called with the port once that is bound, and with the addresses at which it is: for as long as the block lasts
commands know the sandbox as this person's own. Yields why they do not, "" if they do.
"""


def _unknown(_: int, __: Sequence[str]) -> AbstractContextManager[str]:
    return nullcontext("it was not started as `batchedit sandbox`")


def main(argv: Sequence[str] | None = None, known: Known = _unknown) -> int:
    """Serve until SIGINT (returns 130) or SIGTERM (143); 64: a wrong option, 69: port or state file cannot be had."""
    parser = _parser()
    options = vars(parser.parse_args(argv))
    try:
        config = SandboxConfig(
            **{**options, "models": dict(map(_model, options["models"])), "faults": tuple(options["faults"])}
        )
    except (ValueError, OSError) as reason:
        sys.stderr.write(f"{parser.prog}: {_as_typed(str(reason))}\n")
        return USAGE
    try:
        sandbox = RunningSandbox(config)
    except StateError as reason:
        sys.stderr.write(f"{parser.prog}: {reason}\n")
        return UNAVAILABLE
    except OSError as reason:
        sys.stderr.write(f"{parser.prog}: cannot listen on port {config.port}: {reason}\n")
        return UNAVAILABLE
    try:
        with known(sandbox.port, sandbox.addresses) as unlabelled:
            sys.stdout.write(f"sandbox listening on {sandbox.url}\n")
            sys.stdout.write(f"what is bought from it is play money, {_labelled(unlabelled)}\n")
            sys.stdout.write(f"  → to buy from it, give a command --base-url {sandbox.url} and any token\n")
            sys.stdout.flush()
            number = _wait_for_signal(sandbox)
        if number is None:
            sys.stderr.write(f"{parser.prog}: the server ended by itself\n")
            return UNAVAILABLE
        return 128 + number
    finally:
        sandbox.close()


def _as_typed(reason: str) -> str:
    """What is wrong with a setting, under the name of its option."""
    name, colon, words = reason.partition(": ")
    known = {field.name for field in fields(SandboxConfig)}
    return f"--{name.replace('_', '-')}{colon}{words}" if colon and name in known else reason


def _labelled(why_not: str) -> str:
    if not why_not:
        return "and is labelled so by your commands while this goes on"
    return f"though commands say dollars alone: {why_not}"


def _wait_for_signal(sandbox: RunningSandbox) -> int | None:
    """Block until SIGINT or SIGTERM arrives; its number. None once nothing listens any more: then nobody must be told that
    the sandbox does.
    """
    arrived: list[int] = []
    told = threading.Event()

    def note(number: int, _: FrameType | None) -> None:
        arrived.append(number)
        told.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not told.wait(_LOOK_SECONDS) and sandbox.listens:
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return arrived[0] if arrived else None


def _model(text: str) -> tuple[str, dict[str, Any]]:
    """`ID=schema.json`: a model and its input schema (or a page that holds one under `input_schema`)."""
    model_id, equals, path = text.partition("=")
    if not equals:
        raise ValueError(f"model {text!r}: write ID=schema.json")
    schema = orjson.loads(Path(path).read_bytes())
    if not isinstance(schema, dict):
        raise ValueError(f"model {text!r}: {path} does not hold a JSON object")  # noqa: TRY004 - wrong input, not a bug
    return model_id, schema.get("input_schema", schema)


def _parser() -> argparse.ArgumentParser:
    places = "\n".join(f"  {place:7}{' '.join(sorted(allowed(place)))}" for place in PLACES)
    parser = _Parser(
        prog="batchedit sandbox",
        description="A local server that speaks the Model API. No money is ever spent.",
        epilog=f"faults, PLACE:FAULT[@SECONDS]=WHEN:\n{places}\n"
        "WHEN: 0.05, every:7, first:3, after:100, at:5+9, time:10-70 (seconds)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--port", type=int, help="default: a free one")
    add("--token", help="the only token that is accepted (default: any)")
    add("--state", metavar="FILE", help="remember jobs and ledger there; a later server with the same file goes on")
    add("--seed", type=int, help="of latencies and faults")
    add("--latency", metavar="D", help="seconds a job runs: 2, lognormal:4,0.5, uniform:1,3, exp:2, bimodal:5,60,0.5")
    add("--slots", type=int, metavar="N", help="jobs that run at once (default: all)")
    add("--queue", type=float, metavar="S", help="least seconds in the queue")
    add("--answer-after", type=float, metavar="S", help="seconds every API call takes")
    add("--model", dest="models", action="append", default=[], metavar="ID=FILE", help="a further model and its schema")
    add("--no-catalogue", dest="catalogue", action="store_false", help="GET of a model is 404")
    add("--image-shape", choices=("any", "string", "array"), help="the shape of `image` that is accepted")
    add(
        "--result-while-running",
        metavar="state|4xx|400005",
        help="what /result of an unfinished job answers: its state, a status (404 too), or the code of not ready",
    )
    add("--done-word", choices=("completed", "succeeded"))
    add("--cancelled-word", choices=("cancelled", "canceled"))
    add("--coarse-status", action="store_true", help="/status says completed for failed jobs too")
    add("--rate-limit", metavar="R", help="of submits: 20/s,burst=5")
    add(
        "--at-once",
        type=int,
        metavar="N",
        help="jobs queued or running that the account may have (default: any number)",
    )
    add("--keep-alive", type=int, metavar="S", help="seconds an idle connection is kept")
    add("--price", metavar="USD", help="default 0.04")
    add("--actual-price", metavar="USD", help="what results say (default: the price)")
    add("--cost-after", type=float, metavar="S", help="seconds until a result knows its cost")
    add("--no-cost", dest="show_cost", action="store_false", help="results never tell their cost")
    add("--balance", metavar="USD", help="default: unlimited")
    add("--outputs", choices=("image", "images"), help="the shape of the output")
    add("--images-per-job", type=int, metavar="N")
    add("--link-ttl", type=float, metavar="S", help="seconds a link lives (default: for ever)")
    add("--plain-files", type=int, metavar="BYTES", help="cheap pictures of about that size, for benchmarks")
    add("--photo-files", choices=PHOTOS, help="pictures as heavy as photographs, for benchmarks")
    add("--fault", dest="faults", action="append", default=[], metavar="F", help="see below; may be given again")
    return parser
