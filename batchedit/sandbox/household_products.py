"""Household goods of the sandbox's own drawing: see products.py."""

import math
from collections.abc import Callable

from batchedit.sandbox.palette import CREAM, INK, SHINE, STEEL, Paint
from batchedit.sandbox.canvas import Pen, hsl, shade, smooth


def _mug(pen: Pen, p: Paint) -> None:
    for x in (330, 440, 550):
        pen.path([(x, 250), (x + 28, 205), (x - 18, 150), (x + 14, 90)], 18, (255, 255, 255, 90))
    pen.arc((690, 600), 140, (270, 450), 62, p.main)
    pen.bar((190, 330, 690, 890), p.light, p.dark, radius=90)
    pen.oval((190, 290, 690, 420), shade(p.main, 0.55), p.light)
    pen.oval((220, 308, 660, 404), (96, 58, 36), (62, 34, 20))
    pen.oval((300, 326, 480, 366), (150, 100, 66, 150))
    pen.bar((230, 430, 285, 830), SHINE, radius=28)
    pen.area(_heart(440, 620, 120), (255, 255, 255), shade(p.accent, 0.7))


def _heart(x: float, y: float, size: float) -> list[tuple[float, float]]:
    turns = [math.tau * step / 48 for step in range(48)]
    wide = [(16 * math.sin(t) ** 3, 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)) for t in turns]
    return [(x + across * size / 17, y - up * size / 17) for across, up in wide]


def _armchair(pen: Pen, p: Paint) -> None:
    for x, lean in ((220, -24), (760, 24)):
        pen.path([(x, 800), (x + lean, 900)], 30, (122, 82, 50))
    pen.bar((190, 190, 810, 700), p.light, p.main, radius=130)
    pen.bar((235, 235, 765, 660), shade(p.main, 0.22), p.main, radius=100)
    for x in (400, 500, 600):
        for y in (350, 450):
            pen.oval((x - 11, y - 11, x + 11, y + 11), p.dark)
    pen.bar((190, 570, 810, 830), p.main, p.dark, radius=60)
    pen.bar((230, 540, 770, 690), shade(p.main, 0.4), p.main, radius=62)
    for x in (110, 740):
        pen.bar((x, 450, x + 150, 830), p.light, p.dark, radius=74)
        pen.bar((x + 26, 480, x + 54, 740), SHINE, radius=14)
    pen.bar((390, 470, 610, 640), shade(p.accent, 0.25), p.accent, radius=50)


def _lamp(pen: Pen, p: Paint) -> None:
    pen.area([(300, 420), (700, 420), (860, 900), (140, 900)], (255, 236, 170, 60))
    pen.bar((482, 400, 518, 850), shade(STEEL, 0.2), shade(STEEL, -0.4), radius=16)
    pen.oval((320, 820, 680, 900), shade(STEEL, 0.1), shade(STEEL, -0.5))
    pen.oval((340, 812, 660, 872), shade(STEEL, 0.5), shade(STEEL, -0.1))
    pen.area([(360, 120), (640, 120), (780, 440), (220, 440)], p.light, p.main)
    pen.oval((220, 402, 780, 478), shade(p.main, -0.1), p.dark)
    pen.oval((260, 412, 740, 466), (255, 244, 200), (255, 214, 120))
    pen.oval((360, 98, 640, 142), shade(p.main, 0.5), p.light)
    pen.area([(390, 140), (440, 140), (370, 400), (290, 400)], SHINE)
    pen.path([(640, 460), (640, 560)], 6, INK)
    pen.oval((626, 556, 654, 590), p.accent)


def _plant(pen: Pen, p: Paint) -> None:
    greens = (hsl(0.36, 0.42, 0.42), hsl(0.33, 0.45, 0.52), hsl(0.39, 0.4, 0.34))
    for step, (x, y, bend) in enumerate(
        (
            (180, 330, -60),
            (820, 330, 60),
            (300, 150, -40),
            (700, 150, 40),
            (500, 70, 0),
            (110, 520, -60),
            (890, 520, 60),
        )
    ):
        mid = ((500 + x) / 2 + bend, (640 + y) / 2)
        leaf = [(500, 660), (mid[0] - 74, mid[1] + 10), (x, y), (mid[0] + 74, mid[1] - 10)]
        pen.area(smooth(leaf), shade(greens[step % 3], 0.18), greens[step % 3])
        pen.path([(500, 640), mid, (x, y)], 7, shade(greens[step % 3], -0.25))
    pen.area([(300, 640), (700, 640), (640, 900), (360, 900)], p.light, p.dark)
    pen.bar((270, 590, 730, 690), shade(p.main, 0.45), p.main, radius=24)
    pen.area([(340, 700), (390, 700), (410, 880), (380, 880)], SHINE)


def _candle(pen: Pen, p: Paint) -> None:
    pen.oval((330, 40, 670, 420), (255, 220, 130, 60))
    pen.path([(500, 330), (500, 420)], 12, INK)
    pen.area(
        smooth([(500, 110), (560, 230), (540, 320), (500, 345), (460, 320), (440, 230)]),
        (255, 226, 120),
        (255, 140, 50),
    )
    pen.area(smooth([(500, 210), (526, 280), (500, 330), (474, 280)]), (255, 252, 220))
    pen.bar((260, 380, 740, 900), shade(p.main, 0.7), shade(p.main, 0.3), radius=70)
    pen.bar((290, 440, 710, 870), (255, 250, 236), shade(p.main, 0.35), radius=52)
    pen.oval((290, 400, 710, 480), (255, 252, 240), shade(p.main, 0.6))
    pen.bar((360, 560, 640, 780), CREAM, (236, 228, 212), radius=12)
    pen.bar((410, 630, 590, 644), p.dark)
    pen.bar((440, 684, 560, 694), p.accent)
    pen.bar((282, 440, 322, 850), (255, 255, 255, 110), radius=20)


def _cabinet(pen: Pen, p: Paint) -> None:
    for x in (200, 760):
        pen.area([(x, 800), (x + 44, 800), (x + 34, 900), (x + 10, 900)], (110, 72, 44))
    pen.bar((130, 240, 870, 840), p.light, p.main, radius=30)
    pen.bar((100, 210, 900, 270), shade(p.main, 0.5), p.light, radius=18)
    for row in range(3):
        top = 300 + row * 176
        pen.bar((170, top, 830, top + 152), shade(p.main, 0.18), p.dark, radius=18)
        pen.bar((430, top + 60, 570, top + 84), (246, 214, 140), (190, 146, 74), radius=12)


HOUSEHOLD: dict[str, Callable[[Pen, Paint], None]] = {
    "mug": _mug,
    "armchair": _armchair,
    "lamp": _lamp,
    "plant": _plant,
    "candle": _candle,
    "cabinet": _cabinet,
}
