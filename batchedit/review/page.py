"""The gallery's page: markup from a template, style and script from files, the data as a JSON block.

The Content-Security-Policy names the hashes of the script and the style: nothing else runs and nothing is fetched from
elsewhere, whatever a cell contains.
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
"""The style that the gallery shares with the app in the browser, which serves this file unchanged."""
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
def _read_part(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def read_base_style() -> str:
    """The shared style: colours, sizes."""
    return _read_part(BASE)


@cache
def read_style() -> str:
    """The page's style."""
    return "\n".join(_read_part(name) for name in STYLES)


@cache
def read_script() -> str:
    """The page's script, wrapped in one function, so that it defines no globals."""
    return '(() => {\n"use strict";\n' + "\n".join(_read_part(name) for name in SCRIPTS) + "\n})();"


def build_policy(*, served: bool) -> str:
    """The Content-Security-Policy. A served page may connect to its own server, a page from disk to none."""
    script_hash, style_hash = (
        b64encode(sha256(text.encode()).digest()).decode() for text in (read_script(), read_style())
    )
    connect = "'self'" if served else "'none'"
    return (
        f"default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'sha256-{style_hash}'; "
        f"script-src 'sha256-{script_hash}'; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def to_json_block(data: dict[str, Any]) -> Markup:
    """JSON for a script element: no ``<`` can end the element and no ``&`` starts an entity."""
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


def render_gallery(data: dict[str, Any], *, served: bool, assets: str = "", back: str = "") -> str:
    """The whole page. With ``assets``, an address, style and script are loaded from there, and the server sends the policy;
    ``back`` is the address of the page before.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_read_part("page.html")).render(
        title=data["name"],
        policy="" if assets else build_policy(served=served),
        assets=assets,
        back=back,
        row_word=data.get("rowWord", "row"),
        style=Markup(read_style()),  # noqa: S704 - our own file
        script=Markup(read_script()),  # noqa: S704 - our own files
        data=to_json_block(data),
    )


def write_page(path: Path, text: str) -> None:
    """Write the page; ``path`` appears only when complete. OSError where the disk refuses."""
    with replace_atomically(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")
