"""Products out of what people have: a folder of pictures, a list of links, a Shopify export, a Google product feed.

Everything is a stream of ``Product``. Shopify repeats a product's handle on several rows and names it on the first
alone: title and text are carried down, and of several pictures the first one is taken.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from ..core.errors import ManifestError, NotFoundError
from ..jobs.image_cells import CellError, split_cell
from ..manifest.cells import to_cell_text
from ..manifest.csvfile import convert_read_errors
from ..manifest.nearest import join_names
from ..manifest.read import open_manifest
from ..manifest.rownames import describe_row
from ..manifest.rows import Form, FormKind, Row
from ..manifest.sniff import open_text, sniff_encoding
from .columns import PARTS, kept_columns, parts_of

PICTURES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
_NAMED = re.compile(rf"https?://\S+|[^\t<>|]+(?:{'|'.join(map(re.escape, sorted(PICTURES)))})", re.IGNORECASE).fullmatch
_JUDGED = 50  # lines of a text file that tell whether it is a list

_FURTHER, _BARE = "further", "bare"
_KEPT = "kept "
"""In front of the names of an item's columns that are no part of a product."""
_ITEMS = frozenset({"item", "entry", "product", "offer", "shopitem"})
"""Elements of XML feeds that are products: RSS, Atom, and those of Yandex and Heureka."""


@dataclass(frozen=True, slots=True)
class Product:
    """One row of the manifest to be: ``image`` is a link, or a path relative to the manifest; ``prompt`` is the source's own.
    ``kept`` are further cells of the source, by the name that their column gets.
    """

    sku: str
    title: str
    text: str
    image: str
    prompt: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)


class ProductSources:
    """The products of several sources, and afterwards ``notes`` of what was left out."""

    def __init__(self, sources: Iterable[str], beside: Path) -> None:
        """``beside`` is the folder of the manifest to be: paths are relative to it."""
        self._sources = list(sources)
        self._beside = beside
        self._left_out: Counter[str] = Counter()
        self._no_pictures: list[str] = []
        self.roots: list[Path] = []  # folders elsewhere that hold pictures: a run reads them with --image-root
        self._broken: list[str] = []

    @property
    def notes(self) -> list[str]:
        """What was left out, counted."""
        told = {_FURTHER: "further picture{s} of the same products", _BARE: "product{s} without a picture"}
        found = [
            f"{count:,} {told[kind].format(s='s' if count > 1 else '')} left out"
            for kind, count in self._left_out.items()
            if count
        ]
        for what, names in (("file", self._no_pictures), ("row", self._broken)):
            if names:
                why = "no picture" if what == "file" else "can't be read"
                found.append(
                    f"{len(names):,} {what}{'s' if len(names) > 1 else ''} left out, {why}: {join_names(names, 'and', 3)}"
                )
        return found

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
            files = sorted(file for file in path.rglob("*") if _is_shown(file, path))
            self._no_pictures += [file.name for file in files if file.suffix.lower() not in PICTURES]
            return (self._filed(file, path) for file in files if file.suffix.lower() in PICTURES)
        if not path.is_file():
            raise NotFoundError(f"there is no file or folder {source}", hint=_HINT)
        if path.suffix.lower() in PICTURES:
            return iter([self._filed(path, path.parent)])
        return self._read(path)

    def _filed(self, file: Path, folder: Path) -> Product:
        real = file.resolve()
        if not any(real.is_relative_to(root) for root in (self._beside.resolve(), *self.roots)):
            inside = folder.resolve()
            self.roots.append(inside if real.is_relative_to(inside) else real.parent)
        relative = Path(os.path.relpath(file, self._beside)).as_posix()
        return Product(file.stem, _spoken(file.stem), "", relative)

    def _read(self, path: Path) -> Iterator[Product]:
        with convert_read_errors(path.name), path.open("rb") as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
        if start.startswith(b"<"):
            return self._grouped(_xml_items(path))
        if path.suffix.lower() == ".txt" or re.match(rb"https?://", start):
            lines = _lines(path)
            if all(map(_NAMED, islice(_lines(path), _JUDGED))):
                return map(_linked, lines)
        return self._grouped(self._table_items(path))

    def _table_items(self, path: Path) -> Iterator[dict[str, str]]:
        manifest = open_manifest(path)
        columns = parts_of(manifest.columns)
        kept = kept_columns(manifest.columns)
        if "image" not in columns:
            raise ManifestError(
                f"{path.name} has no column that looks like a picture's link; columns: {join_names(manifest.columns, 'and')}",
                hint="run this file as it stands, and say which column it is with --map image=COLUMN",
            )
        for row in manifest.rows():
            if isinstance(row, Row):
                yield _item({name: to_cell_text(cell) for name, cell in row.cells.items()}, columns, kept)
            else:
                self._broken.append(f"{describe_row(manifest.form, row.number)} ({row.reason})")

    def _grouped(self, items: Iterable[dict[str, str]]) -> Iterator[Product]:
        """One product an id: the first picture, with what stood above it."""
        done: set[str] = set()
        last: dict[str, str] = {}
        for row in items:
            item = row
            if row["id"] and row["id"] == last.get("id"):
                item = {**last, **{name: value for name, value in row.items() if value}, "image": row["image"]}
            elif last and not last["image"] and last["id"] not in done:
                self._left_out[_BARE] += 1
            last = item
            if not item["image"]:
                continue
            if item["id"] in done and item["id"]:
                self._left_out[_FURTHER] += 1
                continue
            done.add(item["id"])
            image, *further = _pictures_in(item["image"])
            self._left_out[_FURTHER] += len(further)
            kept = {name[len(_KEPT) :]: value for name, value in item.items() if name.startswith(_KEPT)}
            yield Product(item["id"] or _stem(image), item["title"], item["text"], image, item["prompt"], kept)
        if last and not last["image"] and last["id"] not in done:
            self._left_out[_BARE] += 1


_HINT = "give a folder of pictures, a text file of links, or a Shopify or Google feed (CSV, TSV, XML)"


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file, in whatever encoding it is, that are neither blank nor comments."""
    with convert_read_errors(path.name):
        form, _ = sniff_encoding(path, Form(FormKind.CSV), None, path.name)
        with open_text(path, form, newline="") as file:
            for line in file:
                text = line.strip()
                if text and not text.startswith("#"):
                    yield text


def _item(cells: Mapping[str, str], columns: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """A product's parts, and what is kept beside them, of one row."""
    parts = {part: cells.get(columns.get(part, ""), "").strip() for part in PARTS}
    return parts | {f"{_KEPT}{to}": " ".join(cells.get(name, "").split()) for name, to in kept.items()}


def _pictures_in(cell: str) -> list[str]:
    """The pictures that a cell names; the cell itself where it can't be told apart."""
    try:
        return split_cell(cell) or [cell]
    except CellError:
        return [cell]


def _xml_items(path: Path) -> Iterator[dict[str, str]]:
    """The items of a feed, each forgotten once it is read."""
    try:
        for _, element in ET.iterparse(path):  # noqa: S314 - expat refuses entity bombs since 2.4.1
            if _local(element.tag) not in _ITEMS or not len(element):
                continue
            cells = {name: element.get(name, "") for name in ("id",) if element.get(name)}
            for child in element:
                cells.setdefault(_local(child.tag).replace("_", " "), " ".join("".join(child.itertext()).split()))
            yield _item(cells, parts_of(cells), kept_columns(cells))
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
