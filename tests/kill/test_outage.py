"""The service goes away in the middle of a run: the run waits, goes on by itself, and tells how few doubts it cost.

An outage of a minute, in five shapes and 1,000 rows, is ``benchmarks/soak.py --outage``; hours of it, in virtual time, are
in ``tests/pool/test_pool.py``. Here it lasts some seconds, and everything else is real.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.commands.audit import audit
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on, rows, until
from tests.support.fork_server import ForkServer

ROWS = 120
HANDFUL = 12


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def command(sandbox: RunningSandbox) -> list[object]:
    return ["run", "m.csv", *on(sandbox, "-j", 16, "--poll-seconds", 0.3)]


@pytest.mark.parametrize("fault", ["any:502", "submit:reset_after", "submit:500"])
def test_an_outage_of_some_seconds(tmp_path: Path, fork_server: ForkServer, fault: str) -> None:
    """All is gone; POSTs alone are gone and their jobs made; the API says 500001, which proves nothing."""
    manifest(tmp_path / "m.csv", ROWS)
    with serve(SandboxConfig(latency="0.3", plain_files=20_000)) as sandbox:
        child = fork_server.start(*command(sandbox), cwd=tmp_path)
        until(lambda: sandbox.ledger()["accepted"] >= 20)
        sandbox.set_faults([f"{fault}=time:0-4"])
        code = child.wait()
        table = Counter(row["result_status"] for row in rows(tmp_path / "outputs" / "m"))
        doubts = table["in_doubt"]
        assert doubts <= HANDFUL
        assert code == (76 if doubts else 0)
        assert table == Counter({"done": ROWS - doubts} | ({"in_doubt": doubts} if doubts else {}))
        assert doubts > 0, "no 5xx of a submit says that nothing was bought"
        # With the looks gone too no place comes free, so there may be fewer POSTs than the five that make the breaker open.
        if fault != "any:502" or doubts >= 5:
            assert "buying pauses" in child.stderr
            assert "the service answers again" in child.stderr
        ledger = sandbox.ledger()
        assert (ledger["duplicates"], ledger["bugs"]) == (0, [])
        assert ledger["answers_lost"] == (doubts if fault == "submit:reset_after" else 0)
        assert audit(str(tmp_path / "outputs" / "m"), {})[1].findings == []


def test_killed_in_an_outage_and_started_again_in_it(tmp_path: Path, fork_server: ForkServer) -> None:
    """Each start costs a few POSTs that find out, and no more."""
    manifest(tmp_path / "m.csv", ROWS)
    with serve(SandboxConfig(latency="0.3", plain_files=20_000)) as sandbox:
        child = fork_server.start(*command(sandbox), cwd=tmp_path)
        until(lambda: sandbox.ledger()["accepted"] >= 20)
        sandbox.set_faults(["submit:drop_before=1"])
        for _ in range(3):
            seen = sandbox.ledger()["submits_seen"]
            until(lambda child=child: "buying pauses" in child.stderr)
            child.kill()
            assert sandbox.ledger()["submits_seen"] - seen <= HANDFUL
            child = fork_server.start(*command(sandbox), cwd=tmp_path)
        sandbox.set_faults([])
        assert child.wait() == 76
        doubts = Counter(row["result_status"] for row in rows(tmp_path / "outputs" / "m"))["in_doubt"]
        assert 3 <= doubts <= 4 * HANDFUL
        assert ROWS - doubts <= sandbox.ledger()["accepted"] <= ROWS, (
            "what was on the wire at a kill may have been bought"
        )
        assert sandbox.ledger()["duplicates"] == 0
        assert audit(str(tmp_path / "outputs" / "m"), {})[1].findings == []
