"""The settings file: named by ``--config``, or found beside the manifest or in this folder. It sets defaults of options."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..core.errors import UsageError
from ..core.safe_text import to_one_line
from ..core.shell_commands import format_command, quote_word
from . import log_lines
from .options import ALL_KEYS, CONFIG_NAME, HEADINGS, KEYS_OF_UNNAMED_FILE, LIMIT_KEYS, Setting


class Command(click.Command):
    """A command whose options may also stand in a TOML file: ``--config``, beside the manifest, or in this folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the settings file first: its values become the defaults."""
        if args:
            parsed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            path, is_named = _find_config(parsed.get("config"), parsed.get("manifest") or parsed.get("run"))
            if path is not None:
                ctx.default_map = {**(ctx.default_map or {}), **_read_config(path, self, is_named=is_named)}
                ctx.meta["batchedit.config"] = str(path.absolute())
                if not parsed.get("quiet"):
                    if parsed.get("log_json") or ctx.default_map.get("log_json") is True:
                        log_lines.enable()
                    log_lines.write_line(f"settings are read from {path.absolute()}", "settings")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, under the headings of ``HEADINGS``."""
        records_by_heading: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                heading = HEADINGS.get(option.key, "Options") if isinstance(option, Setting) else "Options"
                records_by_heading.setdefault(heading, []).append(record)
        for heading, records in records_by_heading.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def _find_config(named_path: str | None, manifest: str | None) -> tuple[Path | None, bool]:
    """The settings file, and whether it was named by ``--config`` or the environment."""
    named_path = named_path or os.environ.get("BATCHEDIT_CONFIG")
    if named_path:
        if not Path(named_path).is_file():
            raise UsageError(f"there is no settings file {named_path}", hint="look at the path behind --config")
        return Path(named_path), True
    folders = [Path(manifest).parent] if isinstance(manifest, str) and manifest != "-" else []
    for folder in (*folders, Path()):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME, False
    return None, False


def _read_config(path: Path, command: click.Command, *, is_named: bool) -> dict[str, Any]:
    """The options in ``path``. A file that was found (not ``is_named``) sets those of the manifest only: it may have come
    with the sheet, and data must decide neither where the token goes nor whether to buy.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings file {path} can't be read: {error}") from None
    options_by_key = {option.key: option for option in command.params if isinstance(option, Setting)}
    if not is_named:
        settings = _keep_manifest_settings(path, settings, options_by_key)
    defaults: dict[str, Any] = {}
    for name, value in settings.items():
        key = name.replace("-", "_")
        if key not in ALL_KEYS:
            close_keys = difflib.get_close_matches(key, ALL_KEYS, n=1)
            hint = (
                f"did you mean {close_keys[0].replace('_', '-')}?"
                if close_keys
                else f"see {format_command(command.name or 'run', '--help')}"
            )
            raise UsageError(f"{path}: there is no setting {name!r}", hint=hint)
        if key in options_by_key and options_by_key[key].name is not None:
            defaults[options_by_key[key].name] = _to_typed_value(value, options_by_key[key])
    return defaults


def _keep_manifest_settings(
    path: Path, settings: dict[str, Any], options_by_key: Mapping[str, Setting]
) -> dict[str, Any]:
    """``settings`` without those that only a person may set. UsageError where a purchase would lose its limit by that."""
    refused = {
        name: value for name, value in settings.items() if name.replace("-", "_") in ALL_KEYS - KEYS_OF_UNNAMED_FILE
    }
    if not refused:
        return settings
    refused_names, file_name = to_one_line(", ".join(refused)), to_one_line(str(path))
    named_option = f"--config {quote_word(path)}"
    limits = {
        name: value for name, value in refused.items() if name.replace("-", "_") in LIMIT_KEYS & options_by_key.keys()
    }
    if limits and "max_cost" in options_by_key:
        typed_limits = " ".join(
            f"--{name}" if value is True else f"--{name} {quote_word(_to_typed_text(value))}"
            for name, value in limits.items()
        )
        raise UsageError(
            f"{file_name} sets {refused_names}; a settings file that nobody named gives manifest settings only, and without "
            "its limits more might be bought than was meant",
            hint=f"type them with the command: {typed_limits}; or, if the file is yours: {named_option}",
        )
    log_lines.write_line(
        f"warning: {file_name} sets {refused_names}, which is not taken: a settings file that nobody named gives manifest "
        f"settings only (if the file is yours: {named_option})",
        "warning",
    )
    return {name: value for name, value in settings.items() if name not in refused}


def _to_typed_value(value: Any, option: Setting) -> Any:
    """A TOML value as it would have been typed: tables as NAME=VALUE, lists separated by commas."""
    if isinstance(value, dict):
        return [f"{name}={_to_typed_text(inner)}" for name, inner in value.items()]
    if option.multiple:
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, bool) else _to_typed_text(value)


def _to_typed_text(value: Any) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)
