"""Which table a link leads to, and that nothing but a public address is asked for it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from batchedit.commands.draft_link import fetch_sheet, find_table_address
from batchedit.core.errors import ManifestError
from batchedit.images.link_probe import BAD, Answer, LinkProbe, parse_file_name

ID = "1aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcdEFG"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        (f"https://docs.google.com/spreadsheets/d/{ID}/edit?usp=sharing", f"/d/{ID}/export?format=csv"),
        (f"https://docs.google.com/spreadsheets/d/{ID}/edit#gid=77", f"/d/{ID}/export?format=csv&gid=77"),
        (f"https://docs.google.com/spreadsheets/u/1/d/{ID}/edit?gid=5#gid=77", f"/d/{ID}/export?format=csv&gid=77"),
        (f"https://docs.google.com/spreadsheets/d/e/2PACX-{ID}/pubhtml", f"/d/e/2PACX-{ID}/pub?output=csv"),
        (f"https://docs.google.com/spreadsheets/d/{ID}/edit#gid=7%26x", f"/d/{ID}/export?format=csv"),
    ],
)
def test_a_google_sheet_is_exported_as_csv(link: str, address: str) -> None:
    assert find_table_address(link) == f"https://docs.google.com/spreadsheets{address}"


def test_another_link_is_taken_as_it_is() -> None:
    assert find_table_address(" https://shop.example/feed.csv?x=1 ") == "https://shop.example/feed.csv?x=1"
    assert find_table_address(f"https://evil.example/spreadsheets/d/{ID}/edit").startswith("https://evil.example/")


@pytest.mark.parametrize("link", ["http://shop.example/a.csv", "file:///etc/passwd", "/etc/passwd", "", "https:///x"])
def test_only_https_is_asked(link: str) -> None:
    with pytest.raises(ManifestError, match="is no https"):
        find_table_address(link)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "10.0.0.1", "[::1]", "169.254.169.254", "localhost"])
def test_a_private_address_is_refused_and_leaves_nothing(tmp_path: Path, host: str) -> None:
    with pytest.raises(ManifestError, match="this machine or a private network"):
        fetch_sheet(f"https://{host}/a.csv", tmp_path / "sheet.csv", {})
    assert list(tmp_path.iterdir()) == []


async def saved(respond: httpx.MockTransport, tmp_path: Path, most: int = 100) -> Answer | str:
    with (tmp_path / "sheet").open("wb") as file:
        async with LinkProbe(transport=respond) as asker:
            return await asker.save("https://shop.example/a.csv", file, most, "text/csv")


@pytest.mark.anyio
async def test_each_redirect_is_judged_like_the_link(tmp_path: Path) -> None:
    away = httpx.MockTransport(lambda _: httpx.Response(302, headers={"Location": "http://10.0.0.1/x"}))
    answer = await saved(away, tmp_path)
    assert isinstance(answer, Answer)
    assert (answer.verdict, "https:// links only" in answer.reason) == (BAD, True)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # httpx closes no inner generator, which trio alone complains of
async def test_no_more_is_taken_than_may_be(tmp_path: Path) -> None:
    answer = await saved(
        httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"x" * 101))), tmp_path
    )
    assert isinstance(answer, Answer)
    assert "is larger than" in answer.reason


@pytest.mark.anyio
async def test_the_host_gives_the_name(tmp_path: Path) -> None:
    headers = {"Content-Disposition": "attachment; filename=\"S.csv\"; filename*=UTF-8''Fr%C3%BChling.csv"}
    answer = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"a,b\n"), headers=headers))
    assert await saved(answer, tmp_path) == "Frühling.csv"
    assert (tmp_path / "sheet").read_bytes() == b"a,b\n"
    assert parse_file_name('attachment; filename="x.csv"') == "x.csv"
    assert parse_file_name("") == ""
