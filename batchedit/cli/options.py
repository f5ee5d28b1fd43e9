"""The options of all commands, in the groups that the help shows: each with its environment variable and its parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from click.core import ParameterSource

from ..ledger.postgres.url import VARIABLE as STORE_VARIABLE
from .completion import complete_column
from .option_values import (
    parse_cap,
    parse_concurrency,
    parse_dollars,
    parse_failure_limit,
    parse_lists,
    parse_pairs,
    parse_rate,
    parse_time_of_day,
    split_commas,
)

CONFIG_NAME = "batchedit.toml"


class Setting(click.Option):
    """An option that can also be given in the environment, as BATCHEDIT_NAME. ``separator_pattern`` separates several values
    there; the default is ``;`` or a line end.
    """

    def __init__(
        self, declarations: Iterable[str], *args: Any, separator_pattern: str = r"[;\n]", **kwargs: Any
    ) -> None:
        super().__init__(list(declarations), *args, **kwargs)
        self._separator_pattern = separator_pattern
        longest_name = max(self.opts, key=len).lstrip("-")
        self.key = longest_name.replace("-", "_")
        self.envvar = f"BATCHEDIT_{self.key.upper()}"

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Split at ``separator_pattern``. Click splits at blanks, which column names may contain."""
        if not self.multiple:
            return super().value_from_envvar(ctx)
        text = self.resolve_envvar_value(ctx)
        return [part.strip() for part in re.split(self._separator_pattern, text) if part.strip()] if text else None


Convert = Callable[[Any], Any]


def _make_callback(convert: Convert | None) -> Callable[[click.Context, click.Parameter, Any], Any] | None:
    if convert is None:
        return None
    return lambda _ctx, _param, value: convert(value)


def setting(*names: str, convert: Convert | None = None, **kwargs: Any) -> Callable[[Any], Any]:
    """An option as a decorator."""
    return click.option(*names, cls=Setting, callback=_make_callback(convert), **kwargs)


MANIFEST_OPTIONS = (
    setting("--model", metavar="ID", help="The model to buy from.  [default: openai/gpt-4o-image/edit]"),
    setting("--schema", type=click.Path(), metavar="FILE", help="The model's input schema, if it is not built in."),
    setting("--prompt", metavar="TEMPLATE", help="The prompt; {Column} stands for the row's cell."),
    setting(
        "--map",
        multiple=True,
        shell_complete=complete_column,
        metavar="FIELD=COLUMN",
        convert=parse_pairs,
        help="Which column an input comes from.",
    ),
    setting(
        "--set", multiple=True, metavar="FIELD=VALUE", convert=parse_pairs, help="One value of an input for all rows."
    ),
    setting("--sizes", metavar="LIST", convert=split_commas, help="Every row in each of these sizes, e.g. 1:1,2:3."),
    setting("--variants", type=click.IntRange(1, 100), default=1, help="Every row so many times.  [default: 1]"),
    setting(
        "--for",
        "over",
        multiple=True,
        metavar="COLUMN=A,B",
        convert=parse_lists,
        help="Every row with each of these values.",
    ),
    setting(
        "--fill-down",
        shell_complete=complete_column,
        metavar="LIST",
        convert=split_commas,
        help="Columns whose value carries down within an id.",
    ),
    setting(
        "--id",
        shell_complete=complete_column,
        metavar="COLUMN",
        help="The column that names a row.  [default: id, sku, handle, …]",
    ),
    setting("--name", metavar="TEMPLATE", help="File names.  [default: {id}-{size}-{variant}]"),
    setting("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures of the manifest."),
    setting("--encoding", metavar="NAME", help="The manifest's encoding, if it is guessed wrong."),
    setting("--delimiter", metavar="CHAR", help="The manifest's delimiter, if it is guessed wrong."),
    setting("--sheet", metavar="NAME", help="The sheet of an Excel file.  [default: the first visible]"),
    setting("--visible-only", is_flag=True, help="Leave out the rows that are hidden in an Excel sheet."),
    setting(
        "--header-row",
        type=click.IntRange(1),
        metavar="N",
        help="The sheet's row with the column names.  [default: found by what stands under it]",
    ),
    setting(
        "--image-root",
        multiple=True,
        metavar="DIR",
        convert=tuple,
        help="A folder besides the manifest's below which pictures are read; may be given again.",
    ),
    setting("--no-shrink", is_flag=True, help="Refuse local pictures over 6 MiB instead of re-encoding them."),
    setting(
        "--check-images",
        is_flag=True,
        help="Ask each distinct link first: is a picture there, and not over 25 MB?  [default: the first 20]",
    ),
    setting("--no-check-images", is_flag=True, help="Ask no link at all, not even the first 20."),
    setting("--skip-invalid", is_flag=True, help="Go on without the rows that can't be bought."),
    setting(
        "--price", metavar="USD", convert=parse_dollars, help="What one picture costs.  [default: the catalogue's]"
    ),
)

MODEL_OPTIONS = MANIFEST_OPTIONS[:2]

FORMATS = ("csv", "jsonl", "parquet", "xlsx")
FORMAT_OPTION = (
    setting(
        "--format", type=click.Choice(FORMATS), help="Write the results in this form too.  [default: the manifest's]"
    ),
    setting("--no-thumbnails", is_flag=True, help="No small pictures in results.xlsx."),
)

CANARY_OPTION = setting(
    "--canary", type=click.IntRange(0), default=0, metavar="N", help="Buy N first, show what they came to, then ask."
)

LIMIT_OPTIONS = (
    setting("-j", "--concurrency", default="20", metavar="N|auto", convert=parse_concurrency,
            help="Jobs in flight.  [default: 20]"),
    setting("--rate", metavar="N/s|N/m", convert=parse_rate, help="At most so many submissions."),
    setting("--max-cost", metavar="USD|none", convert=parse_cap,
            help="Never spend more than this on this run, all in all; kept until another is given, none lifts it."),
    setting("--stop-after-failures", metavar="N|P%", convert=parse_failure_limit,
            help="Stop buying then.  [default: when the first 20 finished jobs all failed]"),
    setting("--until", metavar="HH:MM", convert=parse_time_of_day, help="Stop buying at this time of day."),
    setting("--poll-seconds", type=click.FloatRange(0.2), metavar="S",
            help="Look every S seconds instead of learning when."),
)  # fmt: skip

WORK_OPTIONS = tuple(LIMIT_OPTIONS[index] for index in (0, 1, 5))
"""The limits that one worker may set for itself. The cap, and when to stop buying, belong to the run."""

BUYING_OPTIONS = (
    *LIMIT_OPTIONS,
    setting("--on-doubt", type=click.Choice(["hold", "buy-again"]), default="hold",
            help="What to do about a job that may have been bought.  [default: hold]"),
)  # fmt: skip

STUCK_OPTION = setting(
    "--stuck-after",
    type=click.FloatRange(1),
    default=3600.0,
    metavar="S",
    help="Stop looking at a job after S seconds.  [default: 3600]",
)

FRESH_OPTION = setting(
    "--fresh", is_flag=True, help="Buy also what other runs of yours have: nothing is reused or left to them."
)

MINE_OPTION = setting(
    "--mine",
    is_flag=True,
    help="The run is yours, though this machine does not know it: believe all its settings (say so once).",
)
STORE_OPTION = setting("--store", metavar="URL", help="A ledger shared with others: postgresql://user@host/database.")


def store_address_option(help_text: str = "The shared ledger: postgresql://…") -> Callable[[Any], Any]:
    """``--store`` for a command that works on a store and not on a run. The parameter is called ``url``."""
    return click.option("--store", "url", metavar="URL", envvar=STORE_VARIABLE, help=help_text)


FILES_OPTION = setting(
    "--files", metavar="URL", help="Keep pictures in s3://bucket/prefix, gs://…, az://… or a folder too."
)

SERVICE_OPTIONS = (
    STORE_OPTION,
    FILES_OPTION,
    setting("--base-url", metavar="URL", help="The service's address."),
    setting(
        "--another-account",
        is_flag=True,
        help="The token is another one than that which bought (say so once after it was renewed).",
    ),
    setting(
        "--allow-host",
        "allow_hosts",
        multiple=True,
        metavar="HOST",
        convert=tuple,
        help="Take files from this host too.",
    ),
)

COMMON_OPTIONS = (
    setting(
        "--config",
        type=click.Path(),
        metavar="FILE",
        help=f"Settings file.  [default: {CONFIG_NAME} beside the manifest or here]",
    ),
    setting(
        "--out",
        type=click.Path(file_okay=True),
        metavar="DIR",
        help="The run's folder.  [default: outputs/<the manifest's name>]",
    ),
    setting("--log-json", is_flag=True, help="Events as JSON lines on stderr, instead of a bar."),
    setting("-q", "--quiet", is_flag=True, help="Say only what went wrong."),
    setting("-v", "--verbose", is_flag=True, help="Say more."),
)

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead; errors too.")
NOTIFY_OPTION = setting(
    "--notify",
    multiple=True,
    metavar="URL",
    separator_pattern=r"[;\n]\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)",  # a password in an address may hold a semicolon
    convert=lambda urls: tuple(dict.fromkeys(urls)),
    help="Say there that it started, waits, stopped and why, is finished: a Slack web hook, your own, or mailto://, … "
    "by Apprise; may be given again, and each is told.",
)
METRICS_OPTION = setting(
    "--metrics", metavar="HOST:PORT", help="Numbers for Prometheus there, and /healthz and /readyz, while it goes on."
)
AWAKE_OPTION = setting("--allow-sleep", is_flag=True, help="Don't keep the machine awake while the run goes on.")
GRACE_OPTION = setting(
    "--grace",
    type=click.FloatRange(0),
    default=240.0,
    metavar="S",
    help="Told to end, wait at most S seconds for answers on the way.  [default: 240]",
)
OWN_PROCESS_OPTIONS = (
    setting(
        "--detach", is_flag=True, help="Ask here, then go on in a process of its own: this terminal may be closed."
    ),
    AWAKE_OPTION,
    GRACE_OPTION,
)
YES_OPTION = setting("-y", "--yes", is_flag=True, help="Don't ask.")
SANDBOX_OPTION = setting("--sandbox", is_flag=True, help="A local stand-in for the service: nothing is bought.")


def options(*groups: Any) -> Callable[[Any], Any]:
    """Combine options and groups of options into one decorator. The help shows them in this order."""
    decorators = [option for group in groups for option in (group if isinstance(group, tuple) else (group,))]

    def decorate(function: Any) -> Any:
        for option in reversed(decorators):
            function = option(function)
        return function

    return decorate


def _collect_keys(*groups: Any) -> frozenset[str]:
    def placeholder() -> None:
        """Carries the options, so that click lists them."""

    return frozenset(option.key for option in options(*groups)(placeholder).__click_params__)


_GROUPS: Mapping[str, Any] = {
    "What is made of the sheet": MANIFEST_OPTIONS,
    "How it comes back": FORMAT_OPTION,
    "What is bought": (
        CANARY_OPTION, *BUYING_OPTIONS, FRESH_OPTION, STUCK_OPTION, SANDBOX_OPTION, YES_OPTION, MINE_OPTION,
        NOTIFY_OPTION, METRICS_OPTION, *OWN_PROCESS_OPTIONS,
    ),
    "The service": SERVICE_OPTIONS,
    "Every command": COMMON_OPTIONS,
}  # fmt: skip
HEADINGS: Mapping[str, str] = {key: heading for heading, group in _GROUPS.items() for key in _collect_keys(group)}
"""An option's key → the heading that the help shows it under."""
ALL_KEYS = frozenset(HEADINGS) - {"detach", "metrics", "grace"}
KEYS_OF_UNNAMED_FILE = _collect_keys(MANIFEST_OPTIONS) - {
    "price",  # the question would show it as what the pictures cost
    "image_root",  # it decides which files of this machine are sent
}
"""What a settings file may set that was found and not named with ``--config``."""
LIMIT_KEYS = frozenset({"max_cost", "canary", "until", "stop_after_failures", "sandbox"})
"""Settings that limit what is bought: without them more would be bought than the file's writer meant."""
NOT_SETTINGS = frozenset({"config", "log_json", "quiet", "verbose", "yes", "notify", "detach", "metrics", "grace"})


def read_given_options(ctx: click.Context) -> dict[str, Any]:
    """What was given by flag, environment or file: field of Settings → value."""
    return {name: ctx.params[name] for name in find_origins(ctx)}


def find_origins(ctx: click.Context) -> dict[str, str]:
    """Field of Settings → where its value came from, for all that are not defaults."""
    return {
        option.name: origin
        for option in ctx.command.params
        if isinstance(option, Setting)
        and option.name is not None
        and option.key not in NOT_SETTINGS
        and (origin := _find_origin(ctx, option))
    }


def _find_origin(ctx: click.Context, option: Setting) -> str:
    match ctx.get_parameter_source(option.name or ""):
        case ParameterSource.COMMANDLINE | ParameterSource.PROMPT:
            return "flag"
        case ParameterSource.ENVIRONMENT:
            return f"environment {option.envvar}"
        case ParameterSource.DEFAULT_MAP:
            return f"file {ctx.meta.get('batchedit.config', '')}".strip()
    return ""
