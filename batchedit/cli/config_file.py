"""The settings file: found beside the manifest or in this folder, or named, and read as defaults of a command's options."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..core.errors import UsageError
from ..core.typed import quoted, to_type
from ..core.visible import one_line
from . import log_lines
from .options import ALL_KEYS, CONFIG_NAME, HEADINGS, LIMIT_KEYS, TAKEN_UNNAMED, Setting


class Command(click.Command):
    """A command whose options may also stand in a TOML file: ``--config``, beside the manifest, or in this folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the file first: what it says becomes the defaults."""
        if args:
            told, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            path, named = _config_path(told.get("config"), told.get("manifest") or told.get("run"))
            if path is not None:
                ctx.default_map = {**(ctx.default_map or {}), **_read_config(path, self, named=named)}
                ctx.meta["batchedit.config"] = str(path.absolute())
                if not told.get("quiet"):
                    if told.get("log_json") or ctx.default_map.get("log_json") is True:
                        log_lines.enable()
                    log_lines.write_line(f"settings are read from {path.absolute()}", "settings")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, under the headings of ``HEADINGS``."""
        under: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                heading = HEADINGS.get(option.key, "Options") if isinstance(option, Setting) else "Options"
                under.setdefault(heading, []).append(record)
        for heading, records in under.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def _config_path(given: str | None, manifest: str | None) -> tuple[Path | None, bool]:
    """The settings file, and whether somebody named it."""
    given = given or os.environ.get("BATCHEDIT_CONFIG")
    if given:
        if not Path(given).is_file():
            raise UsageError(f"there is no settings file {given}", hint="look at the path behind --config")
        return Path(given), True
    places = [Path(manifest).parent] if isinstance(manifest, str) and manifest != "-" else []
    for folder in (*places, Path()):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME, False
    return None, False


def _read_config(path: Path, command: click.Command, *, named: bool) -> dict[str, Any]:
    """The options in ``path``. From a file that nobody ``named`` those of the manifest alone: it may have come with the
    sheet, and data decides neither where the token goes nor whether to buy.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {path} can't be read: {error}") from None
    mine = {option.key: option for option in command.params if isinstance(option, Setting)}
    if not named:
        told = _of_the_manifest(path, told, mine)
    found: dict[str, Any] = {}
    for name, value in told.items():
        key = name.replace("-", "_")
        if key not in ALL_KEYS:
            near = difflib.get_close_matches(key, ALL_KEYS, n=1)
            hint = (
                f"did you mean {near[0].replace('_', '-')}?"
                if near
                else f"see {to_type(command.name or 'run', '--help')}"
            )
            raise UsageError(f"{path}: there is no setting {name!r}", hint=hint)
        if key in mine and mine[key].name is not None:
            found[mine[key].name] = _as_typed(value, mine[key])
    return found


def _of_the_manifest(path: Path, told: dict[str, Any], mine: Mapping[str, Setting]) -> dict[str, Any]:
    """``told`` without what only a person may say. UsageError where that would leave a purchase without its limit."""
    barred = {name: value for name, value in told.items() if name.replace("-", "_") in ALL_KEYS - TAKEN_UNNAMED}
    if not barred:
        return told
    names, file = one_line(", ".join(barred)), one_line(str(path))
    named = f"--config {quoted(path)}"
    limits = {name: value for name, value in barred.items() if name.replace("-", "_") in LIMIT_KEYS & mine.keys()}
    if limits and "max_cost" in mine:
        typed = " ".join(
            f"--{name}" if value is True else f"--{name} {quoted(_words(value))}" for name, value in limits.items()
        )
        raise UsageError(
            f"{file} sets {names}; a settings file that nobody named gives manifest settings only, and without its limits "
            "more might be bought than was meant",
            hint=f"type them with the command: {typed}; or, if the file is yours: {named}",
        )
    log_lines.write_line(
        f"warning: {file} sets {names}, which is not taken: a settings file that nobody named gives manifest settings "
        f"only (if the file is yours: {named})",
        "warning",
    )
    return {name: value for name, value in told.items() if name not in barred}


def _as_typed(value: Any, option: Setting) -> Any:
    """A TOML value as it would have been typed: tables as NAME=VALUE, lists by commas."""
    if isinstance(value, dict):
        return [f"{name}={_words(inner)}" for name, inner in value.items()]
    if option.multiple:
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, bool) else _words(value)


def _words(value: Any) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)
