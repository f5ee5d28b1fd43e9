"""A colleague's link is refused whatever is not looking and marking in its own run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from batchedit.commands.drafts import Drafts
from batchedit.ledger.decisions import FolderDecisions
from batchedit.run_folder import RunFolder
from batchedit.web.desk import Desk
from batchedit.web.guests import GuestFile
from batchedit.web.run_folders import run_id
from batchedit.web.server import make_app
from batchedit.web.workers import Workers
from tests.support.finished_run import Showroom, picture
from tests.support.ui import Ui, browsing


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("home")
    room = Showroom(RunFolder(home / "outputs" / "spring"))
    room.row("A")
    checkpoint = room.open()
    room.done(checkpoint, checkpoint.records("id = 1")[0], picture(1, (40, 40)))
    checkpoint.close()
    with browsing(home, environ={"BATCHEDIT_STATE": str(tmp_path_factory.mktemp("state"))}) as ui:
        yield ui


def addresses(ui: Ui, run: str) -> Iterator[tuple[str, str]]:
    """Method and path of everything that the server answers, for this run."""
    app = make_app(Desk({}, Drafts({"BATCHEDIT_STATE": str(ui.state)}), Workers({}), ui.home, GuestFile(ui.state)))
    values = {"{run}": run, "{draft}": "a" * 12, "{name}": "x", "{key}": "a", "{job:int}": "1", "{place:int}": "0"}
    for route in app.routes:
        path = route.path  # type: ignore[attr-defined]
        for word, value in values.items():
            path = path.replace(word, value)
        for method in route.methods or ():  # type: ignore[attr-defined]
            yield method, path


def test_every_call_but_looking_and_marking_is_refused(ui: Ui) -> None:
    run, other = run_id(ui.home / "outputs" / "spring"), "f" * 12
    guest = GuestFile(ui.state / "ui").invite(run, "Robin")
    with httpx.Client(base_url=f"{ui.origin}/{guest.token}", headers={"Origin": ui.origin}, trust_env=False) as http:
        refused, admitted = [], set()
        for method, path in addresses(ui, run):
            if path == "/":
                continue
            status = http.request(method, path, **({"json": {}} if method == "POST" else {})).status_code
            (refused.append(path) if status == 403 else admitted.add(path))
        assert all(path.startswith((f"/runs/{run}/review/", "/assets/")) for path in admitted)
        assert {f"/api/runs/{run}/offer", f"/api/runs/{run}/buy", f"/api/drafts/{'a' * 12}/buy"} <= set(refused)
        assert {f"/api/runs/{run}/invite", f"/api/runs/{run}/wish", f"/api/runs/{run}/give-up"} <= set(refused)
        assert http.get(f"/runs/{other}/review/").status_code == 403
        assert http.get(f"/runs/{run}/review/../../../").status_code in {303, 403}
        decision = {"job": 1, "verdict": "approve", "note": "", "serial": 0}
        assert http.post(f"/runs/{run}/review/api/mark", json=decision).json()["who"] == "Robin"
        forged = http.post(f"/runs/{run}/review/api/mark", json=decision, headers={"Origin": "http://evil.example"})
        assert forged.status_code == 403
        marks = FolderDecisions(ui.home / "outputs" / "spring").all().values()
        assert [(mark.job, mark.verdict, mark.serial, mark.who) for mark in marks] == [(1, "approve", 1, "Robin")]
        GuestFile(ui.state / "ui").revoke(run, "Robin")
        assert http.get(f"/runs/{run}/review/").status_code == 403


def test_a_link_is_kept_for_this_person_alone_and_ends_after_a_week(tmp_path: Path) -> None:
    guests = GuestFile(tmp_path)
    guest = guests.invite("a" * 12, "Robin")
    path = tmp_path / "guests.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert guests.find(guest.token) == guest
    assert guests.find("") is None
    path.write_text(path.read_text().replace(f"{guest.made_at}", f"{guest.made_at - 8 * 86_400}"))
    assert guests.find(guest.token) is None


def test_a_run_that_is_none_is_told_so_and_breaks_nothing(ui: Ui) -> None:
    asked = ("", "api/pictures", "api/marks", "thumbs/1/0.jpg", "files/1/0")
    assert [ui.http.get(f"runs/{'f' * 12}/review/{path}").status_code for path in asked] == [404] * len(asked)
