"""What ``--json`` says of each command's result, as plain values; ``schemas/`` describes them.

Money is in US dollars, a number with at most six decimals (a micro-dollar is the smallest sum). Times are ISO 8601 in UTC.
Rows have the sheet's own numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..core.model import InvalidLine
from ..core.money import to_json_usd

if TYPE_CHECKING:
    from ..commands.doubt import DoubtReport
    from ..commands.doubts import Doubt
    from ..commands.launch import Launch
    from ..commands.live import LiveState
    from ..commands.proof import Audit
    from ..commands.runs import ListedRun
    from ..commands.store import Worker
    from ..planning.plan import Plan
    from ..results.report import Report


def usd(micros: int | None) -> float | None:
    """Micro-dollars as dollars; None stays None."""
    return None if micros is None else to_json_usd(micros)


def iso(at: float | None) -> str | None:
    """Epoch seconds as UTC, to the second; None stays None."""
    from ..commands.live_file import format_utc as written  # noqa: PLC0415 - `--help` needs none of it

    return written(at)


def plan_value(what: Plan) -> dict[str, Any]:
    """Of ``plan``: what would be bought, what it costs, and every doubt about the sheet. ``invalid`` has the first rows."""
    return {
        "source": what.source,
        "folder": str(what.folder.absolute()),
        "model": what.model,
        "play_money": what.play,
        "rows": what.rows,
        "pictures": what.lines,
        "to_buy": what.to_buy,
        "edited": what.edited,
        "had_before": what.reused,
        "reused_from_other_runs": dict(what.other_runs.done),
        "left_to_other_runs": [
            {"folder": folder, "state": state, "count": count}
            for (folder, state), count in what.other_runs.left.items()
        ],
        "twins": what.twins,
        "beyond_limit": what.beyond,
        "left_out": dict(what.left_out),
        "usd": {
            "price": usd(what.price) if what.price else None,
            "estimate": usd(what.estimate) if what.price else None,
            "max_cost": usd(what.max_cost),
            "balance": usd(what.balance),
        },
        "price_source": what.price_source if what.price else None,
        "other_price": what.other_price or None,
        "invalid_rows": what.invalid_rows,
        "invalid": [invalid_value(line) for line in what.invalid],
        "edits": [{"row": edit.row, "id": edit.id or None, "fields": list(edit.fields)} for edit in what.edits],
        "notes": list(what.notes),
        "warnings": list(what.every_warning),
    }


def invalid_value(line: InvalidLine) -> dict[str, Any]:
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


def report_value(report: Report, *, going: bool = False) -> dict[str, Any]:
    """Of ``run``, ``retry``, ``redo``, ``fetch``: what ``report.json`` says, the run's folder, and what to type next; nothing
    where a process works on it (``going``).
    """
    from ..results.report import list_next_commands, list_next_steps  # noqa: PLC0415 - `--help` needs none of it

    told = report.as_json()
    return {
        "folder": str(report.folder.absolute()),
        **told,
        "hint": report.hint or None,
        "next": [] if going else list(list_next_steps(report)),
        "commands": [] if going else [{"aim": aim, "command": command} for aim, command in list_next_commands(report)],
    }


def status_value(now: LiveState, report: Report) -> dict[str, Any]:
    """Of ``status``: how the run stands at this moment, and the same report as after a run."""
    return {**now.as_json(), "report": report_value(report, going=now.alive)}


def runs_value(found: Iterable[ListedRun]) -> dict[str, Any]:
    """Of ``runs``: one entry a run, the one used last first."""
    return {"runs": [run.as_json() for run in found]}


def doubt_value(report: DoubtReport) -> dict[str, Any]:
    """Of ``doubt``: what is still open, what was decided just now; ``report`` after a purchase, else None."""
    return {
        "folder": str(report.folder.absolute()),
        "play_money": report.play,
        "adopted": report.adopted,
        "written_off": report.written_off,
        "open": [_doubt(doubt) for doubt in report.open],
        "report": None if report.bought is None else report_value(report.bought),
        "exit_code": report.code,
    }


def _doubt(doubt: Doubt) -> dict[str, Any]:
    record = doubt.record
    paid = record.reserved or record.cost or 0
    return {
        "name": record.job.name,
        "state": record.state.value,
        "rows": [{"row": row, "id": id_ or None} for row, id_ in doubt.rows],
        "at": iso(record.submitted_at),
        "usd": usd(paid) if paid else None,
        "message": record.problem.message if record.problem else None,
        "reply": doubt.reply or None,
    }


def audit_value(folder: str, found: Audit) -> dict[str, Any]:
    """Of ``audit``: sums over the whole log, and what does not fit. ``job`` 0 is the run as a whole."""
    return {
        "folder": folder,
        "play_money": found.play,
        "clean": found.clean,
        "jobs": found.jobs,
        "events": found.events,
        "intentions": found.intentions,
        "accepted": found.accepted,
        "files": found.files,
        "bytes": found.bytes,
        "usd": {"spent": usd(found.spent), "reserved": usd(found.reserved)},
        "findings": [{"job": f.job, "rows": list(f.rows), "what": f.problem} for f in found.findings],
    }


def workers_value(found: Iterable[Worker]) -> dict[str, Any]:
    """Of ``workers``: who works in the store, and who has ended within a day."""
    return {"workers": [{**asdict(worker), "since": iso(worker.since), "heard": iso(worker.heard)} for worker in found]}


def config_value(source: str, folder: str | None, file: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``config``: each setting by its name, ``{"value": …, "from": …}``; ``folder`` is None before the first run."""
    return {"source": source, "folder": folder, "settings_file": file, "settings": dict(settings)}


def started_value(launch: Launch) -> dict[str, Any]:
    """Of any command with ``--detach``: the process that goes on. ``exit_code`` where it is over already."""
    return {
        "folder": str(launch.folder.absolute()),
        "pid": launch.pid,
        "host": launch.host,
        "started_at": iso(launch.started_at),
        "log": str(launch.log.absolute()),
        "exit_code": launch.ended,
    }
