"""The results of commands as plain values for ``--json``; ``schemas/`` describes them.

Money is in US dollars with at most six decimals (micro-dollars). Times are ISO 8601 in UTC. Row numbers are the sheet's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..core.model import InvalidLine
from ..core.money import to_json_usd

if TYPE_CHECKING:
    from ..commands.audit_replay import Audit
    from ..commands.decide_doubts import Doubt
    from ..commands.doubt import DoubtReport
    from ..commands.launch import Launch
    from ..commands.live import LiveState
    from ..commands.runs import ListedRun
    from ..commands.store import Worker
    from ..planning.plan import Plan
    from ..results.report import Report


def to_usd_number(micros: int | None) -> float | None:
    """Micro-dollars as dollars; None stays None."""
    return None if micros is None else to_json_usd(micros)


def format_iso(at: float | None) -> str | None:
    """Epoch seconds as UTC, to the second; None stays None."""
    from ..commands.live_file import format_utc as format_live_time  # noqa: PLC0415 - `--help` needs none of it

    return format_live_time(at)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """For ``plan``: what would be bought, what it costs, and the warnings about the sheet. ``invalid`` has the first rows."""
    return {
        "source": plan.source,
        "folder": str(plan.folder.absolute()),
        "model": plan.model,
        "play_money": plan.play,
        "rows": plan.rows,
        "pictures": plan.lines,
        "to_buy": plan.to_buy,
        "edited": plan.edited,
        "had_before": plan.reused,
        "reused_from_other_runs": dict(plan.other_runs.done),
        "left_to_other_runs": [
            {"folder": folder, "state": state, "count": count}
            for (folder, state), count in plan.other_runs.left.items()
        ],
        "twins": plan.twins,
        "beyond_limit": plan.beyond,
        "left_out": dict(plan.left_out),
        "usd": {
            "price": to_usd_number(plan.price) if plan.price else None,
            "estimate": to_usd_number(plan.estimate) if plan.price else None,
            "max_cost": to_usd_number(plan.max_cost),
            "balance": to_usd_number(plan.balance),
        },
        "price_source": plan.price_source if plan.price else None,
        "other_price": plan.other_price or None,
        "invalid_rows": plan.invalid_rows,
        "invalid": [invalid_line_to_json(line) for line in plan.invalid],
        "edits": [{"row": edit.row, "id": edit.id or None, "fields": list(edit.fields)} for edit in plan.edits],
        "notes": list(plan.notes),
        "warnings": list(plan.every_warning),
    }


def invalid_line_to_json(line: InvalidLine) -> dict[str, Any]:
    """A row that can't become a job, with every reason."""
    problems = [
        {
            "column": problem.column or None,
            "value": None if problem.value in (None, "") else str(problem.value),
            "reason": problem.reason,
        }
        for problem in line.problems
    ]
    return {"row": line.row, "id": line.id or None, "problems": problems}


def report_to_json(report: Report, *, going: bool = False) -> dict[str, Any]:
    """For ``run``, ``retry``, ``redo``, ``fetch``: the content of ``report.json``, the run's folder, and what to type next:
    nothing while a process works on it (``going``).
    """
    from ..results.report import list_next_commands, list_next_steps  # noqa: PLC0415 - `--help` needs none of it

    report_fields = report.as_json()
    return {
        "folder": str(report.folder.absolute()),
        **report_fields,
        "hint": report.hint or None,
        "next": [] if going else list(list_next_steps(report)),
        "commands": [] if going else [{"aim": aim, "command": command} for aim, command in list_next_commands(report)],
    }


def status_to_json(live_state: LiveState, report: Report) -> dict[str, Any]:
    """For ``status``: the live state of the run, and the same report as after a run."""
    return {**live_state.as_json(), "report": report_to_json(report, going=live_state.alive)}


def runs_to_json(runs: Iterable[ListedRun]) -> dict[str, Any]:
    """For ``runs``: one entry a run, the one used last first."""
    return {"runs": [run.as_json() for run in runs]}


def doubt_report_to_json(report: DoubtReport) -> dict[str, Any]:
    """For ``doubt``: the jobs that are open, and what was decided now; ``report`` after a purchase, else None."""
    return {
        "folder": str(report.folder.absolute()),
        "play_money": report.play,
        "adopted": report.adopted,
        "written_off": report.written_off,
        "open": [_doubt_to_json(doubt) for doubt in report.open],
        "report": None if report.bought is None else report_to_json(report.bought),
        "exit_code": report.code,
    }


def _doubt_to_json(doubt: Doubt) -> dict[str, Any]:
    record = doubt.record
    micros = record.reserved or record.cost or 0
    return {
        "name": record.job.name,
        "state": record.state.value,
        "rows": [{"row": row, "id": id_ or None} for row, id_ in doubt.rows],
        "at": format_iso(record.submitted_at),
        "usd": to_usd_number(micros) if micros else None,
        "message": record.problem.message if record.problem else None,
        "reply": doubt.reply or None,
    }


def audit_to_json(folder: str, audit: Audit) -> dict[str, Any]:
    """For ``audit``: sums over the whole log, and the findings. ``job`` 0 is the run as a whole."""
    return {
        "folder": folder,
        "play_money": audit.play,
        "clean": audit.clean,
        "jobs": audit.jobs,
        "events": audit.events,
        "intentions": audit.intentions,
        "accepted": audit.accepted,
        "files": audit.files,
        "bytes": audit.bytes,
        "usd": {"spent": to_usd_number(audit.spent), "reserved": to_usd_number(audit.reserved)},
        "findings": [
            {"job": finding.job, "rows": list(finding.rows), "what": finding.problem} for finding in audit.findings
        ],
    }


def workers_to_json(workers: Iterable[Worker]) -> dict[str, Any]:
    """For ``workers``: the workers of the store, and those that ended within a day."""
    return {
        "workers": [
            {**asdict(worker), "since": format_iso(worker.since), "heard": format_iso(worker.heard)}
            for worker in workers
        ]
    }


def config_to_json(source: str, folder: str | None, file: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """For ``config``: each setting by its name, ``{"value": …, "from": …}``; ``folder`` is None before the first run."""
    return {"source": source, "folder": folder, "settings_file": file, "settings": dict(settings)}


def launch_to_json(launch: Launch) -> dict[str, Any]:
    """For a command with ``--detach``: the process that was started. ``exit_code`` is None while it runs."""
    return {
        "folder": str(launch.folder.absolute()),
        "pid": launch.pid,
        "host": launch.host,
        "started_at": format_iso(launch.started_at),
        "log": str(launch.log.absolute()),
        "exit_code": launch.ended,
    }
