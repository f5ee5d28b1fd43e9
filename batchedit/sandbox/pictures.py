"""Draws an ad: the input picture, large, with words of the prompt, in the size asked for; no two jobs alike.

Drawn in two layers. Everything soft (gradient, shapes, card, shadows) is drawn at half size and scaled up, which is
four times cheaper and gives smooth edges; product, type and button go on top at full size.
"""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, PngImagePlugin

from batchedit.sandbox.canvas import Colour
from batchedit.sandbox.cheap_png import SIZES, describe_order
from batchedit.sandbox.copywriting import AdCopy, write_copy
from batchedit.sandbox.job_clock import Order
from batchedit.sandbox.palette import Palette, choose_palette
from batchedit.sandbox.samples import choose_product, draw_cutout, find_colour
from batchedit.sandbox.typeset import Block, drop_unknown_letters, fit_text, load_font

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
_STYLES = ("card", "disc", "podium", "arch")


@dataclass(frozen=True, slots=True)
class Layout:
    """The areas of a picture."""

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
    kind = choose_product(name, order.prompt)
    layout, colours = _choose_layout(order.size, rng), choose_palette(rng)
    product = _open_upload(upload) or draw_cutout(kind, name, find_colour(name, order.prompt))
    product = ImageOps.contain(product, _measure_stage(layout), Image.Resampling.BILINEAR)
    picture = _draw_backdrop(layout, colours, product.size, rng)
    picture.paste(product, _place_product(layout, product.size), product)
    prompt = drop_unknown_letters(order.prompt)
    _typeset(picture, layout, colours, write_copy(prompt, kind, rng), order.request_id[:8])
    return _encode_png(picture, order, number)


def _choose_layout(size: str, rng: random.Random) -> Layout:
    width, height = SIZES.get(size, SIZES["1:1"])
    flipped, style = rng.random() < 0.5, rng.choice(_STYLES)
    if width > height:
        text, product = (
            _scale_box(width, height, 0.06, 0.12, 0.49, 0.90),
            _scale_box(width, height, 0.54, 0.09, 0.95, 0.91),
        )
        if flipped:
            text, product = (
                _scale_box(width, height, 0.52, 0.12, 0.95, 0.90),
                _scale_box(width, height, 0.05, 0.09, 0.46, 0.91),
            )
        return Layout((width, height), text, product, style, centred=False)
    if flipped and style != "podium":
        text, product = (
            _scale_box(width, height, 0.08, 0.60, 0.92, 0.945),
            _scale_box(width, height, 0.14, 0.055, 0.86, 0.56),
        )
    else:
        text, product = (
            _scale_box(width, height, 0.08, 0.06, 0.92, 0.405),
            _scale_box(width, height, 0.14, 0.43, 0.86, 0.935),
        )
    return Layout((width, height), text, product, style, centred=rng.random() < 0.6)


def _scale_box(width: int, height: int, *shares: float) -> Box:
    left, top, right, bottom = shares
    return round(width * left), round(height * top), round(width * right), round(height * bottom)


def _measure_stage(layout: Layout) -> tuple[int, int]:
    """How large the product may be, in pixels."""
    left, top, right, bottom = layout.product
    inset = 0.8 if layout.style == "podium" else 0.84
    return round((right - left) * inset), round((bottom - top) * inset)


def _place_product(layout: Layout, size: tuple[int, int]) -> tuple[int, int]:
    """The product's upper left corner: on the podium, at the bottom of the panel, or in the middle of the disc."""
    left, top, right, bottom = layout.product
    x = (left + right - size[0]) // 2
    if layout.style == "podium":
        return x, bottom - round((bottom - top) * 0.14) - size[1]
    if layout.style == "disc":
        return x, round((top + bottom - size[1]) / 2 + (bottom - top) * 0.015)
    # A flat product is placed a little higher, or the panel would look empty above it.
    spare = bottom - top - size[1]
    return x, bottom - round(spare * 0.36) - size[1]


def _open_upload(upload: bytes | None) -> Image.Image | None:
    """A picture that was sent as data, in a rounded frame; None if it cannot be read."""
    if upload is None:
        return None
    try:
        file = Image.open(io.BytesIO(upload))
        file.draft("RGB", (1024, 1024))  # lets a large JPEG be decoded small
        picture = ImageOps.contain(ImageOps.exif_transpose(file).convert("RGBA"), (760, 760))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    frame = Image.new("L", picture.size)
    ImageDraw.Draw(frame).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), 32, fill=255)
    picture.putalpha(ImageChops.multiply(frame, picture.getchannel("A")))
    return picture


def _draw_backdrop(layout: Layout, colours: Palette, product: tuple[int, int], rng: random.Random) -> Image.Image:
    width, height = layout.size[0] // 2, layout.size[1] // 2
    # A diagonal gradient: three mixed corners, scaled up.
    middle = tuple((a + b) // 2 for a, b in zip(colours.ground, colours.depth, strict=True))
    corners = Image.new("RGB", (2, 2), middle)
    corners.putpixel((0, 0), colours.ground)
    corners.putpixel((1, 1), colours.depth)
    ground = corners.resize((width, height), Image.Resampling.BICUBIC)
    _decorate(ground, colours, rng)
    left, top, right, bottom = (side // 2 for side in layout.product)
    _draw_prop(ground, (left, top, right, bottom), layout.style, colours)
    x, y = _place_product(layout, product)
    half_width, base = product[0] // 2, (y + product[1]) // 2
    inset = half_width // 10
    _draw_shadow(ground, (x // 2 + inset, base - 9, x // 2 + half_width - inset, base + 9), "oval", 8, 120)
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


def _fill_oval(ink: ImageDraw.ImageDraw, area: Box) -> None:
    ink.ellipse(area, fill=255)


def _draw_prop(ground: Image.Image, box: Box, style: str, colours: Palette) -> None:
    """Draw the podium, disc or panel of the product."""
    left, top, right, bottom = box
    if style == "podium":
        deep, rise = tuple(part * 3 // 4 for part in colours.panel), (bottom - top) // 5
        _draw_shadow(ground, (left, bottom - 20, right, bottom + 16), "oval", 12, 110)
        _stamp(ground, (left, bottom - rise * 2 // 3, right, bottom), deep, _fill_oval)
        ImageDraw.Draw(ground).rectangle((left, bottom - rise, right - 1, bottom - rise // 3), fill=deep)
        _stamp(ground, (left, bottom - rise * 4 // 3, right, bottom - rise * 2 // 3), colours.panel, _fill_oval)
    elif style == "disc":
        r = min(right - left, bottom - top) // 2
        x, y = (left + right) // 2, (top + bottom) // 2
        ring = (x - r - 12, y - r - 12, x + r + 12, y + r + 12)
        _stamp(ground, ring, colours.panel, lambda ink, area: ink.ellipse(area, outline=255, width=3))
        _stamp(ground, (x - r, y - r, x + r, y + r), colours.panel, _fill_oval)
    else:
        card = style == "card"
        round_off, corners = 56 if card else right - left, (True, True, card, card)
        _draw_shadow(ground, (left, top + 12, right, bottom + 12), style, 14, 90)
        _stamp(
            ground,
            box,
            colours.panel,
            lambda ink, area: ink.rounded_rectangle(area, round_off, fill=255, corners=corners),
        )


def _draw_shadow(ground: Image.Image, box: Box, shape: str, blur: int, strength: int) -> None:
    """Draw a soft dark patch; only the part of the picture under it is changed."""
    margin = blur * 3
    left, top, right, bottom = box
    mask = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin))
    inner = (margin, margin, mask.width - margin, mask.height - margin)
    ink = ImageDraw.Draw(mask)
    radius = {"oval": min(right - left, bottom - top) // 2, "card": 28, "arch": (right - left) // 2}[shape]
    ink.rounded_rectangle(inner, radius, fill=strength, corners=(True, True, shape != "arch", shape != "arch"))
    ground.paste((10, 10, 24), (left - margin, top - margin), mask.filter(ImageFilter.GaussianBlur(blur * 0.7)))


def _typeset(picture: Image.Image, layout: Layout, colours: Palette, copy: AdCopy, job_label: str) -> None:
    left, top, right, bottom = layout.text
    width, height, ink = right - left, bottom - top, ImageDraw.Draw(picture)
    headline = fit_text(
        copy.headline, width, round(height * (0.5 if layout.centred else 0.46)), range(124, 40, -4), heavy=True
    )
    tagline = fit_text(copy.tagline, width, round(height * 0.24), range(36, 22, -2))
    total_height = 26 + 18 + headline.height + 16 + tagline.height + 26 + 64
    y = top + max(0, height - total_height) // 2
    x, anchor = ((left + right) // 2, "ma") if layout.centred else (left, "la")
    Block((" ".join(copy.kicker.upper()),), 19, 0.4).draw(ink, (x, y), colours.soft, anchor)
    y += 44
    headline.draw(ink, (x, y), colours.text, anchor)
    y += headline.height + 16
    tagline.draw(ink, (x, y), colours.soft, anchor)
    _draw_button(picture, (x, y + tagline.height + 26), copy.button, colours, layout.centred)
    foot = f"batchedit sandbox  -  {job_label}"
    Block((foot,), 15).draw(ink, (layout.size[0] // 2, layout.size[1] - 32), colours.soft, "ma")


def _draw_button(picture: Image.Image, at: tuple[int, int], label: str, colours: Palette, centred: bool) -> None:
    ink = ImageDraw.Draw(picture)
    width = 56 + round(ink.textlength(label, font=load_font(26)))
    x = at[0] - width // 2 if centred else at[0]
    box = (x, at[1], x + width, at[1] + 60)
    _stamp(picture, box, colours.button, lambda pill, area: pill.rounded_rectangle(area, 60, fill=255))
    Block((label,), 26, 0.5).draw(ink, (x + width // 2, at[1] + 30), colours.on_button, "mm")


def _encode_png(picture: Image.Image, order: Order, number: int) -> bytes:
    facts = PngImagePlugin.PngInfo()
    for name, value in describe_order(order, number).items():
        facts.add_itxt(name, value)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1, pnginfo=facts)
    return out.getvalue()
