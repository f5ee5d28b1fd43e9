"""The gallery's one page: markup from a template, style and script from files, the data as a JSON block.

The Content-Security-Policy names the hash of the one script and the one style: nothing else runs, nothing is fetched
from elsewhere, whatever stands in a cell.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import orjson
from markupsafe import Markup

from ..disk import replace_atomically

BASE = "base.css"
"""What the gallery has in common with the app in the browser, which serves it as it is."""
STYLES = (BASE, "controls.css", "bar.css", "cards.css", "overlay.css", "lightbox.css")
SCRIPTS = (
    "data.js",
    "marks.js",
    "filters.js",
    "elements.js",
    "cards.js",
    "grid.js",
    "sources.js",
    "figures.js",
    "lightbox.js",
    "pages.js",
    "main.js",
)


@cache
def _part(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def base() -> str:
    """Colours, sizes and what else is the same everywhere."""
    return _part(BASE)


@cache
def style() -> str:
    """The page's style."""
    return "\n".join(_part(name) for name in STYLES)


@cache
def script() -> str:
    """One function around all, so that nothing of ours is global."""
    return '(() => {\n"use strict";\n' + "\n".join(_part(name) for name in SCRIPTS) + "\n})();"


def policy(*, served: bool) -> str:
    """The Content-Security-Policy. A served page may talk to its own server, a page from disk to nobody."""
    ran, styled = (b64encode(sha256(text.encode()).digest()).decode() for text in (script(), style()))
    connect = "'self'" if served else "'none'"
    return (
        f"default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'sha256-{styled}'; "
        f"script-src 'sha256-{ran}'; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def json_block(data: dict[str, Any]) -> Markup:
    """JSON that can stand in a script element: no ``<`` can end it and no ``&`` is read as anything."""
    text = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS).decode()
    for letter, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(letter, escape)
    return Markup(text)  # noqa: S704 - escaped just above


def render(data: dict[str, Any], *, served: bool, assets: str = "", back: str = "") -> str:
    """The whole page. With ``assets``, an address, style and script come from there, and the policy from the server; ``back``
    is where a person came from.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_part("page.html")).render(
        title=data["name"],
        policy="" if assets else policy(served=served),
        assets=assets,
        back=back,
        row_word=data.get("rowWord", "row"),
        style=Markup(style()),  # noqa: S704 - our own file
        script=Markup(script()),  # noqa: S704 - our own files
        data=json_block(data),
    )


def write_page(path: Path, text: str) -> None:
    """Nothing stands under ``path`` until it is whole. OSError where the disk refuses."""
    with replace_atomically(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")
