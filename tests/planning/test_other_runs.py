"""Pay once across names and folders: what one run of a person has is not bought by another. The sandbox is the witness."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from batchedit.commands.audit import audit
from batchedit.core.model import State
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import CHILD, make_env, manifest, on, rows, start, until
from tests.support.cli import run_cli as batchedit

pytestmark = pytest.mark.process

QUICK = {"latency": "0", "plain_files": 2_000}


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(**QUICK)) as running:
        yield running


def plan_sheet(sheet: object, sandbox: RunningSandbox, folder: Path, *more: object) -> str:
    return batchedit("plan", sheet, "--base-url", sandbox.url, *more, cwd=folder).stdout


def count_bought(sandbox: RunningSandbox) -> int:
    return int(sandbox.ledger()["accepted"])


def check_books(folder: Path, run: str) -> None:
    assert audit(str(folder / run), {})[1].findings == []


# --- the four everyday cases ----------------------------------------------------------------------


def test_a_sheet_copied_to_another_name_buys_nothing(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 4)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    shutil.copy(tmp_path / "s.csv", tmp_path / "s-final.csv")
    plan_text = plan_sheet("s-final.csv", sandbox, tmp_path)
    assert "pictures        4 of other runs" in plan_text
    assert "4 pictures were bought by the run in outputs/s and cost nothing here" in plan_text
    assert "to buy          nothing" in plan_text

    batchedit("run", "s-final.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 4
    check_books(tmp_path, "outputs/s-final")
    origin = str((tmp_path / "outputs/s").resolve())
    for before, row in zip(rows(tmp_path / "outputs/s"), rows(tmp_path / "outputs/s-final"), strict=True):
        assert (row["result_status"], row["result_cost_usd"], row["result_reused_from"]) == ("done", 0.0, origin)
        assert row["result_sha256"] == before["result_sha256"]
        assert before["result_reused_from"] is None
        mine, theirs = (tmp_path / "outputs" / run / str(row["result_file"]) for run in ("s-final", "s"))
        assert mine.samefile(theirs)


@pytest.mark.parametrize("where", ["parent", "elsewhere"])
def test_a_run_from_the_parent_folder_or_cron_goes_on_in_the_run_of_this_sheet(
    tmp_path: Path, sandbox: RunningSandbox, where: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "elsewhere").mkdir()
    manifest(home / "s.csv", 3)
    batchedit("run", "s.csv", *on(sandbox), cwd=home)
    here = tmp_path if where == "parent" else tmp_path / "elsewhere"
    sheet = os.path.relpath(home / "s.csv", here)
    plan_text = plan_sheet(sheet, sandbox, here)
    assert "pictures        3 done" in plan_text
    assert "to buy          nothing" in plan_text
    ended = batchedit("run", sheet, *on(sandbox), cwd=here)
    assert "nothing is left to buy: 3 done" in ended.stderr
    assert str((home / "outputs/s").relative_to(here) if where == "parent" else home / "outputs/s") in ended.stdout
    assert count_bought(sandbox) == 3
    assert not (here / "outputs").exists()
    assert "3 done" in batchedit("status", sheet, cwd=here).stdout


@pytest.mark.parametrize("sheet", ["results.csv", "results.jsonl", "manifest.csv"])
def test_a_runs_own_results_or_manifest_as_manifest_buys_nothing(
    tmp_path: Path, sandbox: RunningSandbox, sheet: str
) -> None:
    manifest(tmp_path / "s.csv", 3)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    assert "to buy          nothing" in plan_sheet(f"outputs/s/{sheet}", sandbox, tmp_path)
    batchedit("run", f"outputs/s/{sheet}", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 3


def test_results_of_local_pictures_find_them_where_the_sheet_lay(tmp_path: Path, sandbox: RunningSandbox) -> None:
    Image.new("RGB", (60, 40), "teal").save(tmp_path / "mug.png")
    (tmp_path / "s.csv").write_text("sku,image,prompt\na,mug.png,an ad\n")
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    assert "to buy          nothing" in plan_sheet("outputs/s/results.csv", sandbox, tmp_path)


# --- whose folder it is ---------------------------------------------------------------------------


def test_a_folder_of_another_sheet_is_never_taken_over(tmp_path: Path, sandbox: RunningSandbox) -> None:
    for language in ("de", "fr"):
        (tmp_path / language).mkdir()
        manifest(tmp_path / language / "products.csv", 2, prefix=language)
    batchedit("run", "de/products.csv", *on(sandbox), cwd=tmp_path)
    before = (tmp_path / "outputs/products/results.csv").read_bytes()
    for command in (["plan", "fr/products.csv", "--base-url", sandbox.url], ["run", "fr/products.csv", *on(sandbox)]):
        refused = batchedit(*command, cwd=tmp_path, code=64)
        assert "belongs to another sheet" in refused.stderr
        assert "--out outputs/products-2" in refused.stderr
    assert (tmp_path / "outputs/products/results.csv").read_bytes() == before
    batchedit("run", "fr/products.csv", *on(sandbox), "--out", "outputs/products-2", cwd=tmp_path)
    assert count_bought(sandbox) == 4
    # From then on each sheet finds its own run.
    for language, folder in (("de", "products"), ("fr", "products-2")):
        assert f"results in      outputs/{folder}/" in plan_sheet(f"{language}/products.csv", sandbox, tmp_path)
        assert f"outputs/{folder}: 2 done" in batchedit("status", f"{language}/products.csv", cwd=tmp_path).stdout


def test_a_sheet_that_was_moved_goes_on_in_its_folder_and_says_so(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    (tmp_path / "new").mkdir()
    (tmp_path / "s.csv").rename(tmp_path / "new" / "s.csv")
    plan_text = plan_sheet("new/s.csv", sandbox, tmp_path)
    assert "to buy          nothing" in plan_text
    assert "was made from" in plan_text
    batchedit("run", "new/s.csv", *on(sandbox), cwd=tmp_path)
    assert "was made from" not in plan_sheet("new/s.csv", sandbox, tmp_path)


def test_a_run_that_is_not_where_it_was_is_told_of(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """Its disk was not mounted, or it had been moved: all was bought again, and nothing said so."""
    batchedit("run", manifest(tmp_path / "m.csv", 1), *on(sandbox), cwd=tmp_path)
    elsewhere = tmp_path / "archive" / "m"
    elsewhere.parent.mkdir()
    (tmp_path / "outputs" / "m").rename(elsewhere)
    gone = f"warning: a run of this sheet was in {tmp_path / 'outputs' / 'm'} and is not there"
    assert gone in " ".join(plan_sheet("m.csv", sandbox, tmp_path).split())
    stderr = batchedit("run", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=64).stderr
    assert gone in " ".join(stderr.split())
    stderr = batchedit("run", "m.csv", "--out", elsewhere, *on(sandbox), cwd=tmp_path).stderr
    assert "is not there" not in stderr
    assert count_bought(sandbox) == 1


def test_a_no_hid_a_run_that_is_gone_and_the_next_yes_bought_all_of_it_again(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    """The folder that was made on the way to the no stood in its place. A cron job after it told nothing and bought."""
    batchedit("run", manifest(tmp_path / "m.csv", 2), *on(sandbox), cwd=tmp_path)
    (tmp_path / "outputs" / "m").rename(tmp_path / "moved")
    batchedit("run", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=64)
    for command in (["run", "m.csv"], ["run", "outputs/m"], ["run", "m.csv", "--log-json"]):
        stderr = batchedit(*command, *on(sandbox), cwd=tmp_path, code=64).stderr
        assert "is not there" in stderr
        assert "warning: warning" not in stderr
        assert "nothing was bought" in stderr
    assert "is not there" in plan_sheet("m.csv", sandbox, tmp_path)
    assert count_bought(sandbox) == 2
    batchedit("run", "m.csv", "--fresh", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 4
    batchedit("run", manifest(tmp_path / "m.csv", 3), *on(sandbox), cwd=tmp_path)  # that was a yes to it
    assert count_bought(sandbox) == 5


def test_a_sheet_tried_in_the_sandbox_finds_its_real_run_again(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """The folder of its name belongs to the trial, so the real run got another one: it goes on there without --out."""
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", "--sandbox", "--yes", cwd=tmp_path)
    refused = batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, code=64)
    assert "--out outputs/s-2" in refused.stderr
    batchedit("run", "s.csv", *on(sandbox, "--out", "outputs/s-2"), cwd=tmp_path)
    assert "results in      outputs/s-2/" in plan_sheet("s.csv", sandbox, tmp_path)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 2


# --- what is taken over, and what is not ----------------------------------------------------------


def test_a_picture_that_is_not_whole_any_more_is_bought_and_that_is_said(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    manifest(tmp_path / "s.csv", 3)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    gone, changed, _ = sorted((tmp_path / "outputs/s/files").iterdir())
    gone.unlink()
    content = changed.read_bytes()
    changed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    plan_text = plan_sheet("t.csv", sandbox, tmp_path)
    assert "1 of these were bought by the run in outputs/s, but their files are not whole any more" in plan_text
    batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 5
    check_books(tmp_path, "outputs/t")
    assert [bool(row["result_reused_from"]) for row in rows(tmp_path / "outputs/t")] == [False, False, True]


def test_files_are_copied_where_they_can_not_be_linked(
    tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 2
    check_books(tmp_path, "outputs/t")
    for file in (tmp_path / "outputs/t/files").iterdir():
        assert not file.samefile(tmp_path / "outputs/s/files" / file.name)
        assert file.suffix == ".png"


def test_fresh_buys_all_the_same(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    assert "to buy          2 pictures" in plan_sheet("t.csv", sandbox, tmp_path, "--fresh")
    batchedit("run", "t.csv", *on(sandbox, "--fresh"), cwd=tmp_path)
    assert count_bought(sandbox) == 4
    assert "fresh" not in (tmp_path / "outputs/t/settings.toml").read_text()


def test_another_service_has_other_pictures(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    with serve(SandboxConfig(**QUICK)) as other:
        batchedit("run", "t.csv", *on(other), cwd=tmp_path)
        assert count_bought(other) == 2


def test_a_service_in_other_letters_is_the_same_service(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """``HTTP://…`` was taken for another one: what had been bought there was bought again from a copy of the sheet."""
    batchedit("run", manifest(tmp_path / "m.csv", 2), *on(sandbox), cwd=tmp_path)
    before = sandbox.ledger()["accepted"]
    shouted = ("--base-url", sandbox.url.replace("http://", "HTTP://") + "/", "--yes")
    batchedit("run", "m.csv", *shouted, cwd=tmp_path)
    shutil.copy(tmp_path / "m.csv", tmp_path / "copy.csv")
    batchedit("run", "copy.csv", *shouted, cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == before


def test_what_is_in_doubt_elsewhere_is_told_and_not_bought(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 3)
    sandbox.set_faults(["submit:drop_after=at:2"])
    batchedit("run", "s.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=76)
    sandbox.set_faults([])
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    plan_text = plan_sheet("t.csv", sandbox, tmp_path)
    hint = "1 picture is left to the run in outputs/s, which has them in doubt; decide there: batchedit doubt outputs/s"
    assert hint in plan_text
    assert "to buy          nothing" in plan_text
    ended = batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path, code=75)
    assert hint in ended.stderr
    assert count_bought(sandbox) == 3
    # It is decided and bought there: here it is reused.
    batchedit("doubt", "outputs/s", "--buy-again", "all", "--yes", cwd=tmp_path)
    batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 4
    check_books(tmp_path, "outputs/t")


def test_a_retry_does_not_buy_what_another_run_bought_meanwhile(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    sandbox.set_faults(["job:failed=first:2"])
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, code=1)
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 4
    batchedit("retry", "outputs/s", "--failed", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 4
    check_books(tmp_path, "outputs/s")


def test_a_run_that_nobody_registered_is_found_beside_the_others(
    tmp_path: Path, sandbox: RunningSandbox, state_folder: Path
) -> None:
    """A run of the first edition, one that was moved, or one whose register was lost."""
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    shutil.rmtree(state_folder)
    (tmp_path / "outputs/s").rename(tmp_path / "outputs/moved")
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    assert "2 pictures were bought by the run in outputs/moved" in plan_sheet("t.csv", sandbox, tmp_path)


def test_a_register_that_can_not_be_used_ends_nothing_and_is_told(tmp_path: Path, sandbox: RunningSandbox) -> None:
    (tmp_path / "file").touch()
    manifest(tmp_path / "s.csv", 1)
    env = make_env(BATCHEDIT_STATE=str(tmp_path / "file" / "state"), TMPDIR=str(tmp_path))
    stderr = batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, env=env).stderr
    assert "other runs are not looked up" in stderr
    assert "typed-services.json can't be written (Not a directory)" in stderr
    assert count_bought(sandbox) == 1


# --- two at once ----------------------------------------------------------------------------------


def test_two_processes_that_begin_at_once_buy_each_picture_once(tmp_path: Path) -> None:
    """Each of them finds nothing of the other's before it has begun itself: without turns and marks both would buy all."""
    names = ("a", "b", "c")
    with serve(SandboxConfig(latency="0.3", plain_files=2_000)) as sandbox:
        for name in names:
            manifest(tmp_path / f"{name}.csv", 12)
        processes = [start("run", f"{name}.csv", *on(sandbox), cwd=tmp_path) for name in names]
        ended = [process.communicate(timeout=90) for process in processes]
        assert {process.returncode for process in processes} <= {0, 75}, ended
        assert count_bought(sandbox) == 12
        for name in names:
            batchedit("run", f"{name}.csv", *on(sandbox), cwd=tmp_path)
            check_books(tmp_path, f"outputs/{name}")
        assert (count_bought(sandbox), sandbox.ledger()["duplicates"]) == (12, 0)


def test_who_has_another_register_leaves_a_buyer_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cron job with a home of its own, or a register that was deleted meanwhile: each bought what the other one bought."""
    for name in ("s", "t"):
        manifest(tmp_path / f"{name}.csv", 3)
    with serve(SandboxConfig(latency="600", plain_files=2_000)) as sandbox:
        going = start("run", "s.csv", *on(sandbox, "-j", 1), cwd=tmp_path)
        try:
            until(lambda: count_bought(sandbox) == 1)
            monkeypatch.setenv("BATCHEDIT_STATE", str(tmp_path / "another"))
            stderr = batchedit("run", "t.csv", *on(sandbox, "--stuck-after", 2), cwd=tmp_path, code=75).stderr
            assert "2 pictures are left to the run in outputs/s, which may be buying them now" in stderr
            assert count_bought(sandbox) == 1
        finally:
            going.kill()
            going.communicate()


@pytest.mark.parametrize("point", ["Reserved", "Accepted", "Completed", "Reused"])
def test_a_buyer_that_is_killed_is_not_bought_beside(tmp_path: Path, point: str) -> None:
    with serve(SandboxConfig(**QUICK)) as sandbox:
        manifest(tmp_path / "other.csv", 2)
        manifest(tmp_path / "s.csv", 5)
        manifest(tmp_path / "t.csv", 5)
        batchedit("run", "other.csv", *on(sandbox), cwd=tmp_path)
        nth = 1 if point == "Reused" else 2
        killed = start(point, nth, "run", "s.csv", *on(sandbox), cwd=tmp_path, script=[CHILD])
        killed.communicate(timeout=90)
        assert killed.returncode == -signal.SIGKILL
        batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path, code=None)
        batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, code=None)
        batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path, code=None)
        assert sandbox.ledger()["duplicates"] == 0
        assert count_bought(sandbox) <= 5
        for run in ("outputs/s", "outputs/t"):
            check_books(tmp_path, run)


def test_who_waits_for_a_yes_keeps_its_pictures(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """A run that stands at its question is left alone by another one, which says so."""
    from batchedit.ledger.register import Register

    manifest(tmp_path / "s.csv", 2)
    manifest(tmp_path / "t.csv", 2)
    batchedit("run", "s.csv", "--base-url", sandbox.url, cwd=tmp_path, code=64)  # taken in, and no yes
    with Register.from_environ(make_env()).mark_buying(tmp_path / "outputs/s"):
        stderr = batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path, code=75).stderr
        assert "2 pictures are left to the run in outputs/s, which may be buying them now" in stderr
    assert count_bought(sandbox) == 0
    batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path)
    assert count_bought(sandbox) == 2


# --- accounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["run s.csv", "plan s.csv", "fetch outputs/s", "retry outputs/s", "cancel outputs/s"]
)
def test_another_token_is_refused_before_anything_is_sent(
    tmp_path: Path, sandbox: RunningSandbox, command: str
) -> None:
    manifest(tmp_path / "s.csv", 2)
    sandbox.set_faults(["job:failed=first:1"])
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, code=1)
    requests_before = len(sandbox.ledger(full=True)["requests"])
    env = make_env(RUNCOMFY_API_TOKEN="another-token")
    verb, _, target = command.partition(" ")
    more = on(sandbox) if verb in {"run", "retry"} else ["--base-url", sandbox.url]
    refused = batchedit(verb, target, *more, cwd=tmp_path, env=env, code=77)
    assert "bought with another token" in refused.stderr
    assert "nothing was sent" in refused.stderr
    assert "test-token" not in refused.stderr
    assert "the same command with --another-account" in refused.stderr
    assert len(sandbox.ledger(full=True)["requests"]) == requests_before


@pytest.mark.parametrize("decision", ["--buy-again=all", "--request-id=2=some-id"])
def test_doubt_with_another_token_is_refused_before_anything_is_sent(
    tmp_path: Path, sandbox: RunningSandbox, decision: str
) -> None:
    manifest(tmp_path / "s.csv", 1)
    sandbox.set_faults(["submit:drop_after=at:1"])
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, code=76)
    sandbox.set_faults([])
    submits_before, env = sandbox.ledger()["submits_seen"], make_env(RUNCOMFY_API_TOKEN="another-token")
    arguments = ["doubt", "outputs/s", decision, "--yes"]
    refused = batchedit(*arguments, cwd=tmp_path, env=env, code=77)
    assert "bought with another token" in refused.stderr
    assert "nothing was sent" in refused.stderr
    assert "the same command with --another-account" in refused.stderr
    assert sandbox.ledger()["submits_seen"] == submits_before
    if decision == "--buy-again=all":
        batchedit(*arguments, "--another-account", cwd=tmp_path, env=env)
        assert sandbox.ledger()["submits_seen"] == submits_before + 1


def test_a_renewed_token_is_told_of_once(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    renewed = make_env(RUNCOMFY_API_TOKEN="renewed-token")
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    stdout = batchedit("plan", "t.csv", "--base-url", sandbox.url, cwd=tmp_path, env=renewed).stdout
    assert "2 of these were bought by the run in outputs/s with another token" in stdout
    assert "--another-account reuses them" in stdout
    batchedit("run", "s.csv", *on(sandbox, "--another-account"), cwd=tmp_path, env=renewed)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, env=renewed)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path)
    stdout = batchedit("plan", "t.csv", "--base-url", sandbox.url, cwd=tmp_path, env=renewed).stdout
    assert "to buy          nothing" in stdout
    text = (tmp_path / "outputs/s/checkpoint.sqlite").read_bytes()
    assert b"renewed-token" not in text
    assert b"test-token" not in text


def test_a_run_that_has_bought_nothing_takes_any_token(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 1)
    batchedit("run", "s.csv", "--base-url", sandbox.url, cwd=tmp_path, code=64)
    batchedit("run", "s.csv", *on(sandbox), cwd=tmp_path, env=make_env(RUNCOMFY_API_TOKEN="another-token"))
    assert count_bought(sandbox) == 1


def test_a_wrong_token_was_taken_for_the_one_that_bought(tmp_path: Path) -> None:
    """Refused with 401, and then the right one with "this run was bought with another token"."""
    manifest(tmp_path / "s.csv", 1)
    with serve(SandboxConfig(latency="0", plain_files=2_000, token="right-token")) as strict:
        wrong, right = make_env(RUNCOMFY_API_TOKEN="wrong-token"), make_env(RUNCOMFY_API_TOKEN="right-token")
        stdout = batchedit("run", "s.csv", *on(strict), cwd=tmp_path, env=wrong, code=77).stdout
        assert "put a valid token into RUNCOMFY_API_TOKEN, then the same command" in stdout
        batchedit("run", "s.csv", *on(strict), cwd=tmp_path, env=right)
        batchedit("run", "s.csv", *on(strict), cwd=tmp_path, env=wrong, code=77)
        assert strict.ledger()["accepted"] == 1


def test_the_checkpoint_says_what_is_left_to_whom(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "s.csv", 2)
    sandbox.set_faults(["submit:drop_after=at:1"])
    batchedit("run", "s.csv", *on(sandbox, "-j", 1), cwd=tmp_path, code=76)
    shutil.copy(tmp_path / "s.csv", tmp_path / "t.csv")
    batchedit("run", "t.csv", *on(sandbox), cwd=tmp_path, code=75)
    with closing(sqlite3.connect(tmp_path / "outputs/t/checkpoint.sqlite")) as db, db:
        assert db.execute("SELECT folder, state FROM elsewhere").fetchall() == [
            (str((tmp_path / "outputs/s").resolve()), State.IN_DOUBT.value)
        ]
    db.close()
