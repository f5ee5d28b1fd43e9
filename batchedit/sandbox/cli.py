"""`batchedit sandbox` and `python -m batchedit.sandbox`: parse options, print the address, serve until a signal."""

import argparse
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import orjson

from batchedit.sandbox.config import PHOTOS, SandboxConfig
from batchedit.sandbox.faults import PLACES, list_allowed_faults
from batchedit.sandbox.journal import StateError
from batchedit.sandbox.server import RunningSandbox

USAGE, UNAVAILABLE = 64, 69  # sysexits
_CHECK_SECONDS = 0.2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


Announce = Callable[[int, Sequence[str]], AbstractContextManager[str]]
"""Called with the port once that is bound, and with the addresses. While the block lasts, commands recognise the sandbox as
this person's own. Yields the reason if they do not, "" if they do.
"""


def _announce_nowhere(_: int, __: Sequence[str]) -> AbstractContextManager[str]:
    return nullcontext("it was not started as `batchedit sandbox`")


def main(argv: Sequence[str] | None = None, announce: Announce = _announce_nowhere) -> int:
    """Serve until SIGINT (returns 130) or SIGTERM (143); 64: a wrong option, 69: port or state file not available."""
    parser = _build_parser()
    options = vars(parser.parse_args(argv))
    try:
        config = SandboxConfig(
            **{**options, "models": dict(map(_parse_model, options["models"])), "faults": tuple(options["faults"])}
        )
    except (ValueError, OSError) as reason:
        sys.stderr.write(f"{parser.prog}: {_name_option(str(reason))}\n")
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
        with announce(sandbox.port, sandbox.addresses) as why_unlabelled:
            sys.stdout.write(f"sandbox listening on {sandbox.url}\n")
            sys.stdout.write(f"what is bought from it is play money, {_describe_label(why_unlabelled)}\n")
            sys.stdout.write(f"  → to buy from it, give a command --base-url {sandbox.url} and any token\n")
            sys.stdout.flush()
            number = _wait_for_signal(sandbox)
        if number is None:
            sys.stderr.write(f"{parser.prog}: the server ended by itself\n")
            return UNAVAILABLE
        return 128 + number
    finally:
        sandbox.close()


def _name_option(reason: str) -> str:
    """The message of a wrong setting, with the name of its option."""
    name, colon, problem = reason.partition(": ")
    setting_names = {field.name for field in fields(SandboxConfig)}
    return f"--{name.replace('_', '-')}{colon}{problem}" if colon and name in setting_names else reason


def _describe_label(why_not: str) -> str:
    if not why_not:
        return "and is labelled so by your commands while this goes on"
    return f"though commands say dollars alone: {why_not}"


def _wait_for_signal(sandbox: RunningSandbox) -> int | None:
    """Block until SIGINT or SIGTERM arrives; its number. None if the server ends by itself: then commands must not recognise
    its port as a sandbox any more.
    """
    arrived: list[int] = []
    stop_requested = threading.Event()

    def handle_signal(number: int, _: FrameType | None) -> None:
        arrived.append(number)
        stop_requested.set()

    previous_handlers = {number: signal.signal(number, handle_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not stop_requested.wait(_CHECK_SECONDS) and sandbox.listens:
            pass
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
    return arrived[0] if arrived else None


def _parse_model(text: str) -> tuple[str, dict[str, Any]]:
    """`ID=schema.json`: a model and its input schema (or a JSON object that has one under `input_schema`)."""
    model_id, equals, path = text.partition("=")
    if not equals:
        raise ValueError(f"model {text!r}: write ID=schema.json")
    schema = orjson.loads(Path(path).read_bytes())
    if not isinstance(schema, dict):
        raise ValueError(f"model {text!r}: {path} does not hold a JSON object")  # noqa: TRY004 - wrong input, not a bug
    return model_id, schema.get("input_schema", schema)


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="batchedit sandbox",
        description="A local server that speaks the Model API. No money is ever spent.",
        epilog=_describe_faults(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    _add_service(parser)
    _add_answers(parser)
    add = parser.add_argument_group("trouble").add_argument
    add("--fault", dest="faults", action="append", default=[], metavar="F", help="See below. It may be given again.")
    return parser


def _add_service(parser: argparse.ArgumentParser) -> None:
    """Options of the server, its jobs, money and limits."""
    add = parser.add_argument_group("the server").add_argument
    add("--port", type=int, help="The port to listen at (default: a free one).")
    add("--token", help="The only token that is accepted (default: any).")
    add("--state", metavar="FILE", help="Remember jobs and ledger there. A later server with the same file goes on.")
    add("--keep-alive", type=int, metavar="S", help="Seconds for which an idle connection is kept.")
    add(
        "--model", dest="models", action="append", default=[], metavar="ID=FILE", help="A further model and its schema."
    )
    add("--no-catalogue", dest="catalogue", action="store_false", help="Answer a GET of a model with 404.")

    add = parser.add_argument_group("its jobs").add_argument
    add("--latency", metavar="D", help="Seconds a job runs: 2, lognormal:4,0.5, uniform:1,3, exp:2, bimodal:5,60,0.5.")
    add("--slots", type=int, metavar="N", help="Jobs that run at once (default: all).")
    add("--queue", type=float, metavar="S", help="The least seconds in the queue.")
    add("--images-per-job", type=int, metavar="N", help="Pictures that each job gives (default: 1).")
    add("--seed", type=int, help="The seed of latencies and faults.")

    add = parser.add_argument_group("money").add_argument
    add("--price", metavar="USD", help="What the catalogue names for a picture (default: 0.04).")
    add("--actual-price", metavar="USD", help="What results name (default: the price).")
    add("--cost-after", type=float, metavar="S", help="Seconds until a result names its cost.")
    add("--no-cost", dest="show_cost", action="store_false", help="No result names its cost.")
    add("--balance", metavar="USD", help="What the account holds (default: without end).")

    add = parser.add_argument_group("limits").add_argument
    add("--rate-limit", metavar="R", help="Of submits: 20/s,burst=5.")
    add(
        "--at-once",
        type=int,
        metavar="N",
        help="Jobs queued or running that the account may have (default: any number).",
    )


def _add_answers(parser: argparse.ArgumentParser) -> None:
    """Options of the answers and the files."""
    add = parser.add_argument_group("how it answers").add_argument
    add("--answer-after", type=float, metavar="S", help="Seconds that every API call takes.")
    add("--image-shape", choices=("any", "string", "array"), help="The shape of `image` that is accepted.")
    add("--outputs", choices=("image", "images"), help="The shape of the output.")
    add(
        "--result-while-running",
        metavar="state|4xx|400005",
        help="What /result of an unfinished job answers: its state, a status (404 too), or the code of not ready.",
    )
    add("--done-word", choices=("completed", "succeeded"), help="The word of a job that is done.")
    add("--cancelled-word", choices=("cancelled", "canceled"), help="The word of a job that was cancelled.")
    add("--coarse-status", action="store_true", help="/status says completed for failed jobs too.")

    add = parser.add_argument_group("its files").add_argument
    add("--link-ttl", type=float, metavar="S", help="Seconds for which a link holds (default: for ever).")
    add("--plain-files", type=int, metavar="BYTES", help="Cheap pictures of about that size, for benchmarks.")
    add("--photo-files", choices=PHOTOS, help="Pictures as heavy as photographs, for benchmarks.")


def _describe_faults() -> str:
    """The help on ``--fault``, at 80 columns: the faults of each place besides the usual ones."""
    common = set.intersection(
        *(set(list_allowed_faults(place)) for place in ("submit", "poll", "cancel", "file", "model"))
    )
    lines = ["A fault is PLACE:FAULT[@SECONDS]=WHEN: submit:429=0.05 or poll:slow@3=every:7.", "", "PLACE and FAULT"]
    for place in PLACES:
        faults_here = set(list_allowed_faults(place))
        names = ["the usual ones", *sorted(faults_here - common)] if common <= faults_here else sorted(faults_here)
        lines.append(f"  {place:7} {', '.join(names)}")
    lines += ["", "the usual ones"]
    lines += textwrap.wrap(" ".join(sorted(common)), 78, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([*lines, "", "WHEN", "  0.05, every:7, first:3, after:100, at:5+9, time:10-70 (seconds)"])
