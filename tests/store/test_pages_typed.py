"""The commands of those how-to pages that need a second process, a person or a store, typed in the order of the page."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from batchedit.ledger.lock import find_holder
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, run_cli, start, until
from tests.support.postgres import new_database
from tests.support.review_process import Review
from tests.support.store_team import QUICK, Team

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
WHERE = "postgresql://batchedit@db.example.com/batchedit"
"""The store of the pages."""


def words(page: str) -> list[list[str]]:
    """What stands behind ``batchedit`` in each line of the page's ``sh`` blocks."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[:1] == ["batchedit"]]


@pytest.fixture
def sandbox() -> RunningSandbox:
    with serve(SandboxConfig(**QUICK)) as running:
        yield running


def test_review_and_deliver(tmp_path: Path, sandbox: RunningSandbox) -> None:
    review, redo, deliver = words("review-and-deliver")
    manifest(tmp_path / "spring.csv", 3)
    run_cli("run", "spring.csv", *on(sandbox), cwd=tmp_path)
    reviewing = Review(*review[1:], cwd=tmp_path)
    assert [reviewing.mark(job, "approve").status_code for job in (1, 2)] == [200, 200]
    assert reviewing.mark(3, "reject", note="brighter").status_code == 200
    assert "3 of 3 looked at" in reviewing.end(signal.SIGINT)[1]
    reviewing.http.close()
    run_cli(*redo, "--yes", cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 4
    assert "brighter" in sandbox.ledger(full=True)["requests"][-1]["prompt"]
    run_cli(*deliver, cwd=tmp_path)
    with ZipFile(tmp_path / "spring-approved.zip") as file:
        assert sum(name.endswith(".png") for name in file.namelist()) == 2


def test_overnight(tmp_path: Path) -> None:
    *wishes, review = words("overnight")
    assert [verb for verb, *_ in wishes] == ["status", "pause", "resume", "set", "stop"]
    manifest(tmp_path / "two.csv", 2)
    with serve(SandboxConfig(latency="600")) as it:
        run_cli("run", "two.csv", *on(it, "-j", 1, "--detach"), cwd=tmp_path)
        for wish in wishes:
            run_cli(*wish, cwd=tmp_path)
        until(lambda: not find_holder(tmp_path / "outputs" / "two"))
    reviewing = Review(*review[1:], cwd=tmp_path)
    assert reviewing.end(signal.SIGINT)[0] in {0, 130}
    reviewing.http.close()


def test_in_the_browser(tmp_path: Path) -> None:
    ((*ui,),) = words("in-the-browser")
    server = start(*ui, "--no-open", cwd=tmp_path, env=make_env(HOME=str(tmp_path)))
    try:
        assert server.stdout is not None
        page = httpx.get(server.stdout.readline().strip(), timeout=60, trust_env=False)
        assert "Try it with play money" in page.text
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def test_many_machines(team: Callable[..., Team], tmp_path: Path) -> None:
    url = new_database(store=False)
    it = team(8, url=new_database(), latency="1")
    (it.folder / "m.csv").rename(it.folder / "spring.csv")
    init, run, work, work_until_idle, workers = words("many-machines")
    run_cli(*(word.replace(WHERE, url) for word in init), cwd=it.folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    here = make_env(BATCHEDIT_STORE=url, BATCHEDIT_FILES=str(tmp_path / "ads"))
    there = here | {"BATCHEDIT_STATE": str(tmp_path / "state")}
    service = ["--base-url", it.sandbox.url]
    first = start(*run, *service, "--yes", "-j", 1, cwd=it.folder, env=here)
    until(lambda: "spring" in run_cli("runs", cwd=it.folder, env=here).stdout)
    helper = start(*work, *service, cwd=elsewhere, env=there)
    until(lambda: len(json.loads(run_cli(*workers, "--json", cwd=it.folder, env=here).stdout)["workers"]) == 2)
    run_cli(*work_until_idle, *service, cwd=elsewhere, env=there)
    first.communicate(timeout=90)
    helper.send_signal(signal.SIGTERM)
    helper.communicate(timeout=90)
    assert (first.returncode, helper.returncode) == (0, 143)
    ledger = it.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (8, 0)
    assert len([path for path in (tmp_path / "ads").rglob("*.png") if "files" in path.parts]) == 8


def test_no_page_has_commands_that_nobody_types() -> None:
    """Completion is typed in real shells (tests/e2e/test_completion.py); ``console`` blocks by tests/e2e/test_recipes.py."""
    typed = {"complete-commands", "in-the-browser", "many-machines", "overnight", "review-and-deliver"}
    assert {page.stem for page in PAGES.glob("*.md") if "```sh\n" in page.read_text(encoding="utf-8")} == typed
