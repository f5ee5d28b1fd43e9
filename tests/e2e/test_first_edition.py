"""A run's folder of the first edition opens and goes on: nothing is bought twice, nothing is forgotten.

``tests/first_edition/make.py`` says how the folder was made: rows 1 and 2 done, 3 moderated, 4 in doubt, 5 failed by a 404,
6 waiting, 7 and 8 never bought; a cap of $0.90, and marks on rows 1 and 2.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from batchedit.ledger.opening import open_checkpoint
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import rows
from tests.support.cli import run_cli as batchedit

MADE = Path(__file__).parents[1] / "first_edition" / "run"
PORT = 18413  # of the service that the folder was bought from


def test_a_folder_of_the_first_edition_goes_on(tmp_path: Path) -> None:
    shutil.copytree(MADE, tmp_path, dirs_exist_ok=True)
    config = SandboxConfig(port=PORT, state=tmp_path / "service.jsonl", latency="0.1", plain_files=1500)
    run = tmp_path / "outputs" / "m"
    with serve(config) as sandbox:
        before = sandbox.ledger()["accepted"]
        on = ("--base-url", sandbox.url, "--yes", "--poll-seconds", 0.2, "--stuck-after", 3)
        for _ in range(2):
            batchedit("run", "m.csv", *on, cwd=tmp_path, code=None)
            assert sandbox.ledger()["accepted"] == before + 2
        assert sandbox.ledger()["duplicates"] == 0
    status_by_sku = {row["sku"]: row["result_status"] for row in rows(run)}
    assert {sku for sku, status in status_by_sku.items() if status == "done"} == {f"sku-{n}" for n in (1, 2, 6, 7, 8)}
    assert (status_by_sku["sku-3"], status_by_sku["sku-4"]) == ("failed", "in_doubt")
    with closing(open_checkpoint(run / "checkpoint.sqlite", read_only=True)) as checkpoint:
        assert checkpoint.cap == 900_000
        assert sorted(verdict for (verdict,) in checkpoint.rows("SELECT verdict FROM marks")) == ["approve", "reject"]
