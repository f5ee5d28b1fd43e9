"""Completion in real shells, as docs/how-to/complete-commands.md sets it up."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchedit.cli.app import batchedit
from batchedit.cli.group import SECTIONS
from batchedit.ledger.register import Register
from tests.support.cli import make_env

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment with ``batchedit`` on the path, and a folder with one sheet in it."""
    shim = tmp_path / "bin" / "batchedit"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m batchedit "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "spring.csv").write_text("sku,Photo link,prompt\n1,https://x.example/1.png,p\n")
    return make_env() | {
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "BATCHEDIT_STATE": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }


def complete_in_bash(folder: Path, env: dict[str, str], *arguments: str) -> list[str]:
    script = (
        'eval "$(_BATCHEDIT_COMPLETE=bash_source batchedit)"\n'
        'COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; _batchedit_completion batchedit\n'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    completed = subprocess.run(
        ["bash", "-c", script, "bash", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return completed.stdout.split("\n")[:-1]


def test_the_help_names_each_command_under_a_heading() -> None:
    listed_names = [name for names in SECTIONS.values() for name in names]
    assert len(listed_names) == len(set(listed_names))
    missing = {name for name, command in batchedit.commands.items() if not command.hidden} - set(listed_names)
    assert not missing, f"name them in SECTIONS of cli/group.py: {missing}"


def test_bash_completes_commands_and_options(tmp_path: Path, shell: dict[str, str]) -> None:
    assert complete_in_bash(tmp_path, shell, "batchedit", "stat") == ["status"]
    assert complete_in_bash(tmp_path, shell, "batchedit", "run", "--max") == ["--max-cost"]
    assert complete_in_bash(tmp_path, shell, "batchedit", "run", "--on-doubt", "buy") == ["buy-again"]


def test_bash_completes_the_columns_of_the_sheet(tmp_path: Path, shell: dict[str, str]) -> None:
    assert complete_in_bash(tmp_path, shell, "batchedit", "plan", "spring.csv", "--id", "s") == ["sku"]
    assert complete_in_bash(tmp_path, shell, "batchedit", "plan", "spring.csv", "--fill-down", "sku,pr") == [
        "sku,prompt"
    ]
    assert complete_in_bash(tmp_path, shell, "batchedit", "plan", "spring.csv", "--map", "image=Ph") == ["Photo\\ link"]
    assert complete_in_bash(tmp_path, shell, "batchedit", "plan", "spring.csv", "--map=image=Ph") == ["Photo\\ link"]


def test_a_column_behind_its_field_was_not_completed_at_a_real_prompt_of_bash(
    tmp_path: Path, shell: dict[str, str]
) -> None:
    """bash breaks a word at "=", which the function above was never given; and a blank made two words of a column's name."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvpe("bash", ["bash", "--norc", "-i"], shell | {"TERM": "dumb", "PS1": "> "})
    try:
        os.write(terminal, b'eval "$(_BATCHEDIT_COMPLETE=bash_source batchedit)"; echo rea""dy\n')
        read_until(terminal, "ready")
        os.write(terminal, b"batchedit plan spring.csv --map image=Ph\t")
        read_until(terminal, "--map image=Photo\\ link ")
        os.write(terminal, b"--map 'prompt=pr\t")
        read_until(terminal, "--map 'prompt=prompt' ")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


def test_bash_completes_runs_by_name_and_files(tmp_path: Path, shell: dict[str, str]) -> None:
    subprocess.run(
        ["batchedit", "run", "spring.csv", "--sandbox", "--map", "image=Photo link"],
        cwd=tmp_path, env=shell, capture_output=True, check=True,
    )  # fmt: skip
    assert [entry.folder.name for entry in Register.from_environ(shell).list_entries()] == ["spring"]
    assert complete_in_bash(tmp_path, shell, "batchedit", "status", "spr") == ["spring", "spring.csv"]
    assert complete_in_bash(tmp_path, shell, "batchedit", "status", "outputs/s") == ["outputs/spring/"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here; CI installs one")
def test_zsh_completes_commands_sheets_and_columns_at_a_real_prompt(tmp_path: Path, shell: dict[str, str]) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvpe("zsh", ["zsh", "-f", "-i"], shell | {"TERM": "dumb", "PS1": "> "})
    try:
        setup = (
            'autoload -Uz compinit; compinit -u; eval "$(_BATCHEDIT_COMPLETE=zsh_source batchedit)"; print rea""dy\n'
        )
        os.write(terminal, setup.encode())
        read_until(terminal, "ready")
        for incomplete, completed in (
            ("batchedit stat", "batchedit status"),
            ("batchedit run spr", "batchedit run spring.csv"),
            ("batchedit plan spring.csv --map image=Ph", r"--map image=Photo\ link"),
        ):
            os.write(terminal, f"\x15{incomplete}\t".encode())  # behind Ctrl-U, which empties the line
            read_until(terminal, completed)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here; CI installs one")
def test_fish_completes_commands_options_and_columns(tmp_path: Path, shell: dict[str, str]) -> None:
    incomplete_lines = (
        "batchedit stat",
        "batchedit run --max",
        "batchedit plan spring.csv --map image=",
        "batchedit run spr",
    )
    script = "; ".join(
        [
            "_BATCHEDIT_COMPLETE=fish_source batchedit | source",
            *(f"complete -C '{incomplete}'; echo ." for incomplete in incomplete_lines),
        ]
    )
    completed = subprocess.run(
        ["fish", "--private", "-c", script], cwd=tmp_path, env=shell, capture_output=True, text=True, check=True
    )
    completions = [
        [line.partition("\t")[0] for line in part.splitlines()] for part in completed.stdout.split("\n.\n")[:-1]
    ]
    columns = ["image=Photo link", "image=prompt", "image=sku"]
    assert completions == [["status"], ["--max-cost"], columns, ["spring.csv"]]


def read_until(terminal: int, expected: str) -> None:
    output, end = "", time.monotonic() + PATIENCE
    while expected not in output:
        assert time.monotonic() < end, output
        if select.select([terminal], [], [], 1)[0]:
            output += os.read(terminal, 4096).decode(errors="replace")
