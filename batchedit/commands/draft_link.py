"""A sheet behind a link: a Google Sheet that anyone with the link may see, or a table that lies somewhere on the web.

Only public addresses are asked, judged again at each redirect, and no token or cookie goes along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio

from ..core.errors import ManifestError
from ..core.limits import MAX_TABLE_BYTES
from ..disk import create
from ..images.link_probe import Answer, LinkProbe
from .proxy import find_proxy

_DOCUMENT = re.compile(r"/spreadsheets/(?:u/\d+/)?d/(e/)?([A-Za-z0-9_-]{10,200})").match
_NOT_PUBLIC = "share the sheet first: Share, General access, Anyone with the link"


def table_address(link: str) -> str:
    """Where the table itself lies: of a Google Sheet the CSV export of the tab that the link shows; else the link.
    ManifestError for what is no https link.
    """
    parts = urlsplit(link.strip())
    if parts.scheme != "https" or not parts.hostname:
        raise ManifestError(
            f"{link[:200]!r} is no https:// link", hint="copy the link from the browser's address field"
        )
    found = _DOCUMENT(parts.path) if parts.hostname == "docs.google.com" else None
    if found is None:
        return link.strip()
    tab = {**parse_qs(parts.query), **parse_qs(parts.fragment)}.get("gid", [""])[0]
    gid = f"&gid={tab}" if tab.isdecimal() else ""
    if found[1]:
        return f"https://docs.google.com/spreadsheets/d/e/{found[2]}/pub?output=csv{gid and f'{gid}&single=true'}"
    return f"https://docs.google.com/spreadsheets/d/{found[2]}/export?format=csv{gid}"


def fetch_sheet(link: str, target: Path, environ: Mapping[str, str]) -> str:
    """Write the table behind ``link`` to ``target``; its name, "" where the host gives none. ManifestError for no table."""
    address, proxy = table_address(link), find_proxy(environ)

    async def fetch() -> Answer | str:
        with create(target) as file:
            async with LinkProbe(proxy=proxy) as asker:
                return await asker.save(address, file, MAX_TABLE_BYTES, "text/csv, */*;q=0.5")

    found = anyio.run(fetch)
    if isinstance(found, Answer):
        target.unlink(missing_ok=True)
        is_google = urlsplit(address).hostname == "docs.google.com"
        raise ManifestError(
            f"the sheet can't be fetched: it {_said(found.reason)}", hint=_NOT_PUBLIC if is_google else ""
        )
    return found


def _said(reason: str) -> str:
    return reason.removeprefix("the host ") if reason.startswith("the host ") else reason
