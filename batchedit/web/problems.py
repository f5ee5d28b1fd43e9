"""Rows with faults, grouped by cause: edit a cell, edit all alike, leave out. The sheet itself is never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..commands.draft_edits import Edits, ReplaceRule
from ..commands.draft_problems import write_problems
from ..commands.draft_steps import Step
from ..commands.drafts import Draft
from ..ledger.sheet_problems import PAGE, Findings
from ..review.json_body import BadRequestError
from .desk import Desk, Payload, serve_json_post, serve_page
from .pages import render_page
from .steps import read_step_or_wait

LONGEST_CELL = 20_000
_MOST = 1 << 31


class Problems:
    """The screen ``problems``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/drafts/{draft}/problems", serve_page(self.show)),
            Route("/drafts/{draft}/problems.csv", serve_page(self.download)),
            Route("/api/drafts/{draft}/cell", serve_json_post(self.cell), methods=["POST"]),
            Route("/api/drafts/{draft}/alike", serve_json_post(self.alike), methods=["POST"]),
            Route("/api/drafts/{draft}/leave", serve_json_post(self.leave), methods=["POST"]),
            Route("/api/drafts/{draft}/undo", serve_json_post(self.undo), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page with the causes, and a hundred rows of one of them."""
        draft = await self._desk.find_draft(request)
        check = await read_step_or_wait(self._desk, request, draft, Step.CHECK, "Checking every row")
        if isinstance(check, Response):
            return check
        if check["error"]:
            return render_page(request, "unread", draft=draft, play=draft.play, look=check, at="problems")
        query = request.query_params
        cause, begin, row = (_parse_number(query.get(name, "")) for name in ("cause", "from", "row"))
        data = await to_thread.run_sync(_list_problems, draft, cause, begin, row)
        return render_page(request, "problems", draft=draft, play=draft.play, look=check, at="problems", **data)

    async def download(self, request: Request) -> Response:
        """All problems as a file, for the owner of the sheet."""
        draft = await self._desk.find_draft(request)
        check = await read_step_or_wait(self._desk, request, draft, Step.CHECK, "Checking every row")
        if isinstance(check, Response):
            return check
        path = await to_thread.run_sync(write_problems, draft)
        name = f"{Path(draft.name).stem} problems.csv"
        return FileResponse(path, filename=name, media_type="text/csv", headers={"cache-control": "no-store"})

    async def cell(self, request: Request, body: Payload) -> Payload:
        """Edit one cell of one row."""
        row, field, text = body.get("row"), body.get("field"), body.get("text")
        if (
            type(row) is not int
            or not 0 < row < _MOST
            or not _is_text(field, 1_000)
            or not _is_text(text, LONGEST_CELL)
        ):
            raise BadRequestError("a cell has a row, a column and a text")

        def change(edits: Edits) -> None:
            edits.cells.setdefault(str(row), {})[str(field)] = str(text)
            edits.left_out = [other for other in edits.left_out if other != row]

        return await self._edit(request, change)

    async def alike(self, request: Request, body: Payload) -> Payload:
        """Replace a part of every cell of a column."""
        field, find, put, whole = (body.get(name) for name in ("field", "find", "put", "whole"))
        if not all(_is_text(text, LONGEST_CELL) for text in (field, find, put)) or (not find and not whole):
            raise BadRequestError("say which part of the cells is to become what")
        rule = ReplaceRule(str(field), str(find), str(put), whole is True)
        return await self._edit(request, lambda edits: edits.alike.append(rule))

    async def leave(self, request: Request, body: Payload) -> Payload:
        """Leave out a row, or all rows of a cause; or include them again (``out`` false)."""
        draft = await self._desk.find_draft(request)
        cause, row, out = body.get("cause"), body.get("row"), body.get("out") is not False
        if type(cause) is not int and type(row) is not int:
            raise BadRequestError("say which rows are left out")
        rows = {row} if type(row) is int else await to_thread.run_sync(_find_rows, draft, int(str(cause)))

        def change(edits: Edits) -> None:
            left_out = set(edits.left_out)
            edits.left_out = sorted(left_out | rows if out else left_out - rows)

        return await self._edit(request, change)

    async def undo(self, request: Request, _: Payload) -> Payload:
        """Discard all edits."""

        def forget(edits: Edits) -> None:
            edits.cells, edits.alike, edits.left_out = {}, [], []

        return await self._edit(request, forget)

    async def _edit(self, request: Request, change: Callable[[Edits], None]) -> Payload:
        draft = await self._desk.find_draft(request)

        def apply() -> None:
            edits = Edits.load(draft)
            change(edits)
            edits.save(draft)
            digest = hashlib.sha256(repr(edits).encode(errors="replace")).hexdigest()[:16]
            replace(draft, choices={**draft.choices, "edits": digest}).save()

        await to_thread.run_sync(apply)
        return {"kept": True}


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most


def _parse_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _find_rows(draft: Draft, cause: int) -> set[int]:
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        return set(findings.list_rows_of_cause(cause))


def _list_problems(draft: Draft, cause: int, begin: int, row: int) -> dict[str, Any]:
    """A hundred rows from ``begin`` on, of one cause or of all; with ``row``, the hundred around it."""
    edits = Edits.load(draft)
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        position = findings.count_before(cause, row) if row else None
        begin = begin if position is None else position // PAGE * PAGE
        causes = findings.list_causes()
        total = next((group.count for group in causes if group.cause == cause), sum(group.count for group in causes))
        return {
            "causes": causes,
            "cause": next((group for group in causes if group.cause == cause), None),
            "rows": findings.read_page(cause, begin),
            "begin": begin,
            "page_size": PAGE,
            "total": total,
            "wanted": row,
            "missing": bool(row) and position is None,
            "open_rows": findings.count_open_rows(),
            "left_rows": findings.count_left_out_rows(),
            "mended": len(edits.cells) + len(edits.alike),
        }
