"""``batchedit ui`` as a process of its own: who may talk to it, and what it keeps."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cli import until
from tests.support.ui import Ui, browsing

SHEET = "sku,image,prompt\nA,https://example.com/a.jpg,an ad\nB,https://example.com/b.jpg,ün ad\n"


def link_file() -> Path:
    return Path(os.environ["BATCHEDIT_STATE"]) / "ui" / "link.json"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """One server for all tests that leave it as it was."""
    with browsing(
        tmp_path_factory.mktemp("home"), environ={"BATCHEDIT_STATE": str(tmp_path_factory.mktemp("ui"))}
    ) as ui:
        yield ui


def test_forged_requests_are_refused(ui: Ui) -> None:
    base = ui.origin
    with httpx.Client(timeout=90, trust_env=False) as http:
        forged = [
            http.get(f"{base}/"),
            http.get(f"{base}/{'x' * len(ui.token)}/"),
            http.get(ui.url, headers={"Host": "evil.example:80"}),
            http.post(f"{ui.url}api/drafts", json={"play": True}),  # no Origin
            http.post(f"{ui.url}api/drafts", json={"play": True}, headers={"Origin": "http://evil.example"}),
            http.post(f"{ui.url}api/drafts", json={"play": True}, headers={"Origin": "null"}),
            http.put(f"{ui.url}api/drafts/aaaaaaaaaaaa/file", content=b"x", headers={"Origin": "http://evil.example"}),
            http.get(f"{ui.url}new", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}),
            http.get(ui.url, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
        ]
        assert [answer.status_code for answer in forged] == [403] * len(forged)
        body = {"content": b'{"play": true}', "headers": {"Origin": base, "Content-Type": "text/plain"}}
        assert http.post(f"{ui.url}api/drafts", **body).status_code == 400
        followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert http.get(ui.url, headers=followed).status_code == 200


def test_every_answer_says_that_nothing_from_elsewhere_may_run(ui: Ui) -> None:
    for path in ("", "new", "assets/page.js", "drafts/aaaaaaaaaaaa/sheet"):
        headers = ui.http.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_no_page_has_anything_inline(ui: Ui) -> None:
    draft = ui.drop(SHEET.encode(), "spring.csv")
    ui.until(draft, "look")
    for path in ("", "new", f"drafts/{draft}/sheet", "nowhere"):
        text = ui.http.get(path).text
        assert " style=" not in text, path
        assert " onclick=" not in text, path
        assert "<script>" not in text, path
        assert "<style" not in text, path


def test_the_address_is_the_same_after_a_restart_and_a_new_link_revokes_it(tmp_path: Path) -> None:
    with browsing(tmp_path) as first:
        before = first.url
        assert stat.S_IMODE(link_file().stat().st_mode) == 0o600
        assert first.end(signal.SIGTERM) == 143
    with browsing(tmp_path) as again:
        assert again.url == before
        with browsing(tmp_path, "--new-link") as other:  # the one that runs stays the only one
            assert other.process.wait(120) == 0
            assert other.url != before
            assert again.http.get("").status_code == 403
            assert httpx.get(other.url, trust_env=False).status_code == 200


def test_a_link_that_is_a_week_old_admits_nobody(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        assert ui.http.get("").status_code == 200
        link = json.loads(link_file().read_bytes())
        link_file().write_text(json.dumps(link | {"made_at": time.time() - 7 * 86_400 - 1}))
        assert ui.http.get("").status_code == 403
        ui.end(signal.SIGTERM)
    with browsing(tmp_path) as again:
        assert again.token != link["token"]


def test_a_link_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        link_file().chmod(0o644)
        ui.end(signal.SIGTERM)
        before = ui.token
    with browsing(tmp_path) as again:
        assert again.token != before
        assert stat.S_IMODE(link_file().stat().st_mode) == 0o600


def test_a_second_one_shows_the_address_of_the_first(ui: Ui, tmp_path: Path) -> None:
    with browsing(tmp_path, environ={"BATCHEDIT_STATE": str(ui.state)}) as second:
        assert second.url == ui.url
        assert second.process.wait(120) == 0


def test_it_listens_on_this_machine_alone(ui: Ui) -> None:
    port = int(ui.origin.rpartition(":")[2])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_the_token_is_kept_for_this_person_alone_and_never_told(ui: Ui) -> None:
    assert ui.call("token", token="  Bearer abc-123 \n").json() == {"kept": True}
    file = ui.home / ".config" / "runcomfy" / "token.json"
    assert json.loads(file.read_bytes()) == {"token": "abc-123"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "abc-123" not in ui.http.get("").text
    assert "token.json" in ui.http.get("").text
    refused = ui.call("token", token="two words")
    assert (refused.status_code, "space" in refused.json()["message"]) == (422, True)


def test_a_dropped_sheet_survives_a_killed_server(tmp_path: Path) -> None:
    with browsing(tmp_path) as ui:
        draft = ui.drop(SHEET.encode(), "spring.csv")
        ui.process.kill()
        ui.process.wait()
    with browsing(tmp_path) as ui:
        assert "spring.csv" in ui.http.get("").text
        ui.until(draft, "look")
        assert "ün ad" in ui.http.get(f"drafts/{draft}/sheet").text


def test_an_upload_that_is_cut_off_leaves_nothing(ui: Ui) -> None:
    draft = ui.call("drafts", play=True).json()["id"]
    port = int(ui.origin.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as line:
        head = f"PUT /{ui.token}/api/drafts/{draft}/file?name=a.csv HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        line.sendall(f"{head}Origin: {ui.origin}\r\nContent-Length: 1000000\r\n\r\nsku,image".encode())
        folder = ui.folder(draft) / "upload"
        until(lambda: list(folder.iterdir()))
    until(lambda: not list(folder.iterdir()))
    assert "never" in ui.http.get(f"drafts/{draft}/sheet").text


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "C:\\evil.csv", ""])
def test_a_file_of_a_folder_stays_inside(ui: Ui, name: str) -> None:
    draft = ui.call("drafts", play=True).json()["id"]
    assert ui.put(draft, b"a,b", name, inside=True).status_code == 422


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(ui: Ui) -> None:
    draft = ui.call("drafts", play=True).json()["id"]
    port = int(ui.origin.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as line:
        head = f"PUT /{ui.token}/api/drafts/{draft}/file?name=a.csv HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        line.sendall(f"{head}Origin: {ui.origin}\r\nContent-Length: 2000000001\r\n\r\n".encode())
        assert b" 422 " in line.recv(4096)


@pytest.mark.parametrize(
    ("choices", "status"),
    [
        ({"encoding": "cp1252"}, 200),
        ({"header_row": 0}, 400),
        ({"header_row": True}, 400),
        ({"variants": 21}, 400),
        ({"map": {"image": 3}}, 400),
        ({"out": "/etc"}, 400),
        ({"base_url": "https://evil.example"}, 400),
    ],
)
def test_only_what_a_page_offers_can_be_chosen(ui: Ui, choices: dict[str, object], status: int) -> None:
    draft = ui.drop(SHEET.encode(), "spring.csv")
    assert ui.call(f"drafts/{draft}/choices", **choices).status_code == status
