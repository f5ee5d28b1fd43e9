"""Drawing on a square of 1000 by 1000 units: smooth shapes filled with a gradient from top to bottom."""

import colorsys
from collections.abc import Sequence

from PIL import Image, ImageDraw

Colour = tuple[int, ...]  # RGB or RGBA, 0 to 255
Point = tuple[float, float]


def hsl(hue: float, saturation: float, lightness: float) -> Colour:
    """A colour from hue (turns, any number), saturation and lightness (0 to 1)."""
    return tuple(round(part * 255) for part in colorsys.hls_to_rgb(hue % 1.0, lightness, saturation))


def shade(colour: Colour, by: float) -> Colour:
    """Lighter (`by` above 0, towards white) or darker (below 0, towards black); alpha stays."""
    towards = 255 if by > 0 else 0
    return (*(round(part + (towards - part) * abs(by)) for part in colour[:3]), *colour[3:])


def smooth(points: Sequence[Point], steps: int = 10) -> list[Point]:
    """A closed Catmull-Rom curve through the points."""
    curve = []
    count = len(points)
    for index in range(count):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = (points[(index + offset) % count] for offset in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            curve.append((_interpolate(ax, bx, cx, dx, t), _interpolate(ay, by, cy, dy, t)))
    return curve


def _interpolate(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)


class Canvas:
    """A transparent square canvas of `pixels`; draw large and scale down for smooth edges."""

    def __init__(self, pixels: int) -> None:
        self.image = Image.new("RGBA", (pixels, pixels))
        self._scale = pixels / 1000

    def draw_oval(self, box: tuple[float, float, float, float], top: Colour, bottom: Colour | None = None) -> None:
        mask, ink, at = self._make_stencil(*box)
        ink.ellipse((0, 0, mask.width - 1, mask.height - 1), fill=255)
        self._fill(mask, at, top, bottom)

    def draw_bar(
        self, box: tuple[float, float, float, float], top: Colour, bottom: Colour | None = None, radius: float = 0
    ) -> None:
        mask, ink, at = self._make_stencil(*box)
        ink.rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), radius * self._scale, fill=255)
        self._fill(mask, at, top, bottom)

    def fill_area(self, points: Sequence[Point], top: Colour, bottom: Colour | None = None) -> None:
        """A polygon; pass it through `smooth` for a rounded one."""
        xs, ys = zip(*points, strict=True)
        mask, ink, (x, y) = self._make_stencil(min(xs), min(ys), max(xs), max(ys))
        ink.polygon([(px * self._scale - x, py * self._scale - y) for px, py in points], fill=255)
        self._fill(mask, (x, y), top, bottom)

    def draw_path(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line through the points with round joints and ends."""
        half = width / 2
        xs, ys = zip(*points, strict=True)
        mask, ink, (x, y) = self._make_stencil(min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half)
        dots = [(px * self._scale - x, py * self._scale - y) for px, py in points]
        ink.line(dots, fill=255, width=max(1, round(width * self._scale)), joint="curve")
        for px, py in dots:
            r = half * self._scale - 0.5
            ink.ellipse((px - r, py - r, px + r, py + r), fill=255)
        self._fill(mask, (x, y), colour, None)

    def draw_arc(self, centre: Point, radius: float, degrees: tuple[int, int], width: float, colour: Colour) -> None:
        """Part of a ring; degrees run clockwise from three o'clock."""
        (x, y), reach = centre, radius + width / 2
        mask, ink, at = self._make_stencil(x - reach, y - reach, x + reach, y + reach)
        ink.arc((0, 0, mask.width - 1, mask.height - 1), *degrees, fill=255, width=max(1, round(width * self._scale)))
        self._fill(mask, at, colour, shade(colour, -0.25))

    def _make_stencil(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[Image.Image, ImageDraw.ImageDraw, tuple[int, int]]:
        scale = self._scale
        size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        mask = Image.new("L", size)
        return mask, ImageDraw.Draw(mask), (round(left * scale), round(top * scale))

    def _fill(self, mask: Image.Image, at: tuple[int, int], top: Colour, bottom: Colour | None) -> None:
        if len(top) > 3:
            opacity = top[3]
            mask = mask.point(lambda value: value * opacity // 255)
        paint = Image.new("RGB", mask.size, top[:3])
        if bottom is not None:
            ramp = Image.linear_gradient("L").resize(mask.size)
            paint.paste(bottom[:3], (0, 0, *mask.size), ramp)
        paint.putalpha(mask)
        left, upper = max(0, -at[0]), max(0, -at[1])
        self.image.alpha_composite(paint, (max(0, at[0]), max(0, at[1])), (left, upper))
