"""Steps that may take long say how far they are: on a terminal, without one, and not at all where nobody wants it."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import anyio
import pytest

from batchedit.cli.terminal import Terminal
from batchedit.commands.plan import plan
from batchedit.commands.step_bar import StepBar, StepLines, format_progress
from batchedit.core.errors import InterruptedRunError
from batchedit.core.steps import ProgressCallback, no_progress
from batchedit.sandbox import SandboxConfig, serve
from batchedit.settings.model import Settings
from tests.support.cli import manifest, on, run_cli, until

LONG, NONE = 1e9, 0.0


def report_step(bar: StepBar, what: str, done: int, total: int) -> None:
    with bar.step(what) as on_progress:
        on_progress(done, total)
        on_progress(done + 1, total)


def test_a_step_that_is_over_in_a_moment_is_not_shown() -> None:
    screen = io.StringIO()
    report_step(StepBar(screen, LONG), "checking rows", 5, 10)
    assert screen.getvalue() == ""


def test_a_long_step_is_a_bar_that_leaves_nothing_behind() -> None:
    screen = io.StringIO()
    bar = StepBar(screen, NONE)
    with bar.step("checking\x1b[2Jrows") as on_progress:
        until(lambda: on_progress(500_000, 1_000_000) or "50%" in screen.getvalue())
    assert "checking\\x1b[2Jrows: " in screen.getvalue()
    assert screen.getvalue().rsplit("\r", 2)[1].strip() == ""
    assert not bar.say("no bar, so not here")


def test_a_step_within_a_step_takes_its_place_until_it_is_over() -> None:
    """Two bars would need a cursor that moves, which our streams do not let through."""
    screen = io.StringIO()
    bar = StepBar(screen, NONE)
    with bar.step("copying") as outer:
        report_step(bar, "writing", 1, 2)
        assert list_drawn(screen)[-1].startswith("writing")
        until(lambda: outer(2, 2) or list_drawn(screen)[-1].startswith("copying"))
    assert "\x1b" not in screen.getvalue()
    assert "\n" not in screen.getvalue()


def list_drawn(screen: io.StringIO) -> list[str]:
    return [line for line in screen.getvalue().split("\r") if line.strip()]


def test_a_step_that_waited_for_a_query_stood_still_for_four_seconds() -> None:
    """It told nothing while it waited, and what was drawn did not change."""
    screen = io.StringIO()
    with StepBar(screen, NONE).step("reading the run"):
        until(lambda: len(set(list_drawn(screen))) > 2)
    assert list_drawn(screen)[-1].startswith("reading the run")


def test_a_step_that_counts_nothing_showed_a_zero_and_a_question_mark() -> None:
    """``asking the service: 0.00 [00:04, ?/s]``"""
    screen = io.StringIO()
    bar = StepBar(screen, NONE, beat=0.02)
    with bar.step("asking the service") as on_progress:
        until(lambda: len(list_drawn(screen)) > 2)
        assert {line.strip() for line in list_drawn(screen)} <= {
            f"asking the service: 00:0{second}" for second in range(10)
        }
        until(lambda: on_progress(5, 10) or "50%" in screen.getvalue())


def test_a_step_within_a_step_was_overwritten_twice_a_second_by_the_one_around_it() -> None:
    """``copying pictures: 100%`` and ``making thumbnails: 27%`` took turns for two minutes on the line of a delivery."""
    screen = io.StringIO()
    bar = StepBar(screen, NONE, beat=0.02)
    with bar.step("copying") as outer:
        outer(2, 2)
        with bar.step("writing"):
            until(lambda: "writing" in screen.getvalue())
            before = len(list_drawn(screen))
            outer(2, 2)
            until(lambda: len(list_drawn(screen)) > before + 5)
            assert all(line.startswith("writing") for line in list_drawn(screen)[before:])
        before = len(list_drawn(screen))
        until(lambda: outer(2, 2) or len(list_drawn(screen)) > before + 1)
        assert list_drawn(screen)[-1].startswith("copying")


def test_a_delivery_whose_steps_took_less_than_two_seconds_each_was_silent_for_seven() -> None:
    screen = io.StringIO()
    bar = StepBar(screen, 1.0)
    for what in ("copying pictures", "writing manifest.csv", "making thumbnails", "writing contact-sheet.pdf"):
        with bar.step(what) as on_progress:
            for done in range(10):
                time.sleep(0.03)
                on_progress(done, 10)
    screen_text = "".join(list_drawn(screen))
    assert "copying" not in screen_text
    assert "contact-sheet.pdf" in screen_text


def test_a_line_above_a_step_that_is_not_shown_left_its_bar_on_the_screen() -> None:
    screen = io.StringIO()
    bar = StepBar(screen, LONG)
    with bar.step("checking rows") as on_progress:
        on_progress(1, 2)
        assert not bar.say("a line")
    assert screen.getvalue() == ""


def test_without_a_terminal_a_step_is_a_line_a_minute() -> None:
    now, printed = [0.0], list[str]()
    with StepLines(printed.append, lambda: now[0]).step("checking rows") as on_progress:
        for now[0], done in ((1.0, 1), (59.0, 2), (60.0, 400_000), (61.0, 500_000), (120.0, 800_000)):
            on_progress(done, 1_000_000)
    assert printed == [
        "checking rows: 400,000 of 1,000,000 · 90 s left",
        "checking rows: 800,000 of 1,000,000 · 30 s left",
    ]
    assert format_progress(7, 0, 60.0) == "7"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, int]]]:
    """Each step that a command began, with what it told."""
    calls: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def step(_: Terminal, what: str) -> Iterator[ProgressCallback]:
        calls[what] = []
        yield lambda done, total: calls[what].append((done, total))

    monkeypatch.setattr(Terminal, "step", step)
    return calls


def test_each_long_step_of_an_evening_and_a_morning_says_how_far_it_is(
    tmp_path: Path, steps: dict[str, list[tuple[int, int]]]
) -> None:
    manifest(tmp_path / "m.csv", 1200)
    run_cli("plan", "m.csv", "--price", "0.04", "--no-check-images", "--base-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert steps.pop("checking rows") == [(500, 1206), (1000, 1206)]
    assert {"reading the sheet", "reading the run", "reading the other runs"} <= steps.keys(), (
        "the first seconds of a plan showed nothing"
    )
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "--limit", "3", "--check-images"), cwd=tmp_path, code=None)
        manifest(tmp_path / "n.csv", 600)
        run_cli("run", "n.csv", *on(sandbox, "--max-cost", "0.12"), cwd=tmp_path, code=75)
    assert {"asking about links", "checking rows", "writing results.csv", "writing results.jsonl"} <= steps.keys()
    assert steps["asking about links"]
    steps.clear()
    run_cli("gallery", "n.csv", cwd=tmp_path)
    gallery = {"reading the run", "reading the sheet", "making thumbnails", "checking pictures", "making the page"}
    assert gallery <= steps.keys(), "a gallery of 300,000 rows said nothing for ten seconds"
    assert [done for done, _ in steps["reading the sheet"]] == [500]
    run_cli("results", "n.csv", cwd=tmp_path)
    assert "writing results.csv" in steps
    steps.clear()
    run_cli("audit", "n.csv", cwd=tmp_path)
    assert steps.get("reading the run") == [(500, 600)], "an audit of 300,000 rows said nothing for 3.6 seconds"


def test_a_plan_at_a_service_that_answers_after_five_seconds_showed_nothing_for_fourteen(
    tmp_path: Path, steps: dict[str, list[tuple[int, int]]]
) -> None:
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="0")) as sandbox:
        at = ("--base-url", sandbox.url)
        unknown = ("--model", "acme/none", "--price", "0.04")  # only the catalogue could tell its inputs
        for code, *command in (
            (0, "models"),
            (0, "plan", "m.csv"),
            (64, "plan", "m.csv", *unknown),
            (0, "run", "m.csv", "--yes"),
        ):
            steps.clear()
            run_cli(*command, *at, cwd=tmp_path, code=code)
            assert "asking the service" in steps, command


def test_proofs_and_a_manifest_from_a_feed_say_how_far_they_are(
    tmp_path: Path, steps: dict[str, list[tuple[int, int]]]
) -> None:
    manifest(tmp_path / "m.csv", 12)
    with serve(SandboxConfig(latency="0")) as sandbox:
        run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path)
    steps.clear()
    run_cli("audit", "m.csv", cwd=tmp_path)
    assert {"playing events", "reading pictures"} <= steps.keys()
    assert steps["reading pictures"]
    steps.clear()
    run_cli("audit", "m.csv", "--json", cwd=tmp_path)
    assert not steps

    folder = tmp_path / "delivered"
    folder.mkdir()
    names = [f"{n}.txt" for n in range(12)]
    for name in names:
        (folder / name).write_text(name)
    sums = (f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text("".join(sums))
    run_cli("verify", "delivered", cwd=tmp_path)
    assert steps["reading files"] == [(10, 13)]

    (tmp_path / "links.txt").write_text("".join(f"https://images.example.com/{n}.png\n" for n in range(1001)))
    run_cli("init", "links.txt", cwd=tmp_path)
    assert steps["reading products"] == [(500, 0), (1000, 0)]


@pytest.mark.parametrize("silent", ["quiet", "log_json", "as_json"])
def test_who_wants_to_read_no_text_hears_of_no_step(silent: str) -> None:
    hosts: dict[str, Callable[[], Terminal]] = {
        "quiet": lambda: Terminal(yes=True, never_asks=False, quiet=True, log_json=False),
        "log_json": lambda: Terminal(yes=True, never_asks=False, quiet=False, log_json=True),
        "as_json": lambda: Terminal(yes=True, never_asks=False, quiet=False, log_json=False, as_json=True),
    }
    with hosts[silent]().step("checking rows") as progress:
        assert progress is no_progress


class Impatient(Terminal):
    """Who presses Ctrl-C as soon as the rows are read."""

    def __init__(self) -> None:
        super().__init__(yes=True, never_asks=True, quiet=True, log_json=False)

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        if what == "checking rows":
            self.stop.throw(InterruptedRunError(2))
        return super().step(what)


def test_ctrl_c_while_a_plan_was_made_waited_for_a_million_rows(tmp_path: Path) -> None:
    """The rows were read on the event loop, which heard no signal meanwhile."""
    source = manifest(tmp_path / "m.csv", 3)
    with pytest.raises(InterruptedRunError):
        anyio.run(lambda: plan(source, Settings(sandbox=True, out=str(tmp_path / "out")), Impatient()))
