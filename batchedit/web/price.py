"""The price: sizes, markets and variants to choose, the multiplication of the counts, the price and the cap."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..commands.draft_steps import Step, read_step_result
from ..commands.drafts import Draft
from ..core.money import MICRO
from ..ledger.sheet_problems import Findings
from .desk import Desk, serve_page
from .pages import render_page
from .steps import read_step_or_wait

VARIANTS = (1, 2, 3, 4)
MARKETS = ("US", "UK", "DE", "FR", "ES", "IT", "JP")
"""Offered as buttons; any other may be typed."""
CANARY_COUNT = 5
"""Number of pictures offered to buy first."""


class Price:
    """The screen ``price``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [Route("/drafts/{draft}/price", serve_page(self.show))]

    async def show(self, request: Request) -> Response:
        """The page with the sum from the plan."""
        draft = await self._desk.find_draft(request)
        sheet = await read_step_or_wait(self._desk, request, draft, Step.LOOK, "Reading the sheet")
        if isinstance(sheet, Response):
            return sheet
        check = await read_step_or_wait(self._desk, request, draft, Step.CHECK, "Checking every row")
        if isinstance(check, Response):
            return check
        if error := check["error"] or sheet["error"]:
            return render_page(request, "unread", draft=draft, play=draft.play, look={"error": error}, at="price")
        data = await to_thread.run_sync(_build_data, draft, check)
        return render_page(request, "price", draft=draft, play=draft.play, look=check, at="price", **data)


def _build_data(draft: Draft, check: dict[str, Any]) -> dict[str, Any]:
    sheet, plan = read_step_result(draft, Step.LOOK), check["plan"]
    column = sheet["markets"]
    chosen = (draft.choices.get("over") or {}).get(column, [])
    sizes = next((model_input for model_input in sheet["inputs"] if model_input["options"]), None)
    with Findings.open_existing(draft.folder / "check.sqlite") as findings:
        open_rows, left_rows = findings.count_open_rows(), findings.count_left_out_rows()
    return {
        "what": plan,
        "factors": dict(plan["matrix"]),
        "good_rows": plan["rows"] - plan["invalid_rows"] - plan["left_out"],
        "sizes": sizes,
        "chosen_sizes": list(draft.choices.get("sizes") or ()),
        "market_column": column,
        "markets": list(dict.fromkeys((*MARKETS, *chosen))),
        "chosen_markets": chosen,
        "variants": VARIANTS,
        "chosen_variants": int(draft.choices.get("variants") or 1),
        "open_rows": open_rows,
        "left_rows": left_rows,
        "cap": _suggest_cap(plan["estimate"]),
        "few": min(CANARY_COUNT, plan["to_buy"]),
    }


def _suggest_cap(estimate: int) -> str:
    """A tenth more than the estimate, in whole dollars: room for a price that rises a little."""
    return str(-(-estimate * 11 // (10 * MICRO))) if estimate else ""
