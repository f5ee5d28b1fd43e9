"""Does the store keep what it has confirmed? Checked at ``store init`` and at every start of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import CheckpointError
from ...core.shell_commands import format_command

_SELECT_SETTINGS = """
    SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
           current_setting('synchronous_standby_names'), pg_is_in_recovery(),
           (SELECT count(*) FROM pg_stat_replication WHERE application_name != 'pg_basebackup'),
           current_setting('server_version')
"""
DURABLE = ("on", "remote_apply")
"""Values of synchronous_commit under which a commit that was confirmed survives a crash, and the loss of the server where
synchronous standbys are named."""


@dataclass(frozen=True, slots=True)
class Durability:
    """The settings of a store. ``risks`` are sentences: why a purchase that it confirmed may be lost."""

    lines: Sequence[str]
    risks: Sequence[str]


def read_durability(connection: psycopg.Connection[TupleRow]) -> Durability:
    """The durability of the store. Raises psycopg.Error."""
    row = connection.execute(_SELECT_SETTINGS).fetchone()
    assert row is not None
    fsync, pages, commit, standbys, recovers, replicas, version = row
    risks = []
    if fsync != "on":
        risks.append("fsync is off: a power cut loses what was confirmed")
    if pages != "on":
        risks.append("full_page_writes is off: a power cut may damage what was confirmed")
    if commit not in DURABLE:
        risks.append(f"synchronous_commit is {commit}: a crash loses what was confirmed last")
    if recovers:
        risks.append("it is a standby")
    if replicas and not standbys:
        risks.append(
            f"it has {replicas} standby{'s' * (replicas > 1)}, and none is synchronous: a failover loses what was confirmed "
            "last, and it is bought again"
        )
    lines = (
        f"PostgreSQL {version}",
        f"fsync {fsync}, synchronous_commit {commit}",
        f"synchronous standbys: {standbys or 'none'}; standbys connected: {replicas}",
    )
    return Durability(lines, tuple(risks))


def check_durability(durability: Durability, shown_url: str, *, accept_loss: bool) -> None:
    """CheckpointError (74) for a store that may lose a purchase, unless a person accepted that."""
    if durability.risks and not accept_loss:
        raise CheckpointError(
            f"the store {shown_url} may forget what was bought, and it would be bought again: {'; '.join(durability.risks)}",
            hint="have that changed; or, if it may be borne, once: "
            f"{format_command('store', 'init', shown_url, '--i-accept-loss')}",
        )
