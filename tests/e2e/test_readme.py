"""README and docs/ can't drift: option tables and the diagram are made from the program, the commands shown exist.

``BATCHEDIT_WRITE_README=1 pytest tests/e2e/test_readme.py`` (``make readme``) writes the made parts anew.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click
import pytest

from batchedit.cli.app import batchedit
from batchedit.cli.options import Setting
from batchedit.core.lifecycle import draw_mermaid

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MADE = {"options": ROOT / "docs/reference/settings.md", "diagram": ROOT / "docs/explanation/state-machine.md"}
"""The page that each made part stands on."""
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))


def make_options_table() -> str:
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
        commands = "all" if len(takers[key]) >= len(list_commands_with_settings()) else ", ".join(takers[key])
        lines.append(f"| {flags}{value.replace('|', chr(92) + '|')} | {text} | {commands} |")
    return "\n".join(lines)


def list_commands_with_settings() -> list[str]:
    return [n for n, c in batchedit.commands.items() if any(isinstance(p, Setting) for p in c.params)]


def make_commands_table() -> str:
    lines = ["```"]
    with click.Context(batchedit) as context:
        for name, command in batchedit.commands.items():
            if not command.hidden:
                lines.append(f"batchedit {name:<10} {command.get_short_help_str(90)}")
        del context
    return "\n".join([*lines, "```"])


def make_parts() -> dict[str, str]:
    return {
        "options": f"{make_commands_table()}\n\n{make_options_table()}",
        "diagram": f"```mermaid\n{draw_mermaid()}\n```",
    }


def test_the_made_parts_are_up_to_date() -> None:
    for name, content in make_parts().items():
        text = MADE[name].read_text(encoding="utf-8")
        pattern = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        assert pattern.search(text), name
        fresh = pattern.sub(lambda match, content=content: f"{match[1]}\n{content}\n\n{match[2]}", text)
        if os.environ.get("BATCHEDIT_WRITE_README"):
            text = fresh
            MADE[name].write_text(text, encoding="utf-8")
        assert text == fresh, f"the {name} in {MADE[name].relative_to(ROOT)} are stale: make readme"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"^(?:\$ )?batchedit (\w+)", text, re.MULTILINE):
        assert name in batchedit.commands, name
    for target in re.findall(r"^\$ make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_of_ours_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 1500


def read_prose(page: Path) -> str:
    """The page without its blocks of code, whose commands are run as they stand by tests of their own."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!-- (\w+):.*?<!-- /\1 -->", "", text, flags=re.DOTALL)


def explain_wrong_words(arguments: list[str]) -> str:
    """What the parser of the command says of these words, "" for nothing: a command that a person copies from a sentence."""
    name, *rest = arguments
    command = batchedit.commands.get(name)
    if command is None:
        return f"there is no command {name}"
    with click.Context(command, info_name=name) as context:
        try:
            command.make_parser(context).parse_args([word for word in rest if word not in {"…", "..."}])
        except click.UsageError as error:
            return error.format_message()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_and_option_in_a_sentence_is_one(page: Path) -> None:
    """README's blocks are typed by tests; what stands in a sentence was looked at by nobody."""
    options = {flag for command in batchedit.commands.values() for param in command.params for flag in param.opts}
    options |= {
        flag for command in batchedit.commands.values() for param in command.params for flag in param.secondary_opts
    }
    wrong = []
    for code in re.findall(r"`([^`\n]+)`", read_prose(page)):
        if code.startswith("batchedit "):
            wrong += [f"{code}: {why}" for why in [explain_wrong_words(shlex.split(code)[1:])] if why]
        elif code.startswith("--") and (flag := re.split(r"[ =\[]", code)[0]) not in options | {"--help", "--version"}:
            wrong.append(f"{code}: no command has {flag}")
        elif code.startswith("make "):
            makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
            wrong += [f"{code}: no such target" for target in code.split()[1:2] if f"\n{target}:" not in makefile]
    assert not wrong, "\n".join(wrong)
