"""Sets text in the font of Pillow (Aileron): fit, wrap, and leave out letters that it lacks."""

import threading
from dataclasses import dataclass
from functools import cache

from PIL import ImageDraw, ImageFont

from batchedit.sandbox.canvas import Colour
from batchedit.sandbox.copywriting import fold_to_letters

_LOCAL = threading.local()


def load_font(size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels; each thread has its own, because FreeType's faces are not to be shared."""
    fonts: dict[int, ImageFont.FreeTypeFont] = _LOCAL.__dict__.setdefault("fonts", {})
    if size not in fonts:
        loaded = ImageFont.load_default(size=size)
        if not isinstance(loaded, ImageFont.FreeTypeFont):
            raise TypeError("Pillow was built without FreeType: it cannot draw the sandbox's pictures")
        fonts[size] = loaded
    return fonts[size]


@cache
def list_letters() -> str:
    """The characters that the font can show, as far as Latin, Greek and punctuation go."""
    face = load_font(24)
    missing = bytes(face.getmask("\uffff"))
    ranges = ((0x20, 0x7F), (0xA0, 0x180), (0x370, 0x400), (0x2010, 0x2027), (0x20AC, 0x20AD), (0x2122, 0x2123))
    candidates = (chr(code) for first, last in ranges for code in range(first, last))
    return "".join(letter for letter in candidates if letter == " " or bytes(face.getmask(letter)) != missing)


def drop_unknown_letters(text: str) -> str:
    """The text without letters that the font lacks."""
    return fold_to_letters(text, list_letters())


@dataclass(frozen=True, slots=True)
class Block:
    """Wrapped lines at one size; `weight` is an outline in pixels that makes the font bolder."""

    lines: tuple[str, ...]
    size: int
    weight: float = 0.0

    @property
    def leading(self) -> int:
        return round(self.size * (1.08 if self.weight else 1.32))

    @property
    def height(self) -> int:
        return self.leading * len(self.lines)

    def draw(self, ink: ImageDraw.ImageDraw, at: tuple[int, int], colour: Colour, anchor: str = "la") -> None:
        for number, line in enumerate(self.lines):
            place = (at[0], at[1] + number * self.leading)
            ink.text(place, line, fill=colour, font=load_font(self.size), anchor=anchor, stroke_width=self.weight)


def fit_text(text: str, width: int, height: int, sizes: range, heavy: bool = False) -> Block:
    """The largest of the sizes (in pixels, falling) at which the text fits the box; at the smallest it is cut short."""
    for size in sizes:
        block = Block(wrap_text(text, size, width), size, round(size * 0.022, 1) if heavy else 0.0)
        if block.height <= height and all(load_font(size).getlength(line) <= width for line in block.lines):
            return block
    room = max(1, height // block.leading)
    lines = tuple(_shorten(line, size, width) for line in block.lines[:room])
    cut = len(block.lines) > room
    return Block((*lines[:-1], _shorten(lines[-1] + "...", size, width) if cut else lines[-1]), size, block.weight)


def wrap_text(text: str, size: int, width: int) -> tuple[str, ...]:
    """Words to lines of at most `width` pixels; a longer word gets a line of its own."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and load_font(size).getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return tuple(lines) or ("",)


def _shorten(line: str, size: int, width: int) -> str:
    while len(line) > 1 and load_font(size).getlength(line) > width:
        line = line.rstrip(".")[:-1].rstrip() + "..."
    return line
