"""The commands of a shared ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from ..core.errors import UsageError
from ..core.visible import as_lines
from ..core.words import number
from ..ledger.postgres.url import VARIABLE as STORE_VARIABLE
from .group import EPILOG, batchedit, command
from .json_output import print_json
from .json_values import workers_value
from .option_values import wished_cap
from .options import (
    COMMON_OPTIONS,
    GRACE_OPTION,
    JSON_OPTION,
    METRICS_OPTION,
    NOTIFY_OPTION,
    SERVICE_OPTIONS,
    WORK_OPTIONS,
    given,
    options,
    store_address,
)


def _places(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | str | None:
    if text is None or text == "none":
        return text
    if not text.isdigit() or not int(text):
        raise click.BadParameter(f"{text!r} is not a number of jobs such as 200, or none")
    return int(text)


@batchedit.group("store", epilog=EPILOG)
def store() -> None:
    """A shared ledger in PostgreSQL, for several machines or people at one account."""


@store.command("init")
@click.argument("url", required=False, envvar=STORE_VARIABLE)
@click.option("--i-accept-loss", "accept_loss", is_flag=True, help="Purchases may be forgotten, and made twice.")
def init(*, url: str | None, accept_loss: bool) -> int:
    """Make the store, or bring it to this version. Harmless where it is there.

    URL is postgresql://user@host/database; the password is read from PGPASSWORD or ~/.pgpass.
    """
    from ..commands.store import init as make  # noqa: PLC0415 - `--help` needs none of it

    made = make(
        _named(url, hint=f"give its address, such as {_SUCH_AS}; or as {STORE_VARIABLE}"), accept_loss=accept_loss
    )
    first, *others = made.lines
    print(as_lines([first, *(f"  {line}" for line in others), *(f"  warning: {risk}" for risk in made.risks)]))
    print(as_lines(["  workers of other users: GRANT batchedit_worker TO their_user"]))
    return 0


@store.command("limits")
@click.argument("place", metavar="[URL]", required=False)
@store_address()
@click.option(
    "--max-cost", metavar="USD|none", callback=wished_cap, help="What all runs of this token may cost together."
)
@click.option("--in-flight", metavar="N|none", callback=_places, help="Jobs they may have under way at once.")
@click.pass_context
def limits(ctx: click.Context, /, place: str | None, url: str | None, max_cost: Any, in_flight: Any) -> int:
    """What all runs of the token that is set here may do together; without a limit, how it stands.

    The cap stands beside each run's own --max-cost. Only the owner of the store may set it. URL is the store's address, and
    may as well be given with --store.
    """
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..commands.store import limits as limited  # noqa: PLC0415
    from ..core.money import format_usd  # noqa: PLC0415

    if place is not None and place != url and ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE:
        raise UsageError("which store? Two addresses are given", hint="give one of them, with --store URL")
    cap, places = limited(_named(place or url), os.environ, max_cost=max_cost, in_flight=in_flight)
    print(f"max-cost   {'none' if cap is None else format_usd(cap)} for all runs of this token")
    print(f"in-flight  {'no limit' if places is None else number(places, 'job') + ' at once'}")
    return 0


@store.command("lift")
@click.argument("run")
@store_address()
def lift(*, run: str, url: str | None) -> int:
    """Let a run buy again that was halted because its store had forgotten something.

    Look first which server or backup this is: what it has forgotten may be bought a second time.
    """
    from ..commands.store import lift as lifted  # noqa: PLC0415 - `--help` needs none of it

    why = lifted(_named(url), run)
    print(as_lines([f"{run} may buy again; it was halted: {why}" if why else f"{run} is not halted"]))
    return 0


@batchedit.command("workers", epilog=EPILOG)
@store_address()
@JSON_OPTION
def workers(*, url: str | None, as_json: bool) -> int:
    """Who works in a shared ledger, with what each has in flight and when it was last heard of."""
    from ..commands.store import workers as seen  # noqa: PLC0415 - `--help` needs none of it

    found = seen(_named(url))
    if as_json:
        print_json("workers", workers_value(found))
        return 0
    for worker in found:
        heard = f"heard of {_when(worker.heard)}"
        flight = f"{worker.in_flight:,} in flight" if worker.state != "gone" else ""
        print(as_lines([f"{worker.id}  {worker.name}: {', '.join(filter(None, (worker.state, flight, heard)))}"]))
    if not found:
        print("nobody works in this store, and nobody has within a day")
    return 0


def _when(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC).astimezone():%H:%M:%S}"


_SUCH_AS = "postgresql://user@host/database"


def _named(url: str | None, hint: str = f"give its address: --store {_SUCH_AS}; or as {STORE_VARIABLE}") -> str:
    if url is None:
        raise UsageError("which store?", hint=hint)
    return url


@contextmanager
def _telling(ctx: click.Context, host: Any, seen: dict[str, Any]) -> Iterator[Callable[[Any], None]]:
    """Send how a run stands that is handed in, each state of it once, and what ends the command before it comes to a run.
    ``seen`` says where the runs are. A signal is no news: others go on.
    """
    from ..core.errors import BatcheditError  # noqa: PLC0415 - `--help` needs none of it
    from . import notices  # noqa: PLC0415

    told: dict[str, str] = {}
    host.notices.is_news = notices.make_news_check(seen["store"])

    def left(worked: Any) -> None:
        if ctx.params["notify"]:
            message, pictures = notices.describe_worker_end(worked.name, worked.error, seen)
            if told.get(worked.name) != message["text"]:
                host.notices.send(message, pictures)
            told[worked.name] = message["text"]

    try:
        yield left
    except BatcheditError as error:
        if host.stop.reason is None:
            host.notices.send(notices.describe_failure(ctx.params["run"] or "work", error))
        raise
    finally:
        host.notices.close()


@command("work")
@click.option("--run", "run", metavar="NAME", help="Only this run.  [default: every run of the store]")
@click.option("--until-idle", is_flag=True, help="End when nothing is left to do.  [default: wait for more]")
@options(WORK_OPTIONS, NOTIFY_OPTION, GRACE_OPTION, METRICS_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def work(ctx: click.Context, /, run: str | None, until_idle: bool, **_: Any) -> int:
    """Help at the runs of a shared ledger: buy what was said yes to, collect what was bought.

    Pictures go where the run has them: to its store of files, or to its folder, which all workers must share then. A signal
    ends it in order, and others go on.
    """
    from ..commands.work import work as help_out  # noqa: PLC0415 - `--help` needs none of it
    from .commands import host_of  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415

    told, host = given(ctx), host_of(ctx)
    url = _named(told.pop("store", None))
    seen = {"store": url, **({"out": told["out"]} if "out" in told else {})}
    with _telling(ctx, host, seen) as left:
        done = attended(host, lambda: help_out(url, host, told, run=run, until_idle=until_idle, left=left))
    for worked in done:
        states = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in worked.counts.by_state.items())
        print(as_lines([f"{worked.name}: {states}"]))
    ended = [worked.error for worked in done if worked.error is not None]
    if ended:
        raise ended[0]
    return host.stop.reason.code if host.stop.reason else 0
