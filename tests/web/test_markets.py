"""Each row for several markets: what is chosen is in the sum, in the prompts, in the names, and is what is bought."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.support.ui import browsing
from tests.web.test_buying import ended, offered, shop


def test_each_row_is_bought_for_each_market(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(shop(2), "lamps.zip")
        chosen = {"over": {"market": ["DE", "Österreich", "DE"]}, "prompt": "an ad for {market}", "map": {}}
        assert ui.call(f"drafts/{draft}/choices", **chosen).status_code == 200
        ui.until(draft, "check")
        check = json.loads((ui.folder(draft) / "check.json").read_bytes())
        assert (check["error"], check["plan"]["matrix"], check["plan"]["lines"]) == (None, [["market", 2]], 4)
        assert check["sample"][0]["prompt"] == [["an ad for ", False], ["DE", True]]
        ui.until(draft, "look")
        assert "2 rows × 2 markets = <strong>4 pictures" in ui.http.get(f"drafts/{draft}/price").text
        assert 'data-put="market"' in ui.http.get(f"drafts/{draft}/columns").text

        offer = offered(ui, draft)
        assert (offer["count"], offer["estimate"]) == (2, 80_000)  # both rows ask for the same picture of each market
        run = ui.call(f"drafts/{draft}/buy", nonce=offer["nonce"]).json()["run"]
        assert ended(ui, run)["done"] == 2
        text = (Path(offer["folder"]) / "results.csv").read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(text.splitlines()))
        assert sorted((row["sku"], row["market"]) for row in rows) == [
            *(("P0", market) for market in ("DE", "Österreich")),
            *(("P1", market) for market in ("DE", "Österreich")),
        ]


def test_a_market_that_no_prompt_names_is_told(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(shop(2), "lamps.zip")
        for wrong in ({"market": "DE"}, {"market": [" "]}, {"": ["DE"]}, {"market": ["x"] * 51}, {"market": [5]}, []):
            assert ui.call(f"drafts/{draft}/choices", over=wrong).status_code == 400, wrong
        assert ui.call(f"drafts/{draft}/choices", over={"market": ["DE", "FR"]}).status_code == 200
        ui.until(draft, "check")
        plan = json.loads((ui.folder(draft) / "check.json").read_bytes())["plan"]
        assert (plan["to_buy"], plan["twins"]) == (2, 2)
        assert any("name {market} in the prompt" in text for text in (*plan["warnings"], *plan["notes"])), plan
