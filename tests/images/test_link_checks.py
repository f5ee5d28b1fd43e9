"""``--check-images``: every distinct link asked once, before money is spent, and remembered."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest
from PIL import Image

from batchedit.images.fetched import is_short_lived
from batchedit.images.link_cache import LinkCache, digest_link
from batchedit.images.link_probe import BAD, FINE, LARGE, UNREACHED, UNSURE, LinkProbe
from batchedit.images.link_sample import Sample, ask_sample
from batchedit.planning import link_check as linkcheck
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import on, rows
from tests.support.cli import run_cli as batchedit

pytestmark = pytest.mark.process

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


@dataclass
class Page:
    """One address: what it says to HEAD and to GET."""

    status: int = 200
    media: str = "image/png"
    size: int | None = len(PNG)
    body: bytes = PNG
    head: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


PAGES = {
    "/fine.png": Page(headers={"ETag": '"v1"'}),
    "/also.png": Page(),
    "/gone.png": Page(404),
    "/private.png": Page(403),
    "/page": Page(media="text/html", body=b"<html>"),
    "/login": Page(media="text/html", body=b"<html>", size=6),
    "/huge.png": Page(size=26_000_000),
    "/large.png": Page(size=17_000_000),
    "/no-head.png": Page(head=405),
    "/no-head-huge.png": Page(head=405, size=26_000_000),
    "/no-length.png": Page(size=None),
    "/untyped": Page(media="application/octet-stream"),
    "/lying.png": Page(media="text/plain"),
    "/busy.png": Page(503),
    "/teapot.png": Page(418),
    "/drawing.svg": Page(media="image/svg+xml", body=b"<svg>"),
    "/empty.png": Page(size=0, body=b""),
    "/moved.png": Page(302, headers={"Location": "/fine.png"}),
    "/away.png": Page(302, headers={"Location": "http://images.example.com/x.png"}),
    "/round.png": Page(302, headers={"Location": "/round.png"}),
}


class Web(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.at_once = self.most = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        page = PAGES.get(self.path.split("?")[0], Page())
        self.server.asked.append(("HEAD", self.path, dict(self.headers)))
        if page.headers.get("ETag") and self.headers.get("If-None-Match") == page.headers["ETag"]:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(page.head or page.status)
        self._headers(page, page.size)

    def do_GET(self) -> None:
        page = PAGES.get(self.path.split("?")[0], Page())
        self.server.asked.append(("GET", self.path, dict(self.headers)))
        part = page.status == 200 and bool(page.size) and "Range" in self.headers
        self.send_response(206 if part else page.status)
        if part:
            self.send_header("Content-Range", f"bytes 0-63/{page.size}")
        self._headers(page, 64 if part else page.size)
        self.wfile.write(page.body[:64].ljust(64) if part else page.body)

    def _headers(self, page: Page, size: int | None) -> None:
        self.send_header("Content-Type", page.media)
        if size is not None:
            self.send_header("Content-Length", str(size))
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as running:
        yield running


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "verdict", "expected"),
    [
        ("/fine.png", FINE, ""),
        ("/no-head.png", FINE, ""),
        ("/no-length.png", FINE, ""),
        ("/untyped", FINE, ""),
        ("/lying.png", FINE, ""),
        ("/moved.png", FINE, ""),
        ("/large.png", LARGE, "is 17.0 MB"),
        ("/huge.png", BAD, "is 26.0 MB; the service refuses more than 25 MB"),
        ("/no-head-huge.png", BAD, "is 26.0 MB"),
        ("/gone.png", BAD, "leads nowhere: there is no picture (HTTP 404)"),
        ("/private.png", BAD, "is not public"),
        ("/teapot.png", BAD, "gives no picture (HTTP 418)"),
        ("/page", BAD, "is a web page, not a picture"),
        ("/drawing.svg", BAD, "is image/svg+xml, not a picture"),
        ("/away.png", BAD, "leads to http://images.example.com; the service fetches https:// links only"),
        ("/round.png", BAD, "leads from one address to the next"),
        ("/empty.png", BAD, "is an empty file, not a picture"),
        ("/busy.png", UNSURE, "could not be asked (HTTP 503)"),
    ],
)
async def test_what_hosts_say(web: Web, path: str, verdict: str, expected: str) -> None:
    async with LinkProbe(loopback=True) as asker:
        answer = await asker.ask(web.url + path)
    assert (answer.verdict, expected in answer.reason) == (verdict, True), answer
    assert not any("authorization" in {name.lower() for name in headers} for _, _, headers in web.asked)


@pytest.mark.anyio
async def test_hosts_that_are_not_there_and_links_that_are_none() -> None:
    async with LinkProbe(loopback=True) as asker:
        assert (await asker.ask("http://127.0.0.1:1/a.png")).verdict == UNREACHED
        assert (await asker.ask("https://[bad/a.png")).verdict in {BAD, UNREACHED}
    async with LinkProbe() as asker:
        assert "https:// links only" in (await asker.ask("http://127.0.0.1:1/a.png")).reason


@pytest.mark.anyio
async def test_an_old_answer_is_confirmed_by_its_validator(web: Web) -> None:
    async with LinkProbe(loopback=True) as asker:
        earlier_answer = await asker.ask(web.url + "/fine.png")
        web.asked.clear()
        assert await asker.ask(web.url + "/fine.png", earlier_answer) == earlier_answer
    assert [(method, headers.get("If-None-Match")) for method, _, headers in web.asked] == [("HEAD", '"v1"')]


def test_a_broken_cache_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "links.sqlite"
    path.write_bytes(b"no database" * 500)
    cache = LinkCache(path)
    assert cache.get(digest_link("https://x.example/")) is None
    cache.close()


def write_table(path: Path, links: list[str]) -> None:
    path.write_text("sku,image,prompt\n" + "".join(f"{n},{link},ad {n}\n" for n, link in enumerate(links, 1)))


def test_bad_links_are_row_errors_before_anything_is_bought(tmp_path: Path, web: Web, sandbox) -> None:
    names = ["fine.png", "gone.png", "huge.png", "fine.png", "large.png", "busy.png", "page"]
    write_table(tmp_path / "m.csv", [f"{web.url}/{name}" for name in names])
    completed = batchedit("run", "m.csv", *on(sandbox, "--check-images"), cwd=tmp_path, code=65)
    assert sandbox.ledger()["submits_seen"] == 0
    for row, reason in ((3, "leads nowhere"), (4, "is 26.0 MB"), (8, "is a web page")):
        assert any(
            f"row {row} (" in line and "image" in line and reason in line for line in completed.stdout.splitlines()
        ), reason
    assert "6 picture links checked: 3 can't be used, 1 over 16 MB, 1 not to be told" in completed.stderr
    assert "1 row has a picture (row 6 (5)) over 16 MB" in completed.stdout
    assert "(row 7 (6)) that nobody could tell about: it could not be asked (HTTP 503)" in completed.stdout
    assert Counter(path for method, path, _ in web.asked if method == "HEAD")["/fine.png"] == 1

    web.asked.clear()
    batchedit("run", "m.csv", *on(sandbox, "--check-images", "--skip-invalid"), cwd=tmp_path)
    assert "/fine.png" not in {path for _, path, _ in web.asked}, "known from last time"
    assert "/gone.png" in {path for _, path, _ in web.asked}, "it may have been mended"
    statuses = [row["result_status"] for row in rows(tmp_path / "outputs" / "m")]
    assert statuses == ["done", "invalid", "invalid", "done", "done", "done", "invalid"]

    PAGES["/gone.png"] = Page()
    try:
        batchedit("run", "m.csv", *on(sandbox, "--check-images", "--skip-invalid"), cwd=tmp_path)
    finally:
        PAGES["/gone.png"] = Page(404)
    assert rows(tmp_path / "outputs" / "m")[1]["result_status"] == "done"
    assert sandbox.ledger()["accepted"] == 5


def test_plan_checks_too_and_what_is_bought_is_not_asked_again(tmp_path: Path, web: Web, sandbox) -> None:
    write_table(tmp_path / "m.csv", [f"{web.url}/also.png"])
    batchedit("run", "m.csv", *on(sandbox, "--no-check-images"), cwd=tmp_path)
    write_table(tmp_path / "m.csv", [f"{web.url}/also.png", f"{web.url}/gone.png"])
    completed = batchedit("plan", "m.csv", "--check-images", "--base-url", sandbox.url, cwd=tmp_path, code=65)
    assert "row 3 (" in completed.stdout
    assert {path for _, path, _ in web.asked} == {"/gone.png"}


def test_a_limit_asks_no_further_than_it_must(tmp_path: Path, web: Web, sandbox) -> None:
    """A bad row makes room for the next one, and that one is asked about too."""
    write_table(
        tmp_path / "m.csv", [f"{web.url}/{name}" for name in ("gone.png?1", "fine.png?2", "gone.png?3", "fine.png?4")]
    )
    with (tmp_path / "m.csv").open("a") as file:
        file.writelines(f"x{n},{web.url}/fine.png?x{n},later\n" for n in range(50))
    options = ["--check-images", "--skip-invalid", "--limit", 2]
    batchedit("run", "m.csv", *on(sandbox, *options), cwd=tmp_path)
    assert {path[-1] for method, path, _ in web.asked if method == "HEAD"} == {"1", "2", "3", "4"}
    assert sandbox.ledger()["accepted"] == 2


# --- the first few links, which are asked about without being told to ---------------------------------------------------


def test_a_sheet_of_product_pages_is_noticed_before_it_is_bought(tmp_path: Path, web: Web, sandbox) -> None:
    """The first edition bought each row of a sheet whose links are pages. Asked about are 20 distinct links, no more."""
    write_table(tmp_path / "m.csv", [f"{web.url}/page?{n}" for n in range(30)] + [f"{web.url}/fine.png"])
    planned = batchedit("plan", "m.csv", "--base-url", sandbox.url, "--price", "0.04", cwd=tmp_path).stdout
    assert f"20 of 20 links are web pages, not pictures (row 2 (1): {web.url}/page?0 is a web page" in planned
    assert "--check-images asks about every link" in planned
    assert len({path for _, path, _ in web.asked}) == 20
    for _ in range(2):  # the second time the sheet is known, and nothing of it is bought
        refused = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=65)
        assert "20 of 20 links are web pages" in refused.stderr
        assert "--no-check-images" in refused.stderr
    assert sandbox.ledger()["submits_seen"] == 0
    batchedit("run", "m.csv", *on(sandbox, "--no-check-images"), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 31


def test_a_few_bad_links_are_a_warning_and_stop_nothing(tmp_path: Path, web: Web, sandbox) -> None:
    write_table(
        tmp_path / "m.csv", [f"{web.url}/{name}" for name in ("fine.png", "also.png", "page", "gone.png", "moved.png")]
    )
    stderr = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path).stderr
    assert "1 of 5 links is a web page, not a picture and 1 of 5 links can't be used (row 4 (" in stderr
    assert sandbox.ledger()["accepted"] == 5
    web.asked.clear()
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert not web.asked, "bought is bought"


def test_a_quiet_run_bought_pages_without_a_word(tmp_path: Path, web: Web, sandbox) -> None:
    """``-q`` says only what is wrong, and left the plan's warnings out with the plan."""
    write_table(tmp_path / "m.csv", [f"{web.url}/{name}" for name in ("fine.png", "also.png", "page", "moved.png")])
    stderr = batchedit("run", "m.csv", *on(sandbox, "-q"), cwd=tmp_path).stderr
    assert f"warning: 1 of 4 links is a web page, not a picture (row 4 (3): {web.url}/page is a web page" in stderr
    assert "to buy" not in stderr


def test_what_is_out_of_reach_from_here_is_one_note(tmp_path: Path, sandbox) -> None:
    write_table(tmp_path / "m.csv", [f"http://127.0.0.1:1/{n}.png" for n in range(3)])
    stderr = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path).stderr
    assert "note: 3 of 3 links did not answer this machine" in stderr
    assert sandbox.ledger()["accepted"] == 3


def test_a_sandbox_of_its_own_and_links_elsewhere_are_never_asked(tmp_path: Path, web: Web, sandbox) -> None:
    write_table(tmp_path / "m.csv", [f"{web.url}/page"])
    batchedit("run", "m.csv", "--sandbox", "--yes", cwd=tmp_path)
    batchedit("plan", "m.csv", "--base-url", sandbox.url, "--no-check-images", cwd=tmp_path)
    assert not web.asked


def test_a_host_that_never_answers_takes_five_seconds_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        async def ask() -> Sample:
            async with LinkProbe(loopback=True, tries=1) as asker:
                return await ask_sample([(1, f"{url}/1.png"), (2, f"{url}/2.png")], asker, seconds=0.3)

        started_at = time.monotonic()
        sample = anyio.run(ask)
        assert time.monotonic() - started_at < 10, "one question alone may take 15 s"
    assert (sample.asked, sample.unreached, sample.format_warning()) == (2, 2, "")
    assert not sample.is_mostly_bad


@pytest.mark.anyio
async def test_a_public_name_that_leads_to_a_private_address_is_not_asked(web: Web, monkeypatch) -> None:
    """A name is resolved once, and what was judged is what is connected to."""

    async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("93.184.215.14", port)), (2, 1, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    async with LinkProbe(tries=1) as asker:
        answer = await asker.ask("https://pictures.example.com/1.png")
    assert (answer.verdict, "private network" in answer.reason) == (BAD, True)
    async with LinkProbe() as asker:
        assert "private network" in (await asker.ask(web.url.replace("http:", "https:") + "/fine.png")).reason
    assert not web.asked


# --- links that die within hours ----------------------------------------------------------------------------------------


@pytest.fixture
def short_lived(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """Airtable's file host stands on this machine."""
    monkeypatch.setattr(linkcheck, "SHORT_LIVED_HOSTS", (web.url,))
    monkeypatch.setattr(linkcheck, "is_short_lived", lambda link: link.startswith(web.url))
    return web


def make_photo(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20), (colour, 9, 9)).save(out, "PNG")
    return out.getvalue()


def test_links_that_die_within_hours_are_fetched_with_the_sheet(
    tmp_path: Path, short_lived: Web, sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first edition sent Airtable's links, and the service found nothing behind them at three in the morning."""
    for colour, name in enumerate(("one", "two")):
        monkeypatch.setitem(PAGES, f"/{name}.png", Page(body=make_photo(colour), size=len(make_photo(colour))))
    write_table(tmp_path / "m.csv", [f"{short_lived.url}/{name}.png" for name in ("one", "two")])
    completed = batchedit("run", "m.csv", *on(sandbox, "--max-cost", "0.04", "--price", "0.04"), cwd=tmp_path, code=75)
    assert "2 pictures behind Airtable links, which die after some hours: fetched to this machine" in completed.stderr
    for name in ("one", "two"):
        monkeypatch.setitem(PAGES, f"/{name}.png", Page(410, body=b"", size=0))
    batchedit("run", "m.csv", *on(sandbox, "--max-cost", "none"), cwd=tmp_path)
    sent = [image for job in sandbox.ledger(full=True)["requests"] for image in job["images"]]
    assert sorted(sent) == sorted(f"sha256:{sha256(make_photo(colour)).hexdigest()}" for colour in range(2))
    assert sandbox.ledger()["accepted"] == 2

    for colour, name in enumerate(("one", "two")):  # exported again: other links, the same pictures
        monkeypatch.setitem(PAGES, f"/{name}-again.png", Page(body=make_photo(colour), size=len(make_photo(colour))))
    write_table(tmp_path / "m.csv", [f"{short_lived.url}/{name}-again.png" for name in ("one", "two")])
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 2


def test_a_short_lived_link_that_is_dead_is_a_row_error(tmp_path: Path, short_lived: Web, sandbox) -> None:
    write_table(tmp_path / "m.csv", [f"{short_lived.url}/gone.png", f"{short_lived.url}/login"])
    stdout = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=65).stdout
    assert "leads nowhere: there is no picture (HTTP 404); Airtable's links die after some hours" in stdout
    assert "is a web page" in stdout
    assert sandbox.ledger()["submits_seen"] == 0


def test_which_links_die_within_hours() -> None:
    assert is_short_lived("https://v5.airtableusercontent.com/v3/u/1/2/mug.jpg")
    assert is_short_lived("https://dl.airtable.com/.attachments/a/b.jpg")
    assert not is_short_lived("https://airtableusercontent.com.example.com/v3/mug.jpg")
    assert not is_short_lived("https://shop.example.com/airtableusercontent.com/mug.jpg")
