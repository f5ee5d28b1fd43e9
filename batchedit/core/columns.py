"""The names of the result columns, in their order. No other column of a sheet is ours."""

from __future__ import annotations

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
