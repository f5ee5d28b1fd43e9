"""What PostgreSQL and the way to it can do to a ledger, in the user's words and with the exit code for it."""

from __future__ import annotations

import os
import re

import psycopg

from ...core.errors import BatcheditError, CheckpointError, OutputError, ServiceUnavailableError, TokenError, UsageError
from ...core.typed import format_command
from ..errors import FULL_HINT
from .url import blotted, words_for

PASSING = ("08", "57P", "40P01", "40001", "53300", "55P03")
"""SQLSTATEs, or how they begin, of what passes: a connection that was lost, a server that restarts, a deadlock."""


class LeaseOverError(CheckpointError):
    """This worker was not heard of for longer than its lease: others have taken its jobs, and it may buy nothing more.

    The same command is another worker.
    """

    code = 75


class HaltedError(CheckpointError):
    """Nothing is bought in this run any more, for all workers, until a person has looked."""

    def ends_with(self, run: str, where: str) -> None:
        """Say how a person lets the run called ``run`` of the store ``where`` (blotted) buy again."""
        self.hint = (
            "look first which server or backup this is and what it has forgotten (docs: Back up a store, and restore it); "
            f"then {format_command('store', 'lift', run, *words_for(where, os.environ))}"
        )


_AT_THE_DOOR = (
    ("28000", r"authentication failed|no password supplied|role .* does not exist|no pg_hba\.conf entry"),
    ("3D000", r"database .* does not exist"),
    ("08001", r"invalid (integer|port|sslmode|.*) value|invalid port number|Servname not supported"),
)
"""What a server says before it lets in has no SQLSTATE in libpq: the first that its words fit, in PostgreSQL's English."""
_NO_ADDRESS = "08001"
_RIGHTS = (
    # who may work reads every table, and writes into none
    (" for table ", "do that in", "what lets money out or changes a run takes the role of the store's owner"),
    (
        " for database ",
        "make",
        "the database's owner gives the right with: GRANT CREATE ON DATABASE its_name TO your_user",
    ),
    (" create role", "make", "whoever keeps the server types this before: CREATE ROLE batchedit_worker NOLOGIN"),
)
"""Words of PostgreSQL's, what a user may not do, and how it is to be had."""
_STRANGER = "work in", "its owner gives the right with: GRANT batchedit_worker TO your_user"


def _state(error: psycopg.Error) -> str:
    """The SQLSTATE; "" where the connection failed and nobody said why."""
    if error.sqlstate or not isinstance(error, psycopg.OperationalError):
        return error.sqlstate or ""
    return next((state for state, words in _AT_THE_DOOR if re.search(words, str(error))), "")


def crashes(error: psycopg.Error) -> bool:
    """Did the server go down over this statement? It says why, and whether anything was written nobody knows."""
    return error.diag.severity_nonlocalized == "PANIC"


def passes(error: psycopg.Error) -> bool:
    """May the same statement be sent again?"""
    state = _state(error)
    return crashes(error) or (
        isinstance(error, psycopg.OperationalError)
        and (not state or state.startswith(PASSING))
        and state != _NO_ADDRESS
    )


def mapped(error: psycopg.Error, url: str) -> BatcheditError:  # noqa: PLR0911 - one return a kind of failure
    """What psycopg raised about the store at ``url`` as an error of ours: exit code 64, 69, 73, 74 or 77, and what to do. The
    text shows no password of ``url``.
    """
    where, state, told = blotted(url), _state(error), _words(error, url)
    if state.startswith("28"):
        return TokenError(
            f"the store {where} does not let this user in: {told}",
            hint="the password is read from PGPASSWORD or ~/.pgpass",
        )
    if state == "42501":
        return _refused(where, told)
    if state == "3D000":
        return UsageError(
            f"the store {where} has no such database: {told}", hint="make it with createdb, or see to the address"
        )
    if state == "25006":
        return OutputError(
            f"the store {where} is read-only: {told}", hint="give the address of the primary, not of a standby"
        )
    if state in {"53100", "58030"}:
        why = "is full" if state == "53100" else "fails"
        return CheckpointError(
            f"the disk of the store {where} {why}: {told}", hint=FULL_HINT if why == "is full" else ""
        )
    if passes(error):
        why = "has crashed" if crashes(error) else "can't be reached"
        return ServiceUnavailableError(
            f"the store {where} {why}: {told}", hint="nothing is lost: type the same command when it is back"
        )
    if state == _NO_ADDRESS or (isinstance(error, psycopg.ProgrammingError) and not state):
        return UsageError(f"{where} is no address of a PostgreSQL database: {told}")
    return CheckpointError(f"the store {where} failed: {told} [{state or type(error).__name__}]")


def _refused(where: str, told: str) -> TokenError:
    """A user whose rights do not suffice, and which ones are wanted."""
    may_not, hint = next((said for words, *said in _RIGHTS if words in told), _STRANGER)
    return TokenError(f"this user may not {may_not} the store {where}: {told}", hint=hint)


def _words(error: psycopg.Error, url: str) -> str:
    """One line of PostgreSQL's own words. They may hold the address that was given, password and all."""
    text = error.diag.message_primary or " ".join(str(error).split())
    return blotted(text.replace(url, blotted(url)))
