"""How long a worker may buy by its own clocks: either of them may say that it is over."""

from __future__ import annotations

import pytest

from batchedit.ledger.postgres import lease
from batchedit.ledger.postgres.lease import Lease


@pytest.mark.parametrize(
    ("boot", "wall", "holds"),
    [
        (129.9, 1029.9, True),
        (130.0, 1001.0, False),  # the wall's clock was set back meanwhile
        (101.0, 1030.0, False),  # a virtual machine was suspended: its own clock stood still
        (101.0, 999.0, False),  # set back to before the beat: who knows for how long
        (99.0, 1001.0, False),
    ],
)
def test_a_lease_holds_while_both_clocks_say_so(
    monkeypatch: pytest.MonkeyPatch, boot: float, wall: float, holds: bool
) -> None:
    worker_lease = Lease(30.0, (100.0, 1000.0))
    monkeypatch.setattr(lease, "read_clocks", lambda: (boot, wall))
    assert worker_lease.is_valid() is holds
    worker_lease.renew((boot, wall))
    assert worker_lease.is_valid()
    worker_lease.is_lost = True
    assert not worker_lease.is_valid()
