"""Colours that harmonise. An ad: one hue for the ground, its neighbour for depth, its opposite for the button."""

import random
from dataclasses import dataclass

from batchedit.sandbox.canvas import Colour, hsl, shade

STEEL, INK, CREAM = (196, 202, 210), (38, 41, 48), (247, 243, 234)
SHINE = (255, 255, 255, 70)


@dataclass(frozen=True, slots=True)
class Palette:
    ground: Colour  #: top left of the background
    depth: Colour  #: bottom right of it
    shape: Colour  #: decoration, a little off the ground
    panel: Colour  #: behind the product
    text: Colour
    soft: Colour  #: smaller text
    button: Colour
    on_button: Colour


def choose_palette(rng: random.Random) -> Palette:
    """A palette of one of three moods (deep, bright, pale) in a random hue."""
    hue = rng.random()
    mood = rng.choice(("deep", "bright", "pale"))
    opposite = hsl(hue + rng.choice((0.42, 0.5, 0.58)), 0.8, 0.58)
    if mood == "deep":
        ground, depth = hsl(hue, 0.5, 0.26), hsl(hue + 0.07, 0.6, 0.12)
        return Palette(
            ground,
            depth,
            hsl(hue, 0.5, 0.31),
            hsl(hue + 0.03, 0.4, 0.86),
            *_LIGHT_ON_DARK,
            hsl(hue + 0.5, 0.85, 0.66),
            _INK,
        )
    if mood == "bright":
        ground, depth = hsl(hue, 0.62, 0.5), hsl(hue + 0.09, 0.66, 0.34)
        return Palette(
            ground,
            depth,
            hsl(hue + 0.02, 0.62, 0.55),
            hsl(hue, 0.5, 0.93),
            *_LIGHT_ON_DARK,
            _WHITE,
            hsl(hue, 0.7, 0.26),
        )
    ground, depth = hsl(hue, 0.5, 0.96), hsl(hue + 0.08, 0.42, 0.84)
    return Palette(
        ground,
        depth,
        hsl(hue, 0.46, 0.9),
        hsl(hue + 0.04, 0.5, 0.78),
        hsl(hue, 0.5, 0.14),
        hsl(hue, 0.2, 0.32),
        opposite,
        _choose_legible(opposite),
    )


def _choose_legible(colour: Colour) -> Colour:
    red, green, blue = colour
    return _INK if 0.3 * red + 0.59 * green + 0.11 * blue > 125 else _WHITE


_INK, _WHITE = (24, 24, 30), (255, 255, 255)
_LIGHT_ON_DARK = ((255, 255, 255), (226, 230, 236))


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of one product."""

    main: Colour
    accent: Colour

    @property
    def light(self) -> Colour:
        return shade(self.main, 0.35)

    @property
    def dark(self) -> Colour:
        return shade(self.main, -0.35)


def mix_paint(hue: float, saturation: float, tone: float) -> Paint:
    """Two colours that go together; `tone` goes from pale (0) to deep (1), and somewhat beyond for white and black."""
    return Paint(hsl(hue, saturation, 0.62 - 0.2 * tone), hsl(hue + 0.47, 0.6, 0.6))
