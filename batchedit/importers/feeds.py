"""Products out of what people have: a folder of pictures, a list of links, a Shopify export, a Google product feed.

Everything is a stream of ``Product``. Shopify repeats a product's handle on several rows and names it on the first
alone: title and text are carried down, and of several pictures the first one is taken.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from ..core.errors import ManifestError, NotFoundError
from ..manifest.cells import text_of
from ..manifest.csvfile import readable
from ..manifest.nearest import listed, plain
from ..manifest.read import open_manifest
from ..manifest.rows import Row

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"})

_WORDS = {
    "id": ("handle", "id", "sku", "variant sku", "offer id", "item id", "product id"),
    "title": ("title", "name", "product name", "product title", "item title"),
    "text": ("body (html)", "body html", "description", "product description", "short description", "summary"),
    "image": (
        *("image src", "image link", "image url", "image", "main image", "main image url", "image source"),
        *("picture", "picture url", "photo", "photo url", "product image", "img", "variant image"),
    ),
}
"""A product's parts, and the columns that they stand in, the likeliest first."""


_FURTHER, _BARE = "further", "bare"


@dataclass(frozen=True, slots=True)
class Product:
    """One row of the manifest to be: ``image`` is a link, or a path relative to the manifest."""

    sku: str
    title: str
    text: str
    image: str


class Sources:
    """The products of several sources, and afterwards ``notes`` of what was left out."""

    def __init__(self, sources: Iterable[str], beside: Path) -> None:
        """``beside`` is the folder of the manifest to be: paths are relative to it."""
        self._sources = list(sources)
        self._beside = beside
        self._left_out: Counter[str] = Counter()

    @property
    def notes(self) -> list[str]:
        """What was left out, counted."""
        told = {_FURTHER: "further picture{s} of the same products", _BARE: "product{s} without a picture"}
        return [
            f"{count:,} {told[kind].format(s='s' if count > 1 else '')} left out"
            for kind, count in self._left_out.items()
        ]

    def products(self) -> Iterator[Product]:
        """All of them in order. NotFoundError, ManifestError for a source that is missing or gives nothing."""
        for source in self._sources:
            found = False
            for product in self._of(source):
                found = True
                yield product
            if not found:
                raise ManifestError(f"{source} holds no picture", hint=_HINT)

    def _of(self, source: str) -> Iterator[Product]:
        if re.match(r"https?://", source):
            return iter([_linked(source)])
        path = Path(source)
        if path.is_dir():
            files = sorted(
                file for file in path.rglob("*") if file.suffix.lower() in PICTURES and _is_shown(file, path)
            )
            return (self._filed(file) for file in files)
        if not path.is_file():
            raise NotFoundError(f"there is no file or folder {source}", hint=_HINT)
        if path.suffix.lower() in PICTURES:
            return iter([self._filed(path)])
        return self._read(path)

    def _filed(self, file: Path) -> Product:
        relative = Path(os.path.relpath(file, self._beside)).as_posix()
        return Product(file.stem, _spoken(file.stem), "", relative)

    def _read(self, path: Path) -> Iterator[Product]:
        with readable(path.name), path.open("rb") as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
        if start.startswith(b"<"):
            return self._grouped(_xml_items(path))
        if re.match(rb"https?://", start) or path.suffix.lower() == ".txt":
            return self._listed(path)
        return self._grouped(_table_items(path))

    def _listed(self, path: Path) -> Iterator[Product]:
        with readable(path.name), path.open(encoding="utf-8-sig", errors="replace") as file:
            for line in file:
                link = line.strip()
                if link and not link.startswith("#"):
                    yield _linked(link)

    def _grouped(self, items: Iterable[dict[str, str]]) -> Iterator[Product]:
        """One product an id: the first picture, with what stood above it."""
        done: set[str] = set()
        last: dict[str, str] = {}
        for row in items:
            item = row
            if row["id"] and row["id"] == last.get("id"):
                item = {name: value or last[name] for name, value in row.items()} | {"image": row["image"]}
            elif last and not last["image"] and last["id"] not in done:
                self._left_out[_BARE] += 1
            last = item
            if not item["image"]:
                continue
            if item["id"] in done and item["id"]:
                self._left_out[_FURTHER] += 1
                continue
            done.add(item["id"])
            yield Product(item["id"] or _stem(item["image"]), item["title"], item["text"], item["image"])
        if last and not last["image"] and last["id"] not in done:
            self._left_out[_BARE] += 1


_HINT = "give a folder of pictures, a text file of links, or a Shopify or Google feed (CSV, TSV, XML)"


def _table_items(path: Path) -> Iterator[dict[str, str]]:
    manifest = open_manifest(path)
    columns = _columns(manifest.columns)
    if "image" not in columns:
        raise ManifestError(
            f"{path.name} has no column that looks like a picture's link; columns: {listed(manifest.columns, 'and')}",
            hint=f"say which one it is and run it as it stands: batchedit run {path} --map image=COLUMN",
        )
    for row in manifest.rows():
        if isinstance(row, Row):
            yield {name: text_of(row.cells.get(columns.get(name, ""))).strip() for name in _WORDS}


def _columns(names: Iterable[str]) -> dict[str, str]:
    """A product's part → the column that it stands in."""
    by_plain = {plain(name.removeprefix("g:")): name for name in reversed(list(names))}
    found = {part: next((by_plain[word] for word in words if word in by_plain), "") for part, words in _WORDS.items()}
    return {part: name for part, name in found.items() if name}


def _xml_items(path: Path) -> Iterator[dict[str, str]]:
    """The items of an RSS or Atom feed, each forgotten once it is read."""
    try:
        for _, element in ET.iterparse(path):  # noqa: S314 - expat refuses entity bombs since 2.4.1
            if _local(element.tag) not in {"item", "entry", "product"} or not len(element):
                continue
            cells: dict[str, str] = {}
            for child in element:
                cells.setdefault(_local(child.tag).replace("_", " "), " ".join("".join(child.itertext()).split()))
            columns = _columns(cells)
            yield {name: cells.get(columns.get(name, ""), "") for name in _WORDS}
            element.clear()
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ManifestError(f"{path.name} is no XML that can be read: {error}", hint="export the feed again") from None
    except OSError as error:
        raise ManifestError(f"{path.name} can't be read: {error.strerror or error}") from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].lower()


def _linked(link: str) -> Product:
    stem = _stem(link)
    return Product(stem, _spoken(stem), "", link)


def _stem(link: str) -> str:
    try:
        path = urlsplit(link).path
    except ValueError:
        path = link
    return Path(unquote(path)).stem or "picture"


def _spoken(stem: str) -> str:
    """``ocean-blue_shirt`` as ``ocean blue shirt``."""
    return re.sub(r"[\s_-]+", " ", stem).strip() or stem


def _is_shown(file: Path, root: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts)
