"""The man page that the wheel brings is the one that the docs are built to."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from batchedit.cli.app import batchedit

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "man" / "batchedit.1"


def options_of(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from parameter.opts
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield name
            yield from options_of(inner)


def test_a_wheel_brought_no_man_page() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert settings["data-files"] == {"share/man/man1": [PAGE.relative_to(ROOT).as_posix()]}
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    words = set(re.findall(r"[a-zA-Z0-9-]+", text))
    assert [word for word in options_of(batchedit) if word not in words] == [], "type: make man"


@pytest.mark.process
def test_the_man_page_is_the_one_that_the_docs_are_built_to(tmp_path: Path) -> None:
    pytest.importorskip(
        "sphinx_click", reason="the extra docs is not installed here; make docs compares the two as well"
    )
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "man", "-d", tmp_path / "trees", ROOT / "docs", tmp_path / "man"],
        check=True,
    )
    made = (tmp_path / "man" / "batchedit.1").read_text(encoding="utf-8")
    lines = [line for line in made.splitlines() if not line.startswith('.\\" by the Docutils')]
    assert lines == PAGE.read_text(encoding="utf-8").splitlines(), "type: make man"
