"""What the app and the gallery have in common they have from one file."""

from __future__ import annotations

import re
from importlib import resources

import httpx
import pytest
from starlette.applications import Starlette

from batchedit.review.page import BASE, read_style
from batchedit.web.pages import ROUTES

FILES = {
    f"{package}/{place}/{file.name}": file.read_text(encoding="utf-8")
    for package, place in (("review", "page"), ("web", "assets"))
    for file in resources.files(f"batchedit.{package}").joinpath(place).iterdir()
    if file.name.endswith(".css")
}
HERE = f"review/page/{BASE}"


def test_the_base_style_stood_in_two_files_that_had_drifted_apart() -> None:
    """Borders were darker in one than in the other, and a colour had two names."""
    assert [name for name, text in FILES.items() if ":root" in text] == [HERE]
    assert [name for name in FILES if name.endswith(f"/{BASE}")] == [HERE]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_app_serves_the_base_style_that_the_gallery_has_inside() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=ROUTES)), base_url="http://app") as app:
        answer = await app.get(f"/assets/{BASE}")
        again = await app.get(f"/assets/{BASE}", headers={"if-none-match": answer.headers["etag"]})
    assert answer.text == FILES[HERE]
    assert answer.headers["content-type"].startswith("text/css")
    assert again.status_code == 304
    assert read_style().startswith(FILES[HERE])


def test_every_name_of_a_colour_or_size_that_is_used_is_defined() -> None:
    used = {name for text in FILES.values() for name in re.findall(r"var\((--[\w-]+)", text)}
    defined = {name for text in FILES.values() for name in re.findall(r"(--[\w-]+):", text)}
    assert used - defined == {"--card", "--tall"}, "these two are set by grid.js"
