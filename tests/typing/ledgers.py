"""Each store answers the ports in full. Never run, only type-checked."""

from __future__ import annotations

from batchedit.ledger.book import Checkpoint
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.ledger.postgres.ledger import PostgresLedger
from batchedit.ledger.sqlite import SqliteCheckpoint
from batchedit.ports import Ledger


def both_ports(memory: MemoryCheckpoint, sqlite: SqliteCheckpoint) -> tuple[Checkpoint, Checkpoint]:
    return memory, sqlite


def the_pools(postgres: PostgresLedger) -> Ledger:
    return postgres
