"""Buying from the page: exactly what was confirmed, once, whoever clicks and whatever becomes of the server."""

from __future__ import annotations

import io
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
from PIL import Image

from tests.support.ui import Ui, browsing


def shop(rows: int) -> bytes:
    lamp, file = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(lamp, "PNG")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("list.csv", "sku,image,prompt\n" + "".join(f"P{n},lamp.png,an ad {n}\n" for n in range(rows)))
        archive.writestr("lamp.png", lamp.getvalue())
    return file.getvalue()


def offered(ui: Ui, draft: str, *, first: int = 0, cap: float | None = 5) -> dict[str, Any]:
    """The question, as the page shows it."""
    ui.until(draft, "check")
    assert ui.call(f"drafts/{draft}/wish", first=first, cap=cap).status_code == 200
    offer = ui.until(draft, "offer")
    assert offer["error"] is None, offer
    return dict(orjson.loads((ui.folder(draft) / "offer.json").read_bytes()))


def ended(ui: Ui, run: str, seconds: float = 300) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while (state := ui.http.get(f"api/runs/{run}/live").json())["state"] not in {"finished", "stopped"} or not state[
        "done"
    ]:
        assert time.monotonic() < end, state
        time.sleep(0.1)
    return dict(state)


def test_two_tabs_that_confirm_at_once_buy_once(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(shop(2), "lamps.zip")
        offer = offered(ui, draft)
        assert (offer["count"], offer["estimate"], offer["cap"]) == (2, 80_000, 5_000_000)

        def click(_: int) -> httpx.Response:
            return httpx.post(
                f"{ui.url}api/drafts/{draft}/buy",
                json={"nonce": offer["nonce"]},
                headers={"Origin": ui.origin},
                timeout=60,
                trust_env=False,
            )

        with ThreadPoolExecutor(2) as tabs:
            answers = sorted(answer.status_code for answer in tabs.map(click, range(2)))
        assert answers in ([200, 200], [200, 422])  # the second is shown the run, or is told that the yes was used
        (run,) = {ui.http.get(f"drafts/{draft}/buy").headers["location"].rpartition("/")[2]}
        state = ended(ui, run)
        assert (state["state"], state["done"], state["usd"]["spent"]) == ("finished", 2, 0.08)


def test_a_killed_server_changes_nothing_about_a_run(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(shop(3), "lamps.zip")
        offer = offered(ui, draft)
        run = ui.call(f"drafts/{draft}/buy", nonce=offer["nonce"]).json()["run"]
        ui.process.kill()
        ui.process.wait()
    with browsing(tmp_path) as ui:
        state = ended(ui, run)
        assert (state["state"], state["done"], state["usd"]["spent"]) == ("finished", 3, 0.12)
        assert "Go on" not in ui.http.get("").text


def test_another_question_than_the_one_that_was_shown_buys_nothing(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(shop(2), "lamps.zip")
        before = offered(ui, draft)
        after = offered(ui, draft, first=1)
        assert (before["count"], after["count"], after["rest"]) == (2, 1, 1)
        assert before["folder"] == after["folder"]
        refused = ui.call(f"drafts/{draft}/buy", nonce=before["nonce"])
        assert (refused.status_code, "nothing was bought" in refused.json()["message"]) == (422, True)
        source = next(ui.folder(draft).glob("upload/bought*"))
        source.write_text(source.read_text() + "P9,lamp.png,one more\n")
        stale = ui.call(f"drafts/{draft}/buy", nonce=after["nonce"])
        assert (stale.status_code, "nothing was bought" in stale.json()["message"]) == (422, True)
        assert not (Path(before["folder"]) / "files").exists() or not list((Path(before["folder"]) / "files").iterdir())


def test_a_wish_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    senseless = [{"first": -1, "cap": 1}, {"first": 1, "cap": -1}, {"first": 1, "cap": True}, {"cap": 1}]
    with browsing(tmp_path) as ui:
        draft = ui.call("drafts", play=True).json()["id"]
        assert [ui.call(f"drafts/{draft}/wish", **wish).status_code for wish in senseless] == [400] * 4
        assert ui.call("runs/aaaaaaaaaaaa/wish", what="stop").status_code == 404


def test_rows_with_problems_are_settled_before_anything_is_offered(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(b"sku,image,prompt\nA,,x\nB,https://e.com/b.jpg,x\n", "s.csv")
        ui.until(draft, "check")
        ui.call(f"drafts/{draft}/wish", first=0, cap=1)
        assert ui.until(draft, "offer")["error"]["message"] == "some rows have problems"
        ui.call(f"drafts/{draft}/leave", cause=0)
        ui.until(draft, "check")
        offer = ui.until(draft, "offer")
        assert offer["error"] is None
