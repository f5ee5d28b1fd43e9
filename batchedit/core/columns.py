"""The names of the result columns, in their order, and the words for a job's state. No other column of a sheet is ours."""

from __future__ import annotations

import json

from .model import LEFT_OUT

RESULT_COLUMNS = (
    "result_row",
    "result_size",
    "result_variant",
    "result_version",
    "result_status",
    "result_error",
    "result_error_kind",
    "result_file",
    "result_files",
    "result_url",
    "result_request_id",
    "result_cost_usd",
    "result_submitted_at",
    "result_finished_at",
    "result_seconds",
    "result_sha256",
    "result_bytes",
    "result_width",
    "result_height",
    "result_key",
    "result_flags",
    "result_reused_from",
    "result_decision",
    "result_note",
)

STATUS = {
    state: "submitted" if state in {"submitting", "waiting", "cancelling", "fetched"} else state
    for state in (
        *("planned", "submitting", "in_doubt", "waiting", "cancelling", "fetched"),
        *("uncollected", "done", "failed", "cancelled", "invalid", "skipped"),
    )
}
"""A job's state as ``result_status`` and the gallery say it."""


def format_problems(problems: str) -> str:
    """Every reason of an invalid row: ``size '4:5' is not possible: …; image is empty …``."""
    reasons = []
    for column, value, reason in json.loads(problems):
        if column == LEFT_OUT:
            reasons.append(f"the row {reason}")
            continue
        quoted = f"{value!r} " if value != "" else ""
        reasons.append(
            f"{column} {quoted}{reason}".strip() if column else f"the row {reason}" + (f": {value}" if value else "")
        )
    return "; ".join(reasons)
