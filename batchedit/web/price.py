"""What it comes to: sizes, markets and variants to choose, one line that multiplies, the price and the cap."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_steps import Step, read_step_result
from ..commands.drafts import Draft
from ..core.money import MICRO
from ..ledger.findings import Findings
from .desk import Desk, shown
from .pages import page
from .steps import looked

VARIANTS = (1, 2, 3, 4)
MARKETS = ("US", "UK", "DE", "FR", "ES", "IT", "JP")
"""Offered at a click; any other may be written."""
FEW = 5
"""So many are bought first."""


class Price:
    """The screen ``price``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/drafts/{draft}/price", shown(self.show))]

    async def show(self, request: Request) -> Response:
        """The sum, as the plan has it."""
        draft = await self._desk.draft(request)
        read = await looked(self._desk, request, draft, Step.LOOK, "Reading the sheet")
        if isinstance(read, Response):
            return read
        told = await looked(self._desk, request, draft, Step.CHECK, "Checking every row")
        if isinstance(told, Response):
            return told
        if error := told["error"] or read["error"]:
            return page(request, "unread", draft=draft, play=draft.play, look={"error": error}, at="price")
        data = await to_thread.run_sync(_sum, draft, told)
        return page(request, "price", draft=draft, play=draft.play, look=told, at="price", **data)


def _sum(draft: Draft, told: dict[str, Any]) -> dict[str, Any]:
    look, what = read_step_result(draft, Step.LOOK), told["plan"]
    column = look["markets"]
    chosen = (draft.choices.get("over") or {}).get(column, [])
    sizes = next((one for one in look["inputs"] if one["options"]), None)
    with Findings.opened(draft.folder / "check.sqlite") as findings:
        open_rows, left_rows = findings.open_rows(), findings.left_out_rows()
    return {
        "what": what,
        "factors": dict(what["matrix"]),
        "good_rows": what["rows"] - what["invalid_rows"] - what["left_out"],
        "sizes": sizes,
        "chosen_sizes": list(draft.choices.get("sizes") or ()),
        "market_column": column,
        "markets": list(dict.fromkeys((*MARKETS, *chosen))),
        "chosen_markets": chosen,
        "variants": VARIANTS,
        "chosen_variants": int(draft.choices.get("variants") or 1),
        "open_rows": open_rows,
        "left_rows": left_rows,
        "cap": _cap(what["estimate"]),
        "few": min(FEW, what["to_buy"]),
    }


def _cap(estimate: int) -> str:
    """A tenth more than the estimate, in whole dollars: room for a price that rises a little."""
    return str(-(-estimate * 11 // (10 * MICRO))) if estimate else ""
