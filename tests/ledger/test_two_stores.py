"""A folder is that of one run in one store: another store buys nothing in it, also where the folder was half taken over."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from batchedit.core.errors import UsageError
from batchedit.ledger.opening import open_checkpoint
from batchedit.ledger.postgres.bought_from import BoughtFrom
from batchedit.ledger.postgres.imports import give_up
from batchedit.ledger.postgres.shared_opening import open_shared
from batchedit.ledger.postgres.store import list_open_runs, open_store
from batchedit.ledger.postgres.url import hide_password
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, run_cli
from tests.support.postgres import MODEL, new_database

pytestmark = pytest.mark.process
SANDBOX = BoughtFrom("sandbox", own_sandbox=False)


def runs_of(url: str) -> list[str]:
    with open_store(url) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM batchedit.run ORDER BY name")]


def test_a_folder_whose_import_was_cut_off_is_taken_over_into_no_other_store(tmp_path: Path) -> None:
    """The first store may have everything already: in two stores the jobs that are left would be bought twice."""
    first, second, here = new_database(), new_database(), make_env()
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox), "--max-cost", "0.04", cwd=tmp_path, env=here, code=75)
        run = tmp_path / "outputs" / "m"
        with closing(open_checkpoint(run / "checkpoint.sqlite")) as copy:
            give_up(copy, first, own_sandbox=False)  # where the import was killed
        refused = run_cli("runs", "--import", run, "--store", second, cwd=tmp_path, env=here, code=64)
        assert (
            f"was being taken over into the store {hide_password(first)}, not into {hide_password(second)}"
            in refused.stderr
        )
        assert f"--store {hide_password(first)}" in refused.stderr
        assert runs_of(second) == []
        ended = run_cli("runs", "--import", run, "--store", first, cwd=tmp_path, env=here)
        assert ended.stdout.count("everything adds up") == 2
        assert (runs_of(first), runs_of(second)) == (["m"], [])
        assert sandbox.ledger()["accepted"] == 1


@pytest.mark.parametrize("how", ["another store", "made anew"])
def test_a_folder_of_one_store_is_not_opened_for_a_run_of_that_name_in_another(tmp_path: Path, how: str) -> None:
    """Its copy would be brought up to date from a run that has other ids, and what was bought would be looked for there."""
    first, path = new_database(), tmp_path / "spring" / "checkpoint.sqlite"
    path.parent.mkdir()
    open_shared(path, first, model=MODEL, service=SANDBOX).close()
    second = new_database()
    if how == "made anew":  # the same address, and the run has another number
        second = first
        with open_store(first) as connection:
            connection.execute("UPDATE batchedit.run SET name = 'autumn'")
            connection.commit()
    with pytest.raises(UsageError, match="is not that of the store") as refused:
        open_shared(path, second, model=MODEL, service=SANDBOX)
    assert "--out DIR" in refused.value.hint
    with closing(open_checkpoint(path, read_only=True)) as copy:
        assert copy.get("store") == hide_password(first)
    assert list_open_runs(second) == []
    open_shared(tmp_path / "elsewhere.sqlite", second, model=MODEL, service=SANDBOX).close()
