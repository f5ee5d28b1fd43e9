"""Reads products from a folder of pictures, a list of links, a Shopify export or a Google product feed.

Each source gives a stream of ``Product``. Shopify repeats a product's handle on several rows and has its title on the first
only: title and text are carried down, and of several pictures the first one is used.
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
from .product_parts import PRODUCT_PARTS, find_extra_columns, find_parts

PICTURES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
_match_picture = re.compile(
    rf"https?://\S+|[^\t<>|]+(?:{'|'.join(map(re.escape, sorted(PICTURES)))})", re.IGNORECASE
).fullmatch
_SAMPLED_LINES = 50  # lines of a text file that are checked to decide if it is a list

_FURTHER, _BARE = "further", "bare"
_EXTRA_PREFIX = "kept "
"""Prefix of the names of an item's columns that are no part of a product."""
_ITEMS = frozenset({"item", "entry", "product", "offer", "shopitem"})
"""Elements of XML feeds that are products: RSS, Atom, and those of Yandex and Heureka."""


@dataclass(frozen=True, slots=True)
class Product:
    """A row of the new manifest. ``image`` is a link, or a path relative to the manifest; ``prompt`` is the source's own.
    ``extras`` are further cells of the source, by the names of their new columns.
    """

    sku: str
    title: str
    text: str
    image: str
    prompt: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)


class ProductSources:
    """The products of several sources. ``notes`` on what was left out are complete after ``read_products``."""

    def __init__(self, sources: Iterable[str], target_folder: Path) -> None:
        """``target_folder`` is the folder of the new manifest: paths are relative to it."""
        self._sources = list(sources)
        self._target_folder = target_folder
        self._left_out: Counter[str] = Counter()
        self._other_files: list[str] = []
        self.image_roots: list[Path] = []  # folders outside of it that hold pictures, for --image-root
        self._unreadable_rows: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Sentences on what was left out, with counts."""
        templates = {_FURTHER: "further picture{s} of the same products", _BARE: "product{s} without a picture"}
        notes = [
            f"{count:,} {templates[kind].format(s='s' if count > 1 else '')} left out"
            for kind, count in self._left_out.items()
            if count
        ]
        for kind, names in (("file", self._other_files), ("row", self._unreadable_rows)):
            if names:
                why = "no picture" if kind == "file" else "can't be read"
                notes.append(
                    f"{len(names):,} {kind}{'s' if len(names) > 1 else ''} left out, {why}: {join_names(names, 'and', 3)}"
                )
        return notes

    def read_products(self) -> Iterator[Product]:
        """Yield all products in order. NotFoundError for a missing source, ManifestError for one without products."""
        for source in self._sources:
            has_product = False
            for product in self._read_source(source):
                has_product = True
                yield product
            if not has_product:
                raise ManifestError(f"{source} holds no picture", hint=_HINT)

    def _read_source(self, source: str) -> Iterator[Product]:
        if re.match(r"https?://", source):
            return iter([_make_from_link(source)])
        path = Path(source)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if _is_visible(file, path))
            self._other_files += [file.name for file in files if file.suffix.lower() not in PICTURES]
            return (self._make_from_file(file, path) for file in files if file.suffix.lower() in PICTURES)
        if not path.is_file():
            raise NotFoundError(f"there is no file or folder {source}", hint=_HINT)
        if path.suffix.lower() in PICTURES:
            return iter([self._make_from_file(path, path.parent)])
        return self._read_file(path)

    def _make_from_file(self, file: Path, folder: Path) -> Product:
        real = file.resolve()
        if not any(real.is_relative_to(root) for root in (self._target_folder.resolve(), *self.image_roots)):
            resolved_folder = folder.resolve()
            self.image_roots.append(resolved_folder if real.is_relative_to(resolved_folder) else real.parent)
        relative = Path(os.path.relpath(file, self._target_folder)).as_posix()
        return Product(file.stem, _to_words(file.stem), "", relative)

    def _read_file(self, path: Path) -> Iterator[Product]:
        with convert_read_errors(path.name), path.open("rb") as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
        if start.startswith(b"<"):
            return self._group_items(_read_xml_items(path))
        if path.suffix.lower() == ".txt" or re.match(rb"https?://", start):
            lines = _read_lines(path)
            if all(map(_match_picture, islice(_read_lines(path), _SAMPLED_LINES))):
                return map(_make_from_link, lines)
        return self._group_items(self._read_table_items(path))

    def _read_table_items(self, path: Path) -> Iterator[dict[str, str]]:
        manifest = open_manifest(path)
        columns = find_parts(manifest.columns)
        extras = find_extra_columns(manifest.columns)
        if "image" not in columns:
            raise ManifestError(
                f"{path.name} has no column that looks like a picture's link; columns: {join_names(manifest.columns, 'and')}",
                hint="run this file as it stands, and say which column it is with --map image=COLUMN",
            )
        for row in manifest.rows():
            if isinstance(row, Row):
                yield _build_item({name: to_cell_text(cell) for name, cell in row.cells.items()}, columns, extras)
            else:
                self._unreadable_rows.append(f"{describe_row(manifest.form, row.number)} ({row.reason})")

    def _group_items(self, items: Iterable[dict[str, str]]) -> Iterator[Product]:
        """Yield one product an id, with the first picture and the values of the rows above it."""
        used_ids: set[str] = set()
        previous: dict[str, str] = {}
        for row in items:
            item = row
            if row["id"] and row["id"] == previous.get("id"):
                item = {**previous, **{name: value for name, value in row.items() if value}, "image": row["image"]}
            elif previous and not previous["image"] and previous["id"] not in used_ids:
                self._left_out[_BARE] += 1
            previous = item
            if not item["image"]:
                continue
            if item["id"] in used_ids and item["id"]:
                self._left_out[_FURTHER] += 1
                continue
            used_ids.add(item["id"])
            image, *further = _split_pictures(item["image"])
            self._left_out[_FURTHER] += len(further)
            extras = {
                name[len(_EXTRA_PREFIX) :]: value for name, value in item.items() if name.startswith(_EXTRA_PREFIX)
            }
            yield Product(
                item["id"] or _extract_stem(image), item["title"], item["text"], image, item["prompt"], extras
            )
        if previous and not previous["image"] and previous["id"] not in used_ids:
            self._left_out[_BARE] += 1


_HINT = "give a folder of pictures, a text file of links, or a Shopify or Google feed (CSV, TSV, XML)"


def _read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, in any encoding, that are neither blank nor comments."""
    with convert_read_errors(path.name):
        form, _ = sniff_encoding(path, Form(FormKind.CSV), None, path.name)
        with open_text(path, form, newline="") as file:
            for line in file:
                text = line.strip()
                if text and not text.startswith("#"):
                    yield text


def _build_item(cells: Mapping[str, str], columns: Mapping[str, str], extras: Mapping[str, str]) -> dict[str, str]:
    """A product's parts and extra cells, of one row."""
    parts = {part: cells.get(columns.get(part, ""), "").strip() for part in PRODUCT_PARTS}
    return parts | {
        f"{_EXTRA_PREFIX}{new_name}": " ".join(cells.get(name, "").split()) for name, new_name in extras.items()
    }


def _split_pictures(cell: str) -> list[str]:
    """The pictures in a cell; the cell itself if it can't be split."""
    try:
        return split_cell(cell) or [cell]
    except CellError:
        return [cell]


def _read_xml_items(path: Path) -> Iterator[dict[str, str]]:
    """Yield the items of a feed, freeing each one once it is read."""
    try:
        for _, element in ET.iterparse(path):  # noqa: S314 - expat refuses entity bombs since 2.4.1
            if _strip_namespace(element.tag) not in _ITEMS or not len(element):
                continue
            cells = {name: element.get(name, "") for name in ("id",) if element.get(name)}
            for child in element:
                cells.setdefault(
                    _strip_namespace(child.tag).replace("_", " "), " ".join("".join(child.itertext()).split())
                )
            yield _build_item(cells, find_parts(cells), find_extra_columns(cells))
            element.clear()
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ManifestError(f"{path.name} is no XML that can be read: {error}", hint="export the feed again") from None
    except OSError as error:
        raise ManifestError(f"{path.name} can't be read: {error.strerror or error}") from None


def _strip_namespace(tag: str) -> str:
    return tag.rpartition("}")[2].lower()


def _make_from_link(link: str) -> Product:
    stem = _extract_stem(link)
    return Product(stem, _to_words(stem), "", link)


def _extract_stem(link: str) -> str:
    try:
        path = urlsplit(link).path
    except ValueError:
        path = link
    return Path(unquote(path)).stem or "picture"


def _to_words(stem: str) -> str:
    """``ocean-blue_shirt`` as ``ocean blue shirt``."""
    return re.sub(r"[\s_-]+", " ", stem).strip() or stem


def _is_visible(file: Path, root: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts)
