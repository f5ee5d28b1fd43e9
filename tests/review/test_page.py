"""The page: nothing in a cell can become markup, and the policy names exactly what may run."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import httpx
import orjson
import pytest

from batchedit.commands.gallery import gallery
from batchedit.core.errors import UsageError
from batchedit.review.notify import ATTEMPTS, build_notice, check_hook, notify
from batchedit.review.page import build_policy, render_gallery, to_json_block
from batchedit.review.payload import Table, find_facets, list_sources
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, picture

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "{{7*7}} {% raw %} ${7*7}",
    "\"'`&amp;<",
    "\u202e\u05d0 \U0001f469\u200d\U0001f680 \u2028\u2029",
]


def data_of(page: str) -> dict[str, object]:
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, object] = orjson.loads(block)
    return data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_inside_the_block(text: str) -> None:
    page = render_gallery({"name": text, "cell": text}, served=False)
    assert data_of(page) == {"name": text, "cell": text}
    assert len(re.findall(r"<script[ >]", page)) == 2
    assert "<img" not in page
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert title is not None
    assert "<" not in title[1]


def test_json_is_the_same_after_the_escapes() -> None:
    value = {"a": "".join(HOSTILE)}
    assert orjson.loads(str(to_json_block(value))) == value


@pytest.mark.parametrize("served", [True, False])
def test_the_policy_names_the_hashes_of_what_stands_in_the_page(served: bool) -> None:
    page = render_gallery({"name": "x"}, served=served)
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in build_policy(served=served)
    assert "default-src 'none'" in build_policy(served=served)
    assert ("connect-src 'self'" in build_policy(served=served)) is served
    assert "unsafe" not in build_policy(served=served)


def test_nothing_in_the_page_points_elsewhere() -> None:
    page = render_gallery({"name": "x"}, served=False)
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}


def test_facets_are_columns_with_few_short_values() -> None:
    rows = {
        n: (f"sku-{n}", "DE" if n % 2 else "FR", f"https://x/{n % 2}.png", "same", "" if n < 9 else "N/A", "x" * 50)
        for n in range(1, 13)
    }
    table = Table(("sku", "market", "image", "one", "few", "long"), rows)
    assert find_facets(table) == [{"column": 1, "name": "market", "values": [("DE", 6), ("FR", 6)]}]


def test_sources_are_links_and_local_files() -> None:
    local = {"$file": "/p/a.png", "$sha256": "aa"}
    inputs = orjson.dumps({"image": ["https://x/a.png", local, "data:image/png;base64,AA"], "prompt": "https://no"})
    assert list_sources(inputs.decode()) == [local, "https://x/a.png"]


def test_the_gallery_of_a_run(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    picture(77, (640, 640)).save(source)
    room = Showroom(RunFolder(tmp_path / "run"))
    room.row("A", image=str(source))
    room.row("B", prompt=HOSTILE[1])
    room.row("C", size="4:5")
    room.row("D")
    room.row("E" * 3000)
    checkpoint = room.open(invalid={3: "is not possible"})
    records = checkpoint.records("1 ORDER BY id")
    room.done(checkpoint, records[0], picture(1, (1024, 1024)))
    room.done(checkpoint, records[1], picture(2, (1024, 700)))
    room.failed(checkpoint, records[2], "the service refused the content")
    room.lost(checkpoint, records[3])
    checkpoint.close()

    made = gallery(str(room.folder.path), {})
    assert (made.pictures, made.flagged, made.kept) == (2, 1, True)
    data = data_of(made.path.read_text())
    items = data["items"]
    assert isinstance(items, list)
    assert [item["shots"][0]["status"] if item["shots"] else "invalid" for item in items] == [
        "done", "done", "invalid", "failed", "in_doubt",
    ]  # fmt: skip
    first, second, third, fourth, fifth = items
    assert first["shots"][0]["sources"][0]["name"] == "source.png"
    for name in ("thumb", "large"):
        assert (made.path.parent / first["shots"][0]["sources"][0][name]).is_file()
    assert (made.path.parent / first["shots"][0]["files"][0]["thumb"]).is_file()
    assert (first["shots"][0]["cost"], first["shots"][0]["seconds"]) == (40_000, 3.0)
    assert second["shots"][0]["flags"] == ["wrong_ratio"]
    assert second["shots"][0]["promptCell"] == 5
    assert third["reason"] == "size '4:5' is not possible"
    assert fourth["shots"][0]["reason"] == "the service refused the content"
    assert fifth["shots"][0]["reason"] == "the answer never came"
    assert len(fifth["id"]) < 2100
    assert "wrong_ratio" in (room.folder.path / "results.csv").read_text()
    assert not list(room.folder.path.glob("*.part"))


# --- notify ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com", "https://", "example.com", ""])
def test_a_hook_is_https_or_here(url: str) -> None:
    with pytest.raises(UsageError):
        check_hook(url)


@pytest.mark.parametrize("url", ["https://hooks.example.com/x", "http://127.0.0.1:9/x", "http://[::1]/x"])
def test_a_good_hook(url: str) -> None:
    assert check_hook(url) == url


def test_the_summary_is_sent_as_slack_takes_it() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text="ok")

    content = build_notice("spring", {"jobs": {"done": 3}}, "spring: 3 done")
    assert notify("https://hooks.example.com/T/secret", content, transport=httpx.MockTransport(answer)) == ""
    (request,) = seen
    assert orjson.loads(request.content) == {
        "text": "spring: 3 done", "run": "spring", "event": "finished", "report": {"jobs": {"done": 3}},
    }  # fmt: skip
    assert "authorization" not in request.headers


def test_it_tries_again_and_then_says_so_without_the_address() -> None:
    pauses: list[float] = []
    answers = iter([503, 429, 500, 502, 200])
    problem = notify(
        "https://hooks.example.com/T/secret",
        {"text": "x"},
        transport=httpx.MockTransport(lambda _: httpx.Response(next(answers))),
        pause=pauses.append,
    )
    assert problem == "hooks.example.com was not reached: it answered HTTP 502"
    assert len(pauses) == ATTEMPTS - 1


def test_a_refusal_is_not_tried_again_and_a_redirect_not_followed() -> None:
    for status in (302, 403, 404):
        answers = iter([httpx.Response(status, headers={"location": "https://evil.example.com"})])
        transport = httpx.MockTransport(lambda _, answers=answers: next(answers))  # type: ignore[misc]
        assert f"HTTP {status}" in notify("https://hooks.example.com/s", {}, transport=transport)


def test_a_network_that_is_away_is_no_exception() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    problem = notify("https://h.example.com", {}, transport=httpx.MockTransport(away), pause=lambda _: None)
    assert problem == "h.example.com was not reached: ConnectError"
