"""The ad: the input picture, large, with the prompt's words, in the size asked for; no two jobs alike.

Drawn in two layers. Everything soft (gradient, shapes, card, shadows) is drawn at half size and scaled up, which is
four times cheaper and gives smooth edges for nothing; product, type and button go on top at full size.
"""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, PngImagePlugin

from batchedit.sandbox.job_clock import Order
from batchedit.sandbox.copywriting import Copy, write_copy
from batchedit.sandbox.palette import Palette, palette
from batchedit.sandbox.canvas import Colour
from batchedit.sandbox.cheap_png import SIZES, identity
from batchedit.sandbox.samples import colour_in, cutout, kind_of
from batchedit.sandbox.typeset import Block, fit, font, settable

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
_STYLES = ("card", "disc", "podium", "arch")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things go."""

    size: tuple[int, int]
    text: Box
    product: Box
    style: str
    centred: bool


def compose(order: Order, number: int, upload: bytes | None) -> bytes:
    """The PNG of a job's `number`-th picture; `upload` is the input picture where it was sent as data."""
    # The ordinal is in the seed: variants with equal inputs must differ.
    rng = random.Random(f"{order.digest}:{order.ordinal}:{number}")
    source = order.images[0].rsplit("/", 1)[-1] if order.images else "gift"
    name = source.partition("?")[0].rpartition(".")[0] or source
    kind = kind_of(name, order.prompt)
    layout, colours = _layout(order.size, rng), palette(rng)
    product = _uploaded(upload) or cutout(kind, name, colour_in(name, order.prompt))
    product = ImageOps.contain(product, _stage(layout), Image.Resampling.BILINEAR)
    picture = _backdrop(layout, colours, product.size, rng)
    picture.paste(product, _standing(layout, product.size), product)
    words = settable(order.prompt)
    _typeset(picture, layout, colours, write_copy(words, kind, rng), order.request_id[:8])
    return _png(picture, order, number)


def _layout(size: str, rng: random.Random) -> Layout:
    width, height = SIZES.get(size, SIZES["1:1"])
    flipped, style = rng.random() < 0.5, rng.choice(_STYLES)
    if width > height:
        text, product = _part(width, height, 0.06, 0.12, 0.49, 0.90), _part(width, height, 0.54, 0.09, 0.95, 0.91)
        if flipped:
            text, product = _part(width, height, 0.52, 0.12, 0.95, 0.90), _part(width, height, 0.05, 0.09, 0.46, 0.91)
        return Layout((width, height), text, product, style, centred=False)
    if flipped and style != "podium":
        text, product = _part(width, height, 0.08, 0.60, 0.92, 0.945), _part(width, height, 0.14, 0.055, 0.86, 0.56)
    else:
        text, product = _part(width, height, 0.08, 0.06, 0.92, 0.405), _part(width, height, 0.14, 0.43, 0.86, 0.935)
    return Layout((width, height), text, product, style, centred=rng.random() < 0.6)


def _part(width: int, height: int, *shares: float) -> Box:
    left, top, right, bottom = shares
    return round(width * left), round(height * top), round(width * right), round(height * bottom)


def _stage(layout: Layout) -> tuple[int, int]:
    """How large the product may be, in pixels."""
    left, top, right, bottom = layout.product
    inset = 0.8 if layout.style == "podium" else 0.84
    return round((right - left) * inset), round((bottom - top) * inset)


def _standing(layout: Layout, size: tuple[int, int]) -> tuple[int, int]:
    """Where the product's upper left corner goes: upon the podium, on the panel's floor, or amid the disc."""
    left, top, right, bottom = layout.product
    x = (left + right - size[0]) // 2
    if layout.style == "podium":
        return x, bottom - round((bottom - top) * 0.14) - size[1]
    if layout.style == "disc":
        return x, round((top + bottom - size[1]) / 2 + (bottom - top) * 0.015)
    # A flat product stands a little higher, or the panel would look empty above it.
    spare = bottom - top - size[1]
    return x, bottom - round(spare * 0.36) - size[1]


def _uploaded(upload: bytes | None) -> Image.Image | None:
    """A picture that was sent as data, in a rounded frame; None if it cannot be read."""
    if upload is None:
        return None
    try:
        file = Image.open(io.BytesIO(upload))
        file.draft("RGB", (1024, 1024))  # lets a large JPEG be decoded small
        sent = ImageOps.contain(ImageOps.exif_transpose(file).convert("RGBA"), (760, 760))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    frame = Image.new("L", sent.size)
    ImageDraw.Draw(frame).rounded_rectangle((0, 0, sent.width - 1, sent.height - 1), 32, fill=255)
    sent.putalpha(ImageChops.multiply(frame, sent.getchannel("A")))
    return sent


def _backdrop(layout: Layout, colours: Palette, product: tuple[int, int], rng: random.Random) -> Image.Image:
    width, height = layout.size[0] // 2, layout.size[1] // 2
    # A diagonal gradient: three mixed corners, scaled up.
    between = tuple((a + b) // 2 for a, b in zip(colours.ground, colours.depth, strict=True))
    corners = Image.new("RGB", (2, 2), between)
    corners.putpixel((0, 0), colours.ground)
    corners.putpixel((1, 1), colours.depth)
    ground = corners.resize((width, height), Image.Resampling.BICUBIC)
    _decorate(ground, colours, rng)
    left, top, right, bottom = (side // 2 for side in layout.product)
    _prop(ground, (left, top, right, bottom), layout.style, colours)
    x, y = _standing(layout, product)
    wide, foot = product[0] // 2, (y + product[1]) // 2
    _shadow(ground, (x // 2 + wide // 10, foot - 9, x // 2 + wide - wide // 10, foot + 9), "oval", 8, 120)
    return ground.resize(layout.size, Image.Resampling.BICUBIC)


def _decorate(ground: Image.Image, colours: Palette, rng: random.Random) -> None:
    """Large quiet shapes in the background, drawn at twice the size for smooth edges."""
    width, height = ground.width * 2, ground.height * 2
    veil = Image.new("L", (width, height))
    ink = ImageDraw.Draw(veil)
    match rng.randrange(4):
        case 0:
            for _ in range(3):
                x, y, r = rng.randrange(width), rng.randrange(height), rng.randrange(width // 6, width // 2)
                ink.ellipse((x - r, y - r, x + r, y + r), fill=150)
        case 1:
            x, y = rng.choice((0, width)), rng.choice((0, height))
            for r in range(max(width, height), 120, -180):
                ink.ellipse((x - r, y - r, x + r, y + r), outline=110, width=44)
        case 2:
            for x in range(-height, width, 168):
                ink.polygon([(x, height), (x + 68, height), (x + 68 + height, 0), (x + height, 0)], fill=100)
        case _:
            for x in range(48, width, 72):
                for y in range(48, height, 72):
                    ink.ellipse((x - 6, y - 6, x + 6, y + 6), fill=200)
    ground.paste(colours.shape, (0, 0, *ground.size), veil.reduce(2))


def _stamp(picture: Image.Image, box: Box, colour: Colour, draw: Callable[[ImageDraw.ImageDraw, Box], None]) -> None:
    """A shape that fills the box, drawn at twice the size for smooth edges; `draw` gets ink and the area to fill."""
    left, top, right, bottom = box
    mask = Image.new("L", ((right - left) * 2, (bottom - top) * 2))
    draw(ImageDraw.Draw(mask), (0, 0, mask.width - 1, mask.height - 1))
    picture.paste(colour, (left, top), mask.reduce(2))


def _oval(ink: ImageDraw.ImageDraw, area: Box) -> None:
    ink.ellipse(area, fill=255)


def _prop(ground: Image.Image, box: Box, style: str, colours: Palette) -> None:
    """What the product stands on or before."""
    left, top, right, bottom = box
    if style == "podium":
        deep, rise = tuple(part * 3 // 4 for part in colours.panel), (bottom - top) // 5
        _shadow(ground, (left, bottom - 20, right, bottom + 16), "oval", 12, 110)
        _stamp(ground, (left, bottom - rise * 2 // 3, right, bottom), deep, _oval)
        ImageDraw.Draw(ground).rectangle((left, bottom - rise, right - 1, bottom - rise // 3), fill=deep)
        _stamp(ground, (left, bottom - rise * 4 // 3, right, bottom - rise * 2 // 3), colours.panel, _oval)
    elif style == "disc":
        r = min(right - left, bottom - top) // 2
        x, y = (left + right) // 2, (top + bottom) // 2
        ring = (x - r - 12, y - r - 12, x + r + 12, y + r + 12)
        _stamp(ground, ring, colours.panel, lambda ink, area: ink.ellipse(area, outline=255, width=3))
        _stamp(ground, (x - r, y - r, x + r, y + r), colours.panel, _oval)
    else:
        card = style == "card"
        round_off, corners = 56 if card else right - left, (True, True, card, card)
        _shadow(ground, (left, top + 12, right, bottom + 12), style, 14, 90)
        _stamp(
            ground,
            box,
            colours.panel,
            lambda ink, area: ink.rounded_rectangle(area, round_off, fill=255, corners=corners),
        )


def _shadow(ground: Image.Image, box: Box, shape: str, blur: int, strength: int) -> None:
    """A soft dark patch under something; only the part of the picture it falls on is touched."""
    margin = blur * 3
    left, top, right, bottom = box
    mask = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin))
    inner = (margin, margin, mask.width - margin, mask.height - margin)
    ink = ImageDraw.Draw(mask)
    radius = {"oval": min(right - left, bottom - top) // 2, "card": 28, "arch": (right - left) // 2}[shape]
    ink.rounded_rectangle(inner, radius, fill=strength, corners=(True, True, shape != "arch", shape != "arch"))
    ground.paste((10, 10, 24), (left - margin, top - margin), mask.filter(ImageFilter.GaussianBlur(blur * 0.7)))


def _typeset(picture: Image.Image, layout: Layout, colours: Palette, words: Copy, mark: str) -> None:
    left, top, right, bottom = layout.text
    width, height, ink = right - left, bottom - top, ImageDraw.Draw(picture)
    headline = fit(
        words.headline, width, round(height * (0.5 if layout.centred else 0.46)), range(124, 40, -4), heavy=True
    )
    tagline = fit(words.tagline, width, round(height * 0.24), range(36, 22, -2))
    tall = 26 + 18 + headline.height + 16 + tagline.height + 26 + 64
    y = top + max(0, height - tall) // 2
    x, anchor = ((left + right) // 2, "ma") if layout.centred else (left, "la")
    Block((" ".join(words.kicker.upper()),), 19, 0.4).draw(ink, (x, y), colours.soft, anchor)
    y += 44
    headline.draw(ink, (x, y), colours.text, anchor)
    y += headline.height + 16
    tagline.draw(ink, (x, y), colours.soft, anchor)
    _button(picture, (x, y + tagline.height + 26), words.button, colours, layout.centred)
    foot = f"batchedit sandbox  -  {mark}"
    Block((foot,), 15).draw(ink, (layout.size[0] // 2, layout.size[1] - 32), colours.soft, "ma")


def _button(picture: Image.Image, at: tuple[int, int], label: str, colours: Palette, centred: bool) -> None:
    ink = ImageDraw.Draw(picture)
    wide = 56 + round(ink.textlength(label, font=font(26)))
    x = at[0] - wide // 2 if centred else at[0]
    box = (x, at[1], x + wide, at[1] + 60)
    _stamp(picture, box, colours.button, lambda pill, area: pill.rounded_rectangle(area, 60, fill=255))
    Block((label,), 26, 0.5).draw(ink, (x + wide // 2, at[1] + 30), colours.on_button, "mm")


def _png(picture: Image.Image, order: Order, number: int) -> bytes:
    facts = PngImagePlugin.PngInfo()
    for name, value in identity(order, number).items():
        facts.add_itxt(name, value)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1, pnginfo=facts)
    return out.getvalue()
