"""The README can't drift: its option tables and its diagram are made from the program, its commands exist.

``BATCHEDIT_WRITE_README=1 pytest tests/e2e/test_readme.py`` (``make readme``) writes the made parts anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from batchedit.cli.app import batchedit
from batchedit.cli.options import Setting
from batchedit.core.lifecycle import mermaid

README = Path(__file__).parents[2] / "README.md"


def options_table() -> str:
    """Each setting once, with the commands that take it."""
    takers: dict[str, list[str]] = {}
    settings: dict[str, Setting] = {}
    for name, command in batchedit.commands.items():
        for option in command.params:
            if isinstance(option, Setting):
                takers.setdefault(option.key, []).append(name)
                settings[option.key] = option
    lines = ["| option | | commands |", "| --- | --- | --- |"]
    for key, option in settings.items():
        flags = " ".join(f"`{flag}`" for flag in option.opts)
        value = f" {option.metavar}" if option.metavar and not option.is_flag else ""
        text = (option.help or "").replace("|", "\\|")
        commands = "all" if len(takers[key]) >= len(commands_with_settings()) else ", ".join(takers[key])
        lines.append(f"| {flags}{value.replace('|', chr(92) + '|')} | {text} | {commands} |")
    return "\n".join(lines)


def commands_with_settings() -> list[str]:
    return [n for n, c in batchedit.commands.items() if any(isinstance(p, Setting) for p in c.params)]


def commands_table() -> str:
    lines = ["```"]
    with click.Context(batchedit) as context:
        for name, command in batchedit.commands.items():
            lines.append(f"batchedit {name:<10} {command.get_short_help_str(90)}")
        del context
    return "\n".join([*lines, "```"])


def made() -> dict[str, str]:
    return {
        "options": f"{commands_table()}\n\n{options_table()}",
        "diagram": f"```mermaid\n{mermaid()}\n```",
    }


def test_the_made_parts_are_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    for name, content in made().items():
        pattern = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        assert pattern.search(text), name
        fresh = pattern.sub(lambda found, content=content: f"{found[1]}\n{content}\n\n{found[2]}", text)
        if os.environ.get("BATCHEDIT_WRITE_README"):
            text = fresh
            README.write_text(text, encoding="utf-8")
        assert text == fresh, f"the {name} in README.md are stale: make readme"


def test_every_command_in_the_readme_exists() -> None:
    text = README.read_text(encoding="utf-8")
    for name in re.findall(r"^\$ batchedit (\w+)", text, re.MULTILINE):
        assert name in batchedit.commands, name
    for target in re.findall(r"^\$ make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", (README.parent / "Makefile").read_text(), re.MULTILINE), target
