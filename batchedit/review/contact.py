"""A contact sheet on A4 for people who approve on paper: twelve pictures a page, each with a box to tick."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..core.steps import ProgressCallback, no_progress

WIDE, HIGH, DPI = 1240, 1754, 150  # A4
COLUMNS, ROWS = 3, 4
FONTS = ("Arial Unicode.ttf", "arial.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf")
PAGES_AT_ONCE = 12  # 6.5 MB each in memory

_MARGIN, _HEAD, _FOOT, _GAP, _CAPTION = 80, 110, 60, 34, 66
_INK, _QUIET, _LINE, _MAT = "#24211d", "#6b645b", "#cfc7bb", "#f3efe9"


@dataclass(frozen=True, slots=True)
class Print:
    """One picture of the sheet: its thumbnail (None if there is none), its name and a second line."""

    thumb: Path | None
    name: str
    about: str


def write_contact_sheet(
    prints: Sequence[Print], path: Path, title: str, on_progress: ProgressCallback = no_progress
) -> int:
    """Write the PDF and return its number of pages. OSError where the disk refuses."""
    pages = -(-len(prints) // (COLUMNS * ROWS))
    for batch_number, batch in enumerate(draw_pages(prints, title, pages)):
        first, *others = batch
        first.save(
            path,
            "PDF",
            resolution=DPI,
            save_all=True,
            append_images=others,
            append=batch_number > 0,
            quality=88,
            title=title,
        )
        on_progress(min(pages, (batch_number + 1) * PAGES_AT_ONCE), pages)
    return pages


def draw_pages(prints: Sequence[Print], title: str, pages: int) -> Iterator[list[Image.Image]]:
    """Draw the pages, a few at a time: a thousand of them do not fit into memory."""
    per_page = COLUMNS * ROWS
    for start in range(0, pages, PAGES_AT_ONCE):
        yield [
            _draw_page(prints[number * per_page : (number + 1) * per_page], title, number + 1, pages)
            for number in range(start, min(pages, start + PAGES_AT_ONCE))
        ]


def _draw_page(prints: Sequence[Print], title: str, number: int, pages: int) -> Image.Image:
    page = Image.new("RGB", (WIDE, HIGH), "white")
    draw = ImageDraw.Draw(page)
    _draw_text(draw, (_MARGIN, _MARGIN - 30), title, 34, WIDE - 2 * _MARGIN - 160)
    _draw_text(draw, (WIDE - _MARGIN - 140, _MARGIN - 20), f"{number} of {pages}", 22, 140, _QUIET)
    wide = (WIDE - 2 * _MARGIN - (COLUMNS - 1) * _GAP) // COLUMNS
    high = (HIGH - _MARGIN - _HEAD - _FOOT - (ROWS - 1) * _GAP) // ROWS
    for index, picture in enumerate(prints):
        left = _MARGIN + index % COLUMNS * (wide + _GAP)
        top = _HEAD + index // COLUMNS * (high + _GAP) + 20
        _draw_picture(page, draw, picture, (left, top, wide, high))
    return page


def _draw_picture(page: Image.Image, draw: ImageDraw.ImageDraw, picture: Print, box: tuple[int, int, int, int]) -> None:
    left, top, wide, high = box
    room = high - _CAPTION
    draw.rectangle((left, top, left + wide - 1, top + room - 1), fill=_MAT)
    if picture.thumb is not None and picture.thumb.is_file():
        with Image.open(picture.thumb) as thumb:
            scale = min(wide / thumb.width, room / thumb.height)
            size = max(1, round(thumb.width * scale)), max(1, round(thumb.height * scale))
            thumbnail = thumb.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        page.paste(thumbnail, (left + (wide - size[0]) // 2, top + (room - size[1]) // 2))
    tick = 26
    draw.rectangle(
        (left + wide - tick, top + room + 12, left + wide - 1, top + room + 11 + tick), outline=_LINE, width=2
    )
    _draw_text(draw, (left, top + room + 8), picture.name, 22, wide - tick - 14)
    _draw_text(draw, (left, top + room + 38), picture.about, 18, wide - tick - 14, _QUIET)


def _draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, wide: int, ink: str = _INK
) -> None:
    """Draw one line, cut to ``wide`` pixels."""
    font, line = load_font(size), to_drawable(" ".join(text.split()))
    while line and draw.textlength(line, font) > wide:
        line = line[:-2].rstrip() + "…" if len(line) > 2 else ""
    draw.text(place, line, ink, font)


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of this machine that covers most scripts; without one Pillow's own, which covers English letters."""
    name = find_system_font()
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@cache
def find_system_font() -> str:
    """The first of FONTS that is installed, ``""`` if none is."""
    for name in FONTS:
        with suppress(OSError):
            ImageFont.truetype(name, 12)
            return name
    return ""


def to_drawable(text: str) -> str:
    """``text``; without a system font, transliterated to English letters: ``Größe`` as ``Grosse``."""
    if find_system_font():
        return text
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("·", "-").replace("…", "..."))
    return "".join(
        letter if letter.isascii() else "" if unicodedata.combining(letter) else "?" for letter in decomposed
    )
