"""Where nothing can be written or opened: what was bought is told all the same, and nobody buys without a lock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from batchedit.core.errors import LockedError, OutputError
from batchedit.core.events import Accepted
from batchedit.core.model import Handle
from batchedit.ledger import lock
from batchedit.ledger.lock import hold_buying_lock, hold_run_lock
from batchedit.ledger.opening import create_checkpoint
from batchedit.ledger.register import Register, claim, is_mine
from batchedit.ledger.register_file import find_spare_folder
from batchedit.ledger.rescue_file import NAME, SPARE_NAME, RescuedId, claim_rescued, hold_spare, rescue
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, run_cli
from tests.support.limits import no_file_grows, no_file_is_opened

KEY = bytes(range(16))
BOUGHT = Accepted(1_790_000_000.5, Handle("req-7f", "https://api.example.com/status/req-7f"))


class NoNotes:
    def refused(self, path: Path, error: OSError) -> None:
        raise AssertionError(path)


def a_folder_has_its_name(run: Path) -> AbstractContextManager[None]:
    (run / NAME).mkdir()
    return nullcontext()


def it_is_a_link(run: Path) -> AbstractContextManager[None]:
    (run / "elsewhere").touch()
    (run / NAME).symlink_to(run / "elsewhere")
    return nullcontext()


def the_run_is_gone(run: Path) -> AbstractContextManager[None]:
    run.rmdir()
    return nullcontext()


REFUSALS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "no room": lambda run: no_file_grows(),
    "no more files": lambda run: no_file_is_opened(),
    "a folder has its name": a_folder_has_its_name,
    "it is a link": it_is_a_link,
    "the run's folder is gone": the_run_is_gone,
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_id_that_no_file_takes_stands_on_the_screen_as_the_line_to_keep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refusal: str
) -> None:
    """The checkpoint is full, the spare room is given up, and the side file can't be written either."""
    run, room = tmp_path / "run", tmp_path / "room"
    run.mkdir()
    room.mkdir()
    with REFUSALS[refusal](run):
        rescue(run, 3, KEY, BOUGHT)
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("batchedit: BOUGHT, and the checkpoint can't be written. ")
    assert f"{run / NAME} can't be written either (" in message
    assert "Keep this line: " in message
    (room / NAME).write_text(message.partition("Keep this line: ")[2])
    assert list(claim_rescued(room)) == [RescuedId(3, KEY, replace(BOUGHT, by="rescue"))], (
        "put into that file the line is taken in"
    )


def test_the_spare_room_is_given_up_before_an_id_is_told_on_the_screen_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold_spare(tmp_path, NoNotes()), no_file_grows():
        rescue(tmp_path, 3, KEY, BOUGHT)
        assert not (tmp_path / SPARE_NAME).exists()
    assert "Keep this line: " in capsys.readouterr().err


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begin", [lambda folder: hold_run_lock(folder, "run"), hold_buying_lock], ids=["the run's", "buying"]
)
def test_no_run_goes_on_whose_lock_cannot_be_opened(
    tmp_path: Path, begin: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with no_file_is_opened(), pytest.raises(OutputError, match="lock can't be written: Too many open files"):
        begin(tmp_path).__enter__()
    with begin(tmp_path):
        pass


def test_two_processes_do_not_buy_in_one_folder_though_each_has_its_own_lock_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deleted ``.lock`` while a run went on: the next one has another one, and this is the second bolt."""
    monkeypatch.setattr(lock, "BUYING_WAIT_SECONDS", 0.1)
    held = FileLock(tmp_path / lock.BUYING, is_singleton=False)
    with held, pytest.raises(LockedError, match="another process buys in") as refused:
        hold_buying_lock(tmp_path).__enter__()
    assert refused.value.code == 75
    with hold_buying_lock(tmp_path):
        assert lock.may_buy(tmp_path)
    assert not lock.may_buy(tmp_path)


# --- the register of runs -------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which neither the person's state folder nor the spare one can be made: a file lies in the way."""
    (tmp_path / "file").touch()
    return {"BATCHEDIT_STATE": str(tmp_path / "file" / "state"), "TMPDIR": str(tmp_path / "file" / "tmp")}


def test_where_neither_register_takes_a_run_it_is_said_that_two_may_buy_the_same(nowhere: dict[str, str]) -> None:
    register = Register.from_environ(nowhere)
    assert not register.keep_made("a" * 16)
    state, temporary = Path(nowhere["BATCHEDIT_STATE"]), find_spare_folder(Path(nowhere["BATCHEDIT_STATE"]), nowhere)
    assert f"the register of runs in {state} can't be used" in register.problem
    assert f"nor can {temporary} (" in register.problem
    assert "two runs that go on at once may both buy the same pictures" in register.problem
    problem = register.problem
    with register.hold_turn(), register.mark_buying(state):
        assert register.problem == problem, "once"


def test_a_run_that_no_register_takes_is_still_that_of_who_made_it_while_the_process_lives(
    tmp_path: Path, nowhere: dict[str, str]
) -> None:
    checkpoint = create_checkpoint(tmp_path / "checkpoint.sqlite", model="m", service="s")
    try:
        assert not is_mine(checkpoint, tmp_path, nowhere)
        claim(checkpoint, nowhere)
        assert is_mine(checkpoint, tmp_path, nowhere)
    finally:
        checkpoint.close()


def test_a_run_without_any_register_buys_and_warns(tmp_path: Path, nowhere: dict[str, str]) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        done = run_cli("run", "m.csv", *on(sandbox), cwd=tmp_path, env=make_env(**nowhere))
        assert sandbox.ledger()["accepted"] == 2
    (warning,) = [line for line in done.stderr.splitlines() if "the register of runs" in line]
    assert "two runs that go on at once may both buy the same pictures" in warning
