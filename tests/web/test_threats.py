"""One row for each threat to a page on this machine: what a stranger sends, and that it is refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from batchedit.web.guests import GuestFile
from tests.support.ui import Ui, browsing

JSON = {"Content-Type": "application/json"}
MINE, THEIRS = "http://127.0.0.1:{port}", "http://evil.example"
CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Sent(NamedTuple):
    """A request of the table; ``{token}``, ``{guest}`` and ``{port}`` are put in."""

    threat: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int


MAKE = "/{token}/api/drafts"
BUY = "/{token}/api/drafts/aaaaaaaaaaaa/buy"
ORIGIN = {"Origin": MINE}
TABLE = (
    Sent("a name made to point here", "GET", "/{token}/", {"Host": "evil.example:{port}"}, b"", 403),
    Sent("a name that begins like ours", "GET", "/{token}/", {"Host": "127.0.0.1.evil.example:{port}"}, b"", 403),
    Sent("another port's name", "GET", "/{token}/", {"Host": "127.0.0.1:1"}, b"", 403),
    Sent("a call without an origin", "POST", MAKE, JSON, b"{}", 403),
    Sent("a call from another page", "POST", MAKE, {**JSON, "Origin": THEIRS}, b"{}", 403),
    Sent("a call from a sandboxed frame", "POST", MAKE, {**JSON, "Origin": "null"}, b"{}", 403),
    Sent("a call from another port", "POST", MAKE, {**JSON, "Origin": "http://127.0.0.1:1"}, b"{}", 403),
    Sent("a call from another scheme", "POST", MAKE, {**JSON, "Origin": "https://127.0.0.1:{port}"}, b"{}", 403),
    Sent("a purchase from another page", "POST", BUY, {**JSON, "Origin": THEIRS}, b'{"nonce": "x"}', 403),
    Sent("an upload from another page", "PUT", "/{token}/api/drafts/aaaaaaaaaaaa/file", {"Origin": THEIRS}, b"x", 403),
    Sent("a form as text", "POST", MAKE, {**ORIGIN, "Content-Type": "text/plain"}, b"{}", 400),
    Sent("a form", "POST", MAKE, {**ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}, b"a=1", 400),
    Sent("no object", "POST", MAKE, {**ORIGIN, **JSON}, b"[]", 400),
    Sent("a link that is followed", "GET", "/{token}/", CROSS, b"", 200),
    Sent("a link behind the first page", "GET", "/{token}/new", CROSS, b"", 403),
    Sent("a picture of a foreign page", "GET", "/{token}/", {**CROSS, "Sec-Fetch-Mode": "no-cors"}, b"", 403),
    Sent("a frame of a foreign page", "GET", "/{token}/", {**CROSS, "Sec-Fetch-Dest": "iframe"}, b"", 403),
    Sent("another person on this machine", "GET", "/", {}, b"", 403),
    Sent("a guessed token", "GET", "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/", {}, b"", 403),
    Sent("a token in a cookie", "GET", "/new", {"Cookie": "token={token}"}, b"", 403),
    Sent("a token behind the address", "GET", "/?token={token}", {}, b"", 403),
    Sent("a line that stays open", "GET", "/{token}/", {"Upgrade": "websocket", "Connection": "Upgrade"}, b"", 200),
    Sent("a way out of the assets", "GET", "/{token}/assets/..%2F..%2Fserver.py", {}, b"", 404),
    Sent("a way out of a run", "GET", "/{token}/runs/..%2F..%2Fetc/live", {}, b"", 404),
    Sent("a draft that is a path", "GET", "/{token}/drafts/..%2F..%2Fetc/sheet", {}, b"", 404),
    Sent("a colleague who buys", "POST", "/{guest}/api/drafts/aaaaaaaaaaaa/buy", {**ORIGIN, **JSON}, b"{}", 403),
    Sent("a colleague who offers", "POST", "/{guest}/api/runs/aaaaaaaaaaaa/offer", {**ORIGIN, **JSON}, b"{}", 403),
    Sent("a colleague who keeps a token", "POST", "/{guest}/api/token", {**ORIGIN, **JSON}, b'{"token": "x"}', 403),
    Sent("a colleague at another run", "GET", "/{guest}/runs/bbbbbbbbbbbb/review/", {}, b"", 403),
    Sent("a yes to no question", "POST", BUY, {**ORIGIN, **JSON}, b'{"nonce": "x"}', 404),
)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    state = str(tmp_path_factory.mktemp("state"))
    with browsing(tmp_path_factory.mktemp("home"), environ={"BATCHEDIT_STATE": state}) as ui:
        GuestFile(ui.state / "ui").invite("a" * 12, "Robin")
        yield ui


@pytest.mark.parametrize("sent", TABLE, ids=[sent.threat for sent in TABLE])
def test_what_a_stranger_sends_is_refused(ui: Ui, sent: Sent) -> None:
    values = {
        "token": ui.token,
        "port": ui.origin.rpartition(":")[2],
        "guest": GuestFile(ui.state / "ui").all()[0].token,
    }
    headers = {name: value.format(**values) for name, value in sent.headers.items()}
    with httpx.Client(timeout=90, trust_env=False) as http:
        url = f"{ui.origin}{sent.path.format(**values)}"
        answer = http.request(sent.method, url, headers=headers, content=sent.body)
    assert answer.status_code == sent.status
    assert values["token"] not in answer.text
    if sent.status == 200:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


PRIVATE = ("https://127.0.0.1/a.png", "https://169.254.169.254/latest/meta-data", "https://[::1]/a.png")
OUTSIDE = ("/etc/passwd", "~/secret.png", "file:///etc/hostname", "../../secret.png", "a/../../secret.png")


def checked(ui: Ui, cells: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    rows = "".join(f"S{n},{cell},an ad\n" for n, cell in enumerate(cells))
    draft = ui.drop(f"sku,image,prompt\n{rows}".encode(), "theirs.csv")
    ui.until(draft, "check")
    return draft, dict(json.loads((ui.folder(draft) / "check.json").read_bytes()))


def test_a_dropped_sheet_can_t_name_a_file_of_this_machine(ui: Ui) -> None:
    (ui.home / "secret.png").write_bytes(b"secret")
    draft, result = checked(ui, OUTSIDE)
    assert (result["bad_rows"], result["plan"]["to_buy"]) == (len(OUTSIDE), 0)
    assert "root:" not in ui.http.get(f"drafts/{draft}/problems").text


def test_a_preview_is_never_fetched_from_this_network(ui: Ui) -> None:
    draft, result = checked(ui, PRIVATE)
    ui.until(draft, "pictures")
    thumbs = ui.http.get(f"api/drafts/{draft}/thumbs").json()
    assert thumbs["there"] == []
    assert len(thumbs["why"]) + result["bad_rows"] == len(PRIVATE)
    assert all("public" in why for why in thumbs["why"].values()), thumbs


def test_an_archive_s_names_lead_nowhere_else(ui: Ui) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("list.csv", "sku,image,prompt\n")
        archive.writestr("../../../evil.csv", "sku\n")
    draft = ui.call("drafts", play=True).json()["id"]
    assert ui.put(draft, file.getvalue(), "shop.zip").status_code == 200
    assert ui.call(f"drafts/{draft}/arrived", name="shop.zip").status_code == 200
    assert "outside of what was dropped" in ui.until(draft, "take")["error"]["message"]
    assert not list(ui.state.rglob("evil*"))
