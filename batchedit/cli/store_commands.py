"""The commands of a shared ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from ..core.errors import UsageError
from ..core.plurals_and_durations import pluralize
from ..core.safe_text import as_lines
from ..ledger.postgres.url import VARIABLE as STORE_VARIABLE
from .group import EPILOG, batchedit, command
from .json_output import print_json
from .json_values import workers_to_json
from .option_values import parse_cap_option
from .options import (
    COMMON_OPTIONS,
    GRACE_OPTION,
    JSON_OPTION,
    METRICS_OPTION,
    NOTIFY_OPTION,
    SERVICE_OPTIONS,
    WORK_OPTIONS,
    options,
    read_given_options,
    store_address_option,
)


def _parse_in_flight(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | str | None:
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
    from ..commands.store import init as init_store  # noqa: PLC0415 - `--help` needs none of it

    made_store = init_store(
        _require_url(url, hint=f"give its address, such as {_EXAMPLE_URL}; or as {STORE_VARIABLE}"),
        accept_loss=accept_loss,
    )
    first_line, *other_lines = made_store.lines
    print(
        as_lines(
            [first_line, *(f"  {line}" for line in other_lines), *(f"  warning: {risk}" for risk in made_store.risks)]
        )
    )
    print(as_lines(["  workers of other users: GRANT batchedit_worker TO their_user"]))
    return 0


@store.command("limits")
@click.argument("place", metavar="[URL]", required=False)
@store_address_option()
@click.option(
    "--max-cost", metavar="USD|none", callback=parse_cap_option, help="What all runs of this token may cost together."
)
@click.option("--in-flight", metavar="N|none", callback=_parse_in_flight, help="Jobs they may have under way at once.")
@click.pass_context
def limits(ctx: click.Context, /, place: str | None, url: str | None, max_cost: Any, in_flight: Any) -> int:
    """What all runs of the token that is set here may do together; without a limit, how it stands.

    The cap stands beside each run's own --max-cost. Only the owner of the store may set it. URL is the store's address, and
    may as well be given with --store.
    """
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..commands.store import update_limits as set_limits  # noqa: PLC0415
    from ..core.money import format_usd  # noqa: PLC0415

    if place is not None and place != url and ctx.get_parameter_source("url") is ParameterSource.COMMANDLINE:
        raise UsageError("which store? Two addresses are given", hint="give one of them, with --store URL")
    cap, in_flight_limit = set_limits(_require_url(place or url), os.environ, max_cost=max_cost, in_flight=in_flight)
    print(f"max-cost   {'none' if cap is None else format_usd(cap)} for all runs of this token")
    print(f"in-flight  {'no limit' if in_flight_limit is None else pluralize(in_flight_limit, 'job') + ' at once'}")
    return 0


@store.command("lift")
@click.argument("run")
@store_address_option()
def lift(*, run: str, url: str | None) -> int:
    """Let a run buy again that was halted because its store had forgotten something.

    Look first which server or backup this is: what it has forgotten may be bought a second time.
    """
    from ..commands.store import lift as lift_halt  # noqa: PLC0415 - `--help` needs none of it

    halt_reason = lift_halt(_require_url(url), run)
    print(as_lines([f"{run} may buy again; it was halted: {halt_reason}" if halt_reason else f"{run} is not halted"]))
    return 0


@batchedit.command("workers", epilog=EPILOG)
@store_address_option()
@JSON_OPTION
def workers(*, url: str | None, as_json: bool) -> int:
    """Who works in a shared ledger, with what each has in flight and when it was last heard of."""
    from ..commands.store import list_workers  # noqa: PLC0415 - `--help` needs none of it

    store_workers = list_workers(_require_url(url))
    if as_json:
        print_json("workers", workers_to_json(store_workers))
        return 0
    for worker in store_workers:
        heard_text = f"heard of {_format_time(worker.heard)}"
        in_flight_text = f"{worker.in_flight:,} in flight" if worker.state != "gone" else ""
        print(
            as_lines(
                [f"{worker.id}  {worker.name}: {', '.join(filter(None, (worker.state, in_flight_text, heard_text)))}"]
            )
        )
    if not store_workers:
        print("nobody works in this store, and nobody has within a day")
    return 0


def _format_time(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC).astimezone():%H:%M:%S}"


_EXAMPLE_URL = "postgresql://user@host/database"


def _require_url(
    url: str | None, hint: str = f"give its address: --store {_EXAMPLE_URL}; or as {STORE_VARIABLE}"
) -> str:
    if url is None:
        raise UsageError("which store?", hint=hint)
    return url


@contextmanager
def _notify_worker_ends(ctx: click.Context, host: Any, run_place: dict[str, Any]) -> Iterator[Callable[[Any], None]]:
    """Send ``--notify`` the state of each run that the yielded function is called with, each state once, and an error that
    ends the command. A signal is not sent: other workers go on. ``run_place``: the store, and the folder of ``--out``.
    """
    from ..core.errors import BatcheditError  # noqa: PLC0415 - `--help` needs none of it
    from . import notices  # noqa: PLC0415

    last_texts: dict[str, str] = {}
    host.notices.is_news = notices.make_news_check(run_place["store"])

    def send_worker_end(worked_run: Any) -> None:
        if ctx.params["notify"]:
            message, pictures = notices.describe_worker_end(worked_run.name, worked_run.error, run_place)
            if last_texts.get(worked_run.name) != message["text"]:
                host.notices.send(message, pictures)
            last_texts[worked_run.name] = message["text"]

    try:
        yield send_worker_end
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
    from .commands import make_host  # noqa: PLC0415
    from .terminal import run_attended  # noqa: PLC0415

    settings_given, host = read_given_options(ctx), make_host(ctx)
    url = _require_url(settings_given.pop("store", None))
    run_place = {"store": url, **({"out": settings_given["out"]} if "out" in settings_given else {})}
    with _notify_worker_ends(ctx, host, run_place) as send_worker_end:

        def leave_run(worked_run: Any) -> None:
            host.clear_metrics()
            send_worker_end(worked_run)

        worked_runs = run_attended(
            host, lambda: help_out(url, host, settings_given, run=run, until_idle=until_idle, on_left=leave_run)
        )
    for worked_run in worked_runs:
        states_text = ", ".join(
            f"{count:,} {state.replace('_', ' ')}" for state, count in worked_run.counts.by_state.items()
        )
        print(as_lines([f"{worked_run.name}: {states_text}"]))
    errors = [worked_run.error for worked_run in worked_runs if worked_run.error is not None]
    if errors:
        raise errors[0]
    return host.stop.reason.code if host.stop.reason else 0
