"""A token that expires at night, one that is missing, one that is given on the page: said where it happens, nothing lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig
from tests.support.ui import Ui, browsing, clean
from tests.web.test_buying import shop

ROWS = 12


@pytest.fixture
def service() -> Iterator[RunningSandbox]:
    running = RunningSandbox(SandboxConfig(token="of-the-evening", latency="0.1"))
    yield running
    running.close()


def stands(ui: Ui, run: str, *states: str) -> dict[str, Any]:
    end = time.monotonic() + 300
    while (state := ui.http.get(f"api/runs/{run}/live").json())["state"] not in states:
        assert time.monotonic() < end, state
        time.sleep(0.05)
    return dict(state)


def begin(home: Path, service: RunningSandbox, token: str) -> None:
    """A run at ``service`` in a process of its own, confirmed in a terminal."""
    rows = "".join(f"S{n},{service.url}/samples/lamp-{n}.jpg,an ad {n}\n" for n in range(ROWS))
    (home / "s.csv").write_text(f"sku,image,prompt\n{rows}")
    command = [sys.executable, "-m", "batchedit", "run", "s.csv", "--yes", "--detach", "--base-url", service.url]
    command += ["--concurrency", "2", "--no-thumbnails", "--no-check-images"]
    env = clean(home) | {"RUNCOMFY_API_TOKEN": token}
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kept_in", ["the environment", "the file"])
def test_a_token_that_expires_at_night_is_renewed_on_the_page_and_the_run_goes_on(
    tmp_path: Path, service: RunningSandbox, kept_in: str
) -> None:
    service.set_faults(["submit:401=after:5"])  # four are bought, then the token has expired
    begin(tmp_path, service, "of-the-evening")
    environ = {"RUNCOMFY_API_TOKEN": "of-the-evening"} if kept_in == "the environment" else {}
    with browsing(tmp_path, environ=environ) as ui:
        if not environ:
            assert ui.call("token", token="of-the-evening").status_code == 200
        (run,) = {line.partition('"')[0] for line in ui.http.get("").text.split("runs/")[1:]}
        state = stands(ui, run, "stopped")
        assert (state["code"], state["failed"]) == (77, 0)
        assert "token" in state["stopped"]
        service.renew_token("of-the-morning")
        service.set_faults([])
        before = service.ledger()["submits_seen"]

        assert ui.call("token", token="of-the-morning").status_code == 200
        refused = ui.call(f"runs/{run}/offer")
        assert (refused.status_code, refused.json()["token"]) == (422, True)
        assert "bought with another token" in refused.json()["message"]
        offer = ui.call(f"runs/{run}/offer", same_account=True)
        assert offer.status_code == 200, offer.text
        assert service.ledger()["submits_seen"] == before
        assert ui.call(f"runs/{run}/buy", nonce=offer.json()["nonce"]).status_code == 200
        state = stands(ui, run, "finished")

    assert (state["done"], state["in_doubt"], state["usd"]["spent"]) == (ROWS, 0, round(ROWS * 0.04, 2))
    ledger = service.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (ROWS, 0)


def test_a_first_purchase_without_a_token_asks_for_one_and_goes_on_with_it(tmp_path: Path) -> None:
    """The refusal stayed after the token was given: the offer was never made anew."""
    with browsing(tmp_path) as ui:
        draft = ui.drop(shop(2), "lamps.zip", play=False)
        ui.until(draft, "check")
        assert ui.call(f"drafts/{draft}/wish", first=0, cap=5).status_code == 200
        error = ui.until(draft, "offer")["error"]
        assert (error["token"], "no API token" in error["message"]) == (True, True)
        page = ui.http.get(f"drafts/{draft}/buy").text
        assert "A token is needed to buy" in page
        assert 'id="token"' in page
        assert "export" not in page
        assert ui.call("token", token="abc def").status_code == 422
        assert ui.call(f"drafts/{draft}/again", step="offer").status_code == 200
        problem = ui.until(draft, "offer")["error"]
        assert problem["token"] is True  # there is none yet: it was asked anew
        again = (ui.folder(draft) / "offer.json").stat().st_mtime_ns
        assert ui.call(f"drafts/{draft}/wish", first=0, cap=5).status_code == 200
        ui.until(draft, "offer")
        assert (ui.folder(draft) / "offer.json").stat().st_mtime_ns > again
