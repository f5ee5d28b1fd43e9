"""Drawings of household goods: see products.py."""

import math
from collections.abc import Callable

from batchedit.sandbox.canvas import Canvas, hsl, shade, smooth
from batchedit.sandbox.palette import CREAM, INK, SHINE, STEEL, Paint


def _draw_mug(canvas: Canvas, paint: Paint) -> None:
    for x in (330, 440, 550):
        canvas.draw_path([(x, 250), (x + 28, 205), (x - 18, 150), (x + 14, 90)], 18, (255, 255, 255, 90))
    canvas.draw_arc((690, 600), 140, (270, 450), 62, paint.main)
    canvas.draw_bar((190, 330, 690, 890), paint.light, paint.dark, radius=90)
    canvas.draw_oval((190, 290, 690, 420), shade(paint.main, 0.55), paint.light)
    canvas.draw_oval((220, 308, 660, 404), (96, 58, 36), (62, 34, 20))
    canvas.draw_oval((300, 326, 480, 366), (150, 100, 66, 150))
    canvas.draw_bar((230, 430, 285, 830), SHINE, radius=28)
    canvas.fill_area(_trace_heart(440, 620, 120), (255, 255, 255), shade(paint.accent, 0.7))


def _trace_heart(x: float, y: float, size: float) -> list[tuple[float, float]]:
    turns = [math.tau * step / 48 for step in range(48)]
    outline = [(16 * math.sin(t) ** 3, 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)) for t in turns]
    return [(x + across * size / 17, y - up * size / 17) for across, up in outline]


def _draw_armchair(canvas: Canvas, paint: Paint) -> None:
    for x, lean in ((220, -24), (760, 24)):
        canvas.draw_path([(x, 800), (x + lean, 900)], 30, (122, 82, 50))
    canvas.draw_bar((190, 190, 810, 700), paint.light, paint.main, radius=130)
    canvas.draw_bar((235, 235, 765, 660), shade(paint.main, 0.22), paint.main, radius=100)
    for x in (400, 500, 600):
        for y in (350, 450):
            canvas.draw_oval((x - 11, y - 11, x + 11, y + 11), paint.dark)
    canvas.draw_bar((190, 570, 810, 830), paint.main, paint.dark, radius=60)
    canvas.draw_bar((230, 540, 770, 690), shade(paint.main, 0.4), paint.main, radius=62)
    for x in (110, 740):
        canvas.draw_bar((x, 450, x + 150, 830), paint.light, paint.dark, radius=74)
        canvas.draw_bar((x + 26, 480, x + 54, 740), SHINE, radius=14)
    canvas.draw_bar((390, 470, 610, 640), shade(paint.accent, 0.25), paint.accent, radius=50)


def _draw_lamp(canvas: Canvas, paint: Paint) -> None:
    canvas.fill_area([(300, 420), (700, 420), (860, 900), (140, 900)], (255, 236, 170, 60))
    canvas.draw_bar((482, 400, 518, 850), shade(STEEL, 0.2), shade(STEEL, -0.4), radius=16)
    canvas.draw_oval((320, 820, 680, 900), shade(STEEL, 0.1), shade(STEEL, -0.5))
    canvas.draw_oval((340, 812, 660, 872), shade(STEEL, 0.5), shade(STEEL, -0.1))
    canvas.fill_area([(360, 120), (640, 120), (780, 440), (220, 440)], paint.light, paint.main)
    canvas.draw_oval((220, 402, 780, 478), shade(paint.main, -0.1), paint.dark)
    canvas.draw_oval((260, 412, 740, 466), (255, 244, 200), (255, 214, 120))
    canvas.draw_oval((360, 98, 640, 142), shade(paint.main, 0.5), paint.light)
    canvas.fill_area([(390, 140), (440, 140), (370, 400), (290, 400)], SHINE)
    canvas.draw_path([(640, 460), (640, 560)], 6, INK)
    canvas.draw_oval((626, 556, 654, 590), paint.accent)


def _draw_plant(canvas: Canvas, paint: Paint) -> None:
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
        canvas.fill_area(smooth(leaf), shade(greens[step % 3], 0.18), greens[step % 3])
        canvas.draw_path([(500, 640), mid, (x, y)], 7, shade(greens[step % 3], -0.25))
    canvas.fill_area([(300, 640), (700, 640), (640, 900), (360, 900)], paint.light, paint.dark)
    canvas.draw_bar((270, 590, 730, 690), shade(paint.main, 0.45), paint.main, radius=24)
    canvas.fill_area([(340, 700), (390, 700), (410, 880), (380, 880)], SHINE)


def _draw_candle(canvas: Canvas, paint: Paint) -> None:
    canvas.draw_oval((330, 40, 670, 420), (255, 220, 130, 60))
    canvas.draw_path([(500, 330), (500, 420)], 12, INK)
    canvas.fill_area(
        smooth([(500, 110), (560, 230), (540, 320), (500, 345), (460, 320), (440, 230)]),
        (255, 226, 120),
        (255, 140, 50),
    )
    canvas.fill_area(smooth([(500, 210), (526, 280), (500, 330), (474, 280)]), (255, 252, 220))
    canvas.draw_bar((260, 380, 740, 900), shade(paint.main, 0.7), shade(paint.main, 0.3), radius=70)
    canvas.draw_bar((290, 440, 710, 870), (255, 250, 236), shade(paint.main, 0.35), radius=52)
    canvas.draw_oval((290, 400, 710, 480), (255, 252, 240), shade(paint.main, 0.6))
    canvas.draw_bar((360, 560, 640, 780), CREAM, (236, 228, 212), radius=12)
    canvas.draw_bar((410, 630, 590, 644), paint.dark)
    canvas.draw_bar((440, 684, 560, 694), paint.accent)
    canvas.draw_bar((282, 440, 322, 850), (255, 255, 255, 110), radius=20)


def _draw_cabinet(canvas: Canvas, paint: Paint) -> None:
    for x in (200, 760):
        canvas.fill_area([(x, 800), (x + 44, 800), (x + 34, 900), (x + 10, 900)], (110, 72, 44))
    canvas.draw_bar((130, 240, 870, 840), paint.light, paint.main, radius=30)
    canvas.draw_bar((100, 210, 900, 270), shade(paint.main, 0.5), paint.light, radius=18)
    for row in range(3):
        top = 300 + row * 176
        canvas.draw_bar((170, top, 830, top + 152), shade(paint.main, 0.18), paint.dark, radius=18)
        canvas.draw_bar((430, top + 60, 570, top + 84), (246, 214, 140), (190, 146, 74), radius=12)


HOUSEHOLD_DRAWINGS: dict[str, Callable[[Canvas, Paint], None]] = {
    "mug": _draw_mug,
    "armchair": _draw_armchair,
    "lamp": _draw_lamp,
    "plant": _draw_plant,
    "candle": _draw_candle,
    "cabinet": _draw_cabinet,
}
