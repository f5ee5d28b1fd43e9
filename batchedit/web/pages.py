"""Pages from templates with all values escaped, and the files that they load."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..review.page import BASE, read_base_style
from . import template_filters

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing inline, nothing from elsewhere, and no text that a script could turn into markup."""

_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript"}


@cache
def _make_environment() -> jinja2.Environment:
    def read(name: str) -> str | None:
        file = resources.files(__package__).joinpath("templates", name)
        return file.read_text(encoding="utf-8") if file.is_file() else None

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(template_filters.FILTERS)
    return environment


def render_page(request: Request, template: str, *, status: int = 200, **data: Any) -> Response:
    """``templates/NAME.html`` as a response that no browser caches. Links in it begin with ``up``, the path to the root."""
    up = "../" * (request.scope["path"].count("/") - 1) or "./"
    text = _make_environment().get_template(f"{template}.html").render(up=up, play=data.pop("play", False), **data)
    return HTMLResponse(text, status_code=status, headers={"cache-control": "no-store"})


@cache
def _load_assets() -> dict[str, tuple[bytes, str, str]]:
    """Name → content, media type, ETag."""
    parts = {file.name: file.read_bytes() for file in resources.files(__package__).joinpath("assets").iterdir()}
    parts[BASE] = read_base_style().encode()
    assets = {}
    for name, content in parts.items():
        media_type = _MEDIA_TYPES.get(name.rpartition(".")[2])
        if media_type:
            assets[name] = content, media_type, f'"{sha256(content).hexdigest()[:16]}"'
    return assets


async def asset(request: Request) -> Response:
    """A style or a module. The browser revalidates its copy each time."""
    asset_found = _load_assets().get(request.path_params["name"])
    if asset_found is None:
        return PlainTextResponse("no such file\n", status_code=404)
    content, media_type, tag = asset_found
    headers = {"cache-control": "no-cache", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


async def not_found(request: Request, _: Exception) -> Response:
    """The page for an unknown address."""
    return render_page(request, "error", status=404, message="There is no such page.", hint="")


ROUTES = [Route("/assets/{name}", asset)]
