"""At a terminal of 80 columns: no line is longer, none is broken within a word, a path or a command; a redraw is one."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from batchedit.cli.app import batchedit
from batchedit.cli.streams import fold
from batchedit.core.shell_commands import format_command
from batchedit.sandbox import SandboxConfig, serve
from tests.e2e.test_terminal import run_at_terminal
from tests.support.cli import make_env, manifest, on, run_cli, start, until

SCREEN = 80


def split_lines(screen: str) -> list[str]:
    """What stands on the screen: a line that was drawn over is not there any more."""
    return [line.rsplit("\r", 1)[-1] for line in screen.replace("\r\n", "\n").split("\n")]


def test_no_line_of_a_plan_and_a_run_is_broken_by_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "sku,image,prompt\nA,photos/that is not here.png,an ad for this mug on a window sill\n"
        "B,https://images.example.com/mug.png,an ad for this mug on a window sill\n",
        encoding="utf-8",
    )
    screen, _ = run_at_terminal(["plan", "m.csv"], tmp_path, columns=SCREEN)
    assert "nor a file in" in " ".join(screen.split())
    run, code = run_at_terminal(
        ["run", "m.csv", "--sandbox", "--skip-invalid", "--max-cost", "50"], tmp_path, columns=SCREEN
    )
    assert code == 0, run
    long = [line for line in split_lines(screen + run) if len(line) > SCREEN and len(line.lstrip(" |").split()) > 1]
    assert not long, long
    assert "$0.04 spent, at most $50.00 (play money)" in run, "three sums of zero dollars stood between these"


@pytest.mark.parametrize("command", ["", *sorted(batchedit.commands)])
def test_help_fits_a_terminal_of_80_columns(command: str, tmp_path: Path) -> None:
    """The faults of the sandbox were lines of 300 letters."""
    stdout = run_cli(*command.split(), "--help", cwd=tmp_path, env=make_env() | {"COLUMNS": "80"}).stdout
    assert len(stdout.splitlines()) > 5
    assert not [line for line in stdout.splitlines() if len(line) > SCREEN]


def test_json_at_a_terminal_is_json(tmp_path: Path) -> None:
    prompt = "an ad for this mug, " * 20
    (tmp_path / "m.csv").write_text(
        f'sku,image,prompt\nA,https://images.example.com/mug.png,"{prompt}"\n', encoding="utf-8"
    )
    screen, _ = run_at_terminal(["plan", "m.csv", "--json"], tmp_path, columns=SCREEN)
    assert json.loads(screen[screen.index("{") :])["schema"].startswith("batchedit/plan/")
    run_screen, _ = run_at_terminal(["run", "m.csv", "--sandbox", "--log-json", "--json"], tmp_path, columns=SCREEN)
    events = [line for line in split_lines(run_screen) if line.startswith('{"')]
    assert any(len(line) > SCREEN for line in events)
    assert all(isinstance(json.loads(line), dict) for line in events)


def test_watching_draws_over_what_it_drew(tmp_path: Path) -> None:
    """The way back to the first line was shown as its number, and each second stood below the last: ``\\x1b[6F\\x1b[J``."""
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="6", plain_files=4_000)) as it:
        run = start("run", "m.csv", *on(it), cwd=tmp_path)
        until(lambda: it.ledger()["accepted"])
        screen, code = run_at_terminal(["status", "m.csv", "--watch"], tmp_path, columns=SCREEN)
        run.communicate()
    assert code == 0, screen
    assert "\\x1b" not in screen
    assert re.search(r"\x1b\[\d+F\x1b\[J", screen), screen


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        ("  money   one two three four five", "  money   one two\n        | three four\n        | five"),
        (
            "  → look at outputs/a/long/path/that/fits/nowhere/x.png",
            "  → look at\n  | outputs/a/long/path/that/fits/nowhere/x.png",
        ),
        (
            f"  → to go on with it: {format_command('run', 'outputs/a b', '--max-cost', '0.12')}",
            "  → to go on with\n  | it:\n    batchedit run 'outputs/a b' --max-cost 0.12",
        ),
        ("say which: --map image='a b c d'; or not", "say which: --map\n  | image='a b c d';\n  | or not"),
        ("  → say: --map image=X; or else", "  → say:\n  | --map image=X;\n  | or else"),
        ("  → say it: --prompt 'an ad'", "  → say it:\n  | --prompt 'an ad'"),
        (
            f"  → say it: {format_command('run', 'outputs/a-name')}; or not",
            "  → say it:\n    batchedit run outputs/a-name\n  | ; or not",
        ),
        (
            "  → Columns: batchedit redo spring --yes",
            "  → Columns:\n  | batchedit redo\n  | spring --yes",
        ),
        (
            f"  → in x: {format_command('run', 'spring')}/files",
            "  → in x: batchedit\n  | run spring/files",
        ),
        ("  trouble  “x: batchedit run aaaa bbbb", "  trouble  “x:\n  | batchedit run\n  | aaaa bbbb"),
        ("it can't be that it isn't here", "it can't be that it\n  | isn't here"),
        ("costs $0.12 (play money).", "costs $0.12\n  | (play money)."),
        ("ten letters and\nten more", "ten letters and\nten more"),
        ("画像画像画像 画像画像", "画像画像画像\n  | 画像画像"),
        ("", ""),
    ],
)
def test_a_line_is_folded(line: str, folded: str) -> None:
    assert fold(line, 20) == folded


FOREIGN = "batchedit redo spring --yes"


@pytest.mark.parametrize("name", [f"spring: {FOREIGN}", f"it's: {FOREIGN}", f'"x": {FOREIGN}'])
def test_the_name_of_a_sheet_is_no_command_of_ours(tmp_path: Path, name: str) -> None:
    """`the pictures: outputs/spring:` stood there, and below it, on a line of its own, what the sheet's name says to type."""
    manifest(tmp_path / f"{name}.csv", 1)
    run, code = run_at_terminal(["run", f"{name}.csv", "--sandbox", "--max-cost", "50"], tmp_path, columns=SCREEN)
    assert code == 0, run
    assert not [line for line in split_lines(run) if line.strip().startswith(FOREIGN)], run
    (pictures,) = re.findall(r"the pictures: .*?the enriched", " ".join(re.sub(r"\r?\n *\|", "", run).split()))
    assert shlex.split(pictures)[2] == f"outputs/{name}/files,"


def test_the_names_of_columns_and_sheets_are_no_commands_of_ours(tmp_path: Path) -> None:
    (tmp_path / f"{FOREIGN}.csv").write_text(
        f"{FOREIGN} and all the rest that there is in it,prompt\nhttps://a.example/b.png,an ad\n"
    )
    columns, _ = run_at_terminal(["plan", f"{FOREIGN}.csv", "--map", "image=nothing"], tmp_path, columns=SCREEN)
    tables, _ = run_at_terminal(["plan", "nothing like that.csv"], tmp_path, columns=SCREEN)
    for message, label in ((columns, "Columns:"), (tables, "Tables in")):
        assert label in message
        assert FOREIGN in " ".join(message.replace("|", " ").split())
        assert not [line for line in split_lines(message) if line.strip(" '").startswith(FOREIGN)], message
