"""What people and strangers drop: each is said where it happens, nothing is bought, nothing stays behind."""

from __future__ import annotations

import csv
import io
import json
import resource
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest

from tests.support.ui import Ui, browsing
from tests.web.test_buying import ended, offered, shop

LOCKED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600
WIDEST = 16_384
"""Columns of the widest workbook that Excel has."""


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    state = str(tmp_path_factory.mktemp("state"))
    with browsing(tmp_path_factory.mktemp("home"), environ={"BATCHEDIT_STATE": state}) as ui:
        yield ui


def dropped(ui: Ui, content: bytes, name: str) -> tuple[str, str]:
    """The draft, and what is said of it once it was taken in and looked at; "" if it is a sheet."""
    draft = ui.call("drafts", play=True).json()["id"]
    assert ui.put(draft, content, name).status_code == 200
    assert ui.call(f"drafts/{draft}/arrived", name=name).status_code == 200
    error = ui.until(draft, "take")["error"] or ui.until(draft, "look")["error"]
    return draft, f"{error['message']} {error['hint']}" if error else ""


def bomb() -> bytes:
    """300 MB of the same letter in 300 KB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("sheet.csv", "w") as member:
        for _ in range(300):
            member.write(b"a" * 10**6)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "beginning"),
    [
        ("team.xlsx", LOCKED, "team.xlsx is protected by a password"),
        ("login.csv", b"<!doctype html><html><body>Sign in</body></html>", "login.csv is a web page, not a table"),
        ("cut.xlsx", b"PK\x03\x04" + b"\0" * 500, "cut.xlsx is damaged or cut off"),
        ("cut.zip", b"PK\x03\x04" + b"\0" * 500, "cut.zip can't be unpacked: it is damaged"),
        ("empty.csv", b"", "empty.csv is empty"),
    ],
)
def test_what_can_t_be_read_is_said_with_its_name(ui: Ui, name: str, content: bytes, beginning: str) -> None:
    draft, message = dropped(ui, content, name)
    assert message.startswith(beginning)
    refused = ui.call(f"drafts/{draft}/buy", nonce="x")
    assert (refused.status_code, "nothing was bought" in refused.json()["message"]) == (422, True)


def test_a_zip_bomb_is_told_by_what_it_says_of_itself(ui: Ui) -> None:
    draft, message = dropped(ui, bomb(), "shop.zip")
    assert "would unpack to 300.0 MB; it was not unpacked" in message
    assert list((ui.folder(draft) / "upload").iterdir()) == []


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_sheet_of_16384_columns_is_shown(ui: Ui, kind: str) -> None:
    names = ["sku", "image", "prompt", *(f"c{n}" for n in range(WIDEST - 3))]
    cells = ["A", "https://e.com/a.jpg", "an ad", *("x" for _ in range(WIDEST - 3))]
    if kind == "csv":
        content = f"{','.join(names)}\n{','.join(cells)}\n".encode()
    else:
        book, file = openpyxl.Workbook(), io.BytesIO()
        assert book.active is not None
        book.active.append(names)
        book.active.append(cells)
        book.save(file)
        content = file.getvalue()
    draft, message = dropped(ui, content, f"wide.{kind}")
    assert message == ""
    for path in ("sheet", "columns"):
        page = ui.http.get(f"drafts/{draft}/{path}")
        assert page.status_code == 200
        assert len(page.content) < 3_000_000, path  # a page that a browser can lay out
    assert "16,381 columns are not used" in ui.http.get(f"drafts/{draft}/columns").text
    ui.until(draft, "check")
    assert "1 picture for" in ui.http.get(f"drafts/{draft}/price").text


def test_a_disk_that_fills_during_the_upload_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        before = resource.prlimit(ui.process.pid, resource.RLIMIT_FSIZE)
        draft = ui.call("drafts", play=True).json()["id"]
        resource.prlimit(ui.process.pid, resource.RLIMIT_FSIZE, (10**6, before[1]))
        refused = ui.put(draft, b"sku,image\n" * 300_000, "s.csv")
        assert refused.status_code == 422
        assert "the file can't be kept here" in refused.json()["message"]
        assert list((ui.folder(draft) / "upload").iterdir()) == []
        resource.prlimit(ui.process.pid, resource.RLIMIT_FSIZE, before)
        assert ui.put(draft, b"sku,image\n", "s.csv").status_code == 200


def test_a_large_upload_does_not_grow_the_server(tmp_path: Path) -> None:
    def memory(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def blocks() -> Iterator[bytes]:
        for _ in range(250):
            yield b"x" * 10**6

    with browsing(tmp_path) as ui:
        draft = ui.call("drafts", play=True).json()["id"]
        assert ui.put(draft, b"x" * 10**6, "s.csv").status_code == 200
        before = memory(ui.process.pid)
        address = f"api/drafts/{draft}/file"
        answer = ui.http.put(address, params={"name": "s.csv", "inside": "0"}, content=blocks())
        assert answer.json() == {"bytes": 250 * 10**6}
        assert memory(ui.process.pid) - before < 50 * 10**6
        (file,) = (ui.folder(draft) / "upload").iterdir()
        assert file.stat().st_size == 250 * 10**6


def test_pictures_of_the_sandbox_are_never_taken_for_bought_ones(tmp_path: Path) -> None:
    with browsing(tmp_path, environ={"RUNCOMFY_API_TOKEN": "never-sent"}) as ui:
        draft = ui.drop(shop(2), "lamps.zip")
        offer = offered(ui, draft)
        run = ui.call(f"drafts/{draft}/buy", nonce=offer["nonce"]).json()["run"]
        assert ended(ui, run)["done"] == 2
        plans = {}
        for play in (True, False):
            again = ui.drop(shop(2), "lamps.zip", play=play)
            ui.until(again, "check")
            plans[play] = json.loads((ui.folder(again) / "check.json").read_bytes())["plan"]
        assert [(plans[play]["reused"], plans[play]["to_buy"]) for play in (True, False)] == [(2, 0), (0, 2)]


def test_an_upload_that_never_became_a_sheet_is_gone_the_day_after(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        whole = ui.drop(b"sku,image\nA,https://e.com/a.jpg\n", "s.csv")
        never, fresh = (ui.call("drafts", play=True).json()["id"] for _ in range(2))
        for draft in (whole, never):
            path = ui.folder(draft) / "draft.json"
            path.write_text(json.dumps(json.loads(path.read_bytes()) | {"made_at": time.time() - 90_000}))
    with browsing(tmp_path) as ui:
        assert [ui.folder(draft).exists() for draft in (whole, never, fresh)] == [True, False, True]


def test_every_problem_is_in_the_list_to_download(ui: Ui) -> None:
    rows = "".join(f'S{n},http://e.com/{n}.jpg,"=HYPERLINK(1)"\n' for n in range(150))
    rows += 'S150,"=HYPERLINK(""http://e.com"")",an ad\n'
    draft = ui.drop(f"sku,image,prompt\n{rows}".encode(), "Ünser shop.csv")
    ui.until(draft, "check")
    ui.call(f"drafts/{draft}/leave", row=2)
    ui.until(draft, "check")
    answer = ui.http.get(f"drafts/{draft}/problems.csv")
    assert "problems.csv" in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(lines) == 151
    assert (lines[0]["row"], lines[0]["column"], lines[0]["cell"]) == ("2", "image", "http://e.com/0.jpg")
    assert [line["left out"] for line in lines[:2]] == ["yes", ""]
    assert "http://" in lines[149]["what is wrong"]
    assert lines[150]["cell"].startswith("'=")  # text, and no formula, to whoever opens it
