"""``--map image='https://shop.example.com/media{Photo}'``: links made of the paths or names that a column holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..manifest.cells import to_cell_text
from ..manifest.rows import Linked
from .image_cells import NO_SELECTION

_ADDRESS = re.compile(r"(https?://[^{}]+)\{([^{}]+)\}([^{}]*)", re.IGNORECASE).fullmatch
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE).match
_PATHS = re.compile(r"[^\s,;|](?:[^,;|\r\n]*[^\s,;|])?").findall
_IS_ESCAPED = re.compile(r"%[0-9a-f]{2}", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Address:
    """A link with a gap for the value of ``column``, between ``prefix`` and ``suffix``."""

    prefix: str
    column: str
    suffix: str

    def make_reader(self, read: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
        """A reader that turns each path of a cell into a link, then calls ``read``. A cell with a link is not changed."""
        assert read is not None, "pictures are read into a list"

        def read_paths(cell: Any) -> Any:
            text = to_cell_text(cell).strip()
            if type(cell) is Linked or text.startswith("[") or text.casefold() == NO_SELECTION or _HAS_SCHEME(text):
                return read(cell)
            return read([self._make_link(path) for path in _PATHS(text)])

        return read_paths

    def _make_link(self, path: str) -> str:
        path = path.removeprefix("/") if self.prefix.endswith("/") else path
        return f"{self.prefix}{quote(path, safe='/?=&%' if _IS_ESCAPED(path) else '/?=&')}{self.suffix}"


def parse_address(text: str) -> Address | None:
    """The address in ``text``, with one column in braces; None if it is no address."""
    match = _ADDRESS(text)
    return Address(*match.groups()) if match else None
