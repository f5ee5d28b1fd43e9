"""Errors of PostgreSQL and of the network as errors of ours, in the user's words and with their exit codes."""

from __future__ import annotations

import os
import re

import psycopg

from ...core.errors import BatcheditError, CheckpointError, OutputError, ServiceUnavailableError, TokenError, UsageError
from ...core.shell_commands import format_command
from ..errors import FULL_HINT
from .url import build_store_option, hide_password

TRANSIENT_STATES = ("08", "57P", "40P01", "40001", "53300", "55P03")
"""SQLSTATEs, or their prefixes, of transient errors: a connection that was lost, a server that restarts, a deadlock."""


class LeaseOverError(CheckpointError):
    """This worker sent no beat for longer than its lease: others have taken its jobs, and it may buy nothing more.

    The same command starts another worker.
    """

    code = 75


class HaltedError(CheckpointError):
    """Nothing is bought in this run any more, by any worker, until a person has checked."""

    def set_lift_hint(self, run: str, shown_url: str) -> None:
        """Set the hint: how a person lets the run called ``run`` of the store ``shown_url`` (without its password) buy
        again.
        """
        self.hint = (
            "look first which server or backup this is and what it has forgotten (docs: Back up a store, and restore it); "
            f"then {format_command('store', 'lift', run, *build_store_option(shown_url, os.environ))}"
        )


_CONNECTION_STATES = (
    ("28000", r"authentication failed|no password supplied|role .* does not exist|no pg_hba\.conf entry"),
    ("3D000", r"database .* does not exist"),
    ("08001", r"invalid (integer|port|sslmode|.*) value|invalid port number|Servname not supported"),
)
"""An error before the login has no SQLSTATE in libpq: the first whose pattern matches PostgreSQL's English message counts."""
_BAD_ADDRESS = "08001"
_MISSING_RIGHTS = (
    # the role of a worker reads every table, and writes to none
    (" for table ", "do that in", "what lets money out or changes a run takes the role of the store's owner"),
    (
        " for database ",
        "make",
        "the database's owner gives the right with: GRANT CREATE ON DATABASE its_name TO your_user",
    ),
    (" create role", "make", "whoever keeps the server types this before: CREATE ROLE batchedit_worker NOLOGIN"),
)
"""A phrase of PostgreSQL's message, the action that the user may not do, and the hint how to get the right."""
_NO_RIGHTS = "work in", "its owner gives the right with: GRANT batchedit_worker TO your_user"


def _find_sqlstate(error: psycopg.Error) -> str:
    """The SQLSTATE; "" where the connection failed without a reason."""
    if error.sqlstate or not isinstance(error, psycopg.OperationalError):
        return error.sqlstate or ""
    return next((state for state, pattern in _CONNECTION_STATES if re.search(pattern, str(error))), "")


def is_crash(error: psycopg.Error) -> bool:
    """Did the server crash at this statement? Then its message has the reason, and whether anything was written is
    unknown.
    """
    return error.diag.severity_nonlocalized == "PANIC"


def is_transient(error: psycopg.Error) -> bool:
    """May the same statement be sent again?"""
    state = _find_sqlstate(error)
    return is_crash(error) or (
        isinstance(error, psycopg.OperationalError)
        and (not state or state.startswith(TRANSIENT_STATES))
        and state != _BAD_ADDRESS
    )


def map_postgres_error(error: psycopg.Error, url: str) -> BatcheditError:  # noqa: PLR0911 - one return a kind of failure
    """``error``, raised by psycopg for the store at ``url``, as an error of ours: exit code 64, 69, 73, 74 or 77, and a hint.
    The text shows no password of ``url``.
    """
    shown_url, state, message = hide_password(url), _find_sqlstate(error), _read_message(error, url)
    if state.startswith("28"):
        return TokenError(
            f"the store {shown_url} does not let this user in: {message}",
            hint="the password is read from PGPASSWORD or ~/.pgpass",
        )
    if state == "42501":
        return _build_rights_error(shown_url, message)
    if state == "3D000":
        return UsageError(
            f"the store {shown_url} has no such database: {message}",
            hint="make it with createdb, or see to the address",
        )
    if state == "25006":
        return OutputError(
            f"the store {shown_url} is read-only: {message}", hint="give the address of the primary, not of a standby"
        )
    if state in {"53100", "58030"}:
        reason = "is full" if state == "53100" else "fails"
        return CheckpointError(
            f"the disk of the store {shown_url} {reason}: {message}", hint=FULL_HINT if reason == "is full" else ""
        )
    if is_transient(error):
        reason = "has crashed" if is_crash(error) else "can't be reached"
        return ServiceUnavailableError(
            f"the store {shown_url} {reason}: {message}", hint="nothing is lost: type the same command when it is back"
        )
    if state == _BAD_ADDRESS or (isinstance(error, psycopg.ProgrammingError) and not state):
        return UsageError(f"{shown_url} is no address of a PostgreSQL database: {message}")
    return CheckpointError(f"the store {shown_url} failed: {message} [{state or type(error).__name__}]")


def _build_rights_error(shown_url: str, message: str) -> TokenError:
    """The error for a user whose rights do not suffice, with the missing ones in the hint."""
    may_not, hint = next(
        (action_and_hint for phrase, *action_and_hint in _MISSING_RIGHTS if phrase in message), _NO_RIGHTS
    )
    return TokenError(f"this user may not {may_not} the store {shown_url}: {message}", hint=hint)


def _read_message(error: psycopg.Error, url: str) -> str:
    """PostgreSQL's own message in one line. It may hold the address that was given, so its password is hidden."""
    text = error.diag.message_primary or " ".join(str(error).split())
    return hide_password(text.replace(url, hide_password(url)))
