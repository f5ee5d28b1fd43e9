"""Drawings of products, one function each, on a 1000 by 1000 canvas, with the bottom at y = 900."""

from collections.abc import Callable

from batchedit.sandbox.canvas import Canvas, shade, smooth
from batchedit.sandbox.household_products import HOUSEHOLD_DRAWINGS
from batchedit.sandbox.palette import CREAM, INK, SHINE, STEEL, Paint


def _draw_chainsaw(canvas: Canvas, paint: Paint) -> None:
    for step in range(15):
        x = 470 + step * 33
        canvas.fill_area([(x, 556), (x + 14, 538), (x + 26, 556)], INK)
        canvas.fill_area([(x, 680), (x + 14, 698), (x + 26, 680)], INK)
    canvas.draw_bar((380, 552, 978, 684), INK, radius=66)
    canvas.draw_bar((380, 568, 962, 668), shade(STEEL, 0.5), shade(STEEL, -0.15), radius=50)
    canvas.draw_bar((600, 608, 860, 628), shade(STEEL, -0.3), radius=10)
    canvas.draw_path([(120, 560), (60, 600), (40, 690), (90, 760), (250, 760)], 50, INK)
    canvas.draw_path([(230, 470), (250, 350), (420, 330), (480, 460)], 44, INK)
    canvas.draw_path([(520, 440), (560, 360), (575, 300)], 34, shade(INK, 0.2))
    body = [(110, 560), (190, 450), (420, 420), (540, 470), (560, 640), (500, 740), (220, 770), (110, 690)]
    canvas.fill_area(smooth(body), paint.light, paint.dark)
    canvas.fill_area(smooth([(150, 560), (220, 480), (420, 455), (500, 490), (300, 520)]), SHINE)
    canvas.draw_oval((400, 560, 530, 690), INK, shade(INK, 0.3))
    canvas.draw_oval((440, 600, 490, 650), shade(STEEL, 0.4), STEEL)
    for y in (590, 630, 670):
        canvas.draw_bar((190, y, 340, y + 18), shade(paint.dark, -0.2), radius=9)


def _draw_sneaker(canvas: Canvas, paint: Paint) -> None:
    sole = [(70, 770), (120, 740), (500, 760), (900, 730), (960, 770), (930, 840), (500, 850), (110, 845)]
    canvas.fill_area(smooth([(x, y + 26) for x, y in sole]), shade(paint.accent, 0.1), paint.accent)
    canvas.fill_area(smooth(sole), (255, 255, 255), (222, 224, 230))
    upper = [
        (90, 740),
        (80, 560),
        (150, 400),
        (300, 380),
        (380, 470),
        (620, 560),
        (830, 630),
        (930, 700),
        (900, 760),
        (480, 775),
    ]
    canvas.fill_area(smooth(upper), paint.light, paint.main)
    canvas.fill_area(
        smooth([(90, 740), (84, 560), (150, 420), (230, 430), (220, 600), (250, 760)]), paint.main, paint.dark
    )
    canvas.fill_area(
        smooth([(720, 600), (840, 636), (930, 700), (900, 758), (760, 768), (700, 700)]), paint.dark, paint.main
    )
    canvas.fill_area(
        smooth([(330, 740), (470, 620), (640, 590), (560, 660), (480, 750)]), (255, 255, 255), shade(paint.accent, 0.6)
    )
    canvas.draw_oval((140, 372, 320, 440), shade(paint.dark, -0.4), paint.dark)
    for step in range(4):
        x, y = 380 + step * 68, 470 + step * 34
        canvas.draw_path([(x - 36, y + 56), (x + 30, y - 8)], 20, (255, 255, 255))
        canvas.draw_path([(x - 36, y + 4), (x + 34, y + 46)], 14, (240, 240, 240))
    for step in range(9):
        canvas.draw_bar((150 + step * 84, 824, 190 + step * 84, 850), shade(paint.accent, -0.2), radius=8)


def _draw_backpack(canvas: Canvas, paint: Paint) -> None:
    canvas.draw_arc((500, 200), 80, (180, 360), 36, paint.dark)
    for x in (190, 740):
        canvas.draw_bar((x, 430, x + 70, 840), paint.dark, shade(paint.dark, -0.3), radius=34)
    canvas.draw_bar((220, 170, 780, 895), paint.light, paint.main, radius=200)
    canvas.draw_bar((255, 205, 745, 480), shade(paint.main, 0.2), paint.main, radius=150)
    canvas.draw_path([(285, 452), (500, 500), (715, 452)], 12, paint.dark)
    canvas.draw_bar((280, 560, 720, 860), paint.main, paint.dark, radius=70)
    canvas.draw_bar((310, 600, 690, 618), shade(paint.dark, -0.3), radius=9)
    canvas.draw_bar((470, 440, 530, 600), (150, 100, 60), (110, 70, 40), radius=14)
    canvas.draw_bar((480, 540, 520, 580), (240, 204, 120), radius=8)
    canvas.draw_bar((430, 690, 570, 770), paint.accent, shade(paint.accent, -0.2), radius=16)
    canvas.draw_bar((285, 300, 325, 520), SHINE, radius=20)


def _draw_perfume(canvas: Canvas, paint: Paint) -> None:
    canvas.draw_bar((400, 120, 600, 310), (60, 56, 60), (24, 22, 26), radius=24)
    canvas.draw_bar((420, 140, 450, 290), (255, 255, 255, 60), radius=14)
    canvas.draw_bar((430, 300, 570, 370), (250, 224, 160), (196, 150, 76), radius=10)
    canvas.draw_bar((230, 350, 770, 900), shade(paint.main, 0.75), shade(paint.main, 0.4), radius=90)
    canvas.draw_bar((270, 470, 730, 865), shade(paint.main, 0.25), paint.main, radius=62)
    canvas.draw_bar((270, 440, 730, 500), (255, 255, 255, 70), radius=30)
    canvas.draw_bar((370, 570, 630, 760), CREAM, (232, 224, 208), radius=10)
    canvas.draw_bar((410, 630, 590, 642), paint.dark)
    canvas.draw_bar((440, 680, 560, 690), paint.accent)
    canvas.draw_bar((262, 400, 310, 850), (255, 255, 255, 110), radius=24)


def _draw_headphones(canvas: Canvas, paint: Paint) -> None:
    canvas.draw_arc((500, 480), 340, (180, 360), 74, INK)
    canvas.draw_arc((500, 480), 330, (198, 342), 34, paint.main)
    for left, inner in ((100, 210), (720, 680)):
        canvas.draw_bar((inner, 520, inner + 110, 850), (70, 72, 80), INK, radius=54)
        canvas.draw_bar((left, 470, left + 180, 880), paint.light, paint.dark, radius=88)
        canvas.draw_oval((left + 36, 560, left + 144, 790), shade(paint.main, 0.4), paint.main)
        canvas.draw_oval((left + 66, 630, left + 114, 720), shade(paint.accent, 0.3), paint.accent)
        canvas.draw_bar((left + 26, 540, left + 44, 760), SHINE, radius=9)


def _draw_shirt(canvas: Canvas, paint: Paint) -> None:
    body = [
        (330, 150),
        (130, 250),
        (40, 520),
        (190, 580),
        (260, 440),
        (250, 890),
        (750, 890),
        (740, 440),
        (810, 580),
        (960, 520),
        (870, 250),
        (670, 150),
        (500, 220),
    ]
    canvas.fill_area(body, paint.light, paint.main)
    canvas.fill_area([(260, 440), (250, 890), (330, 890), (300, 500)], shade(paint.main, -0.12))
    canvas.fill_area([(740, 440), (750, 890), (670, 890), (700, 500)], shade(paint.main, -0.12))
    canvas.fill_area([(330, 150), (420, 130), (500, 250), (410, 320)], shade(paint.main, 0.5), paint.light)
    canvas.fill_area([(670, 150), (580, 130), (500, 250), (590, 320)], shade(paint.main, 0.5), paint.light)
    canvas.fill_area([(420, 130), (580, 130), (500, 250)], paint.dark)
    canvas.draw_bar((486, 250, 514, 890), shade(paint.main, -0.12))
    for y in range(330, 880, 110):
        canvas.draw_oval((488, y, 512, y + 24), (255, 255, 255))
    canvas.draw_bar((570, 420, 690, 550), shade(paint.main, -0.08), paint.dark, radius=14)
    for left, right in (((52, 485), (200, 545)), ((948, 485), (800, 545))):
        canvas.draw_path([left, right], 14, paint.accent)


def _draw_gift(canvas: Canvas, paint: Paint) -> None:
    canvas.draw_bar((170, 420, 830, 900), paint.main, paint.dark, radius=24)
    canvas.draw_bar((130, 320, 870, 460), paint.light, paint.main, radius=24)
    canvas.draw_bar((440, 320, 560, 900), shade(paint.accent, 0.3), paint.accent)
    for side in (-1, 1):
        loop = [(500, 320), (500 + side * 90, 170), (500 + side * 240, 150), (500 + side * 230, 290)]
        canvas.fill_area(smooth(loop), shade(paint.accent, 0.35), paint.accent)
        hole = [(500 + side * 60, 290), (500 + side * 120, 220), (500 + side * 190, 220), (500 + side * 170, 275)]
        canvas.fill_area(smooth(hole), shade(paint.accent, -0.3))
    canvas.draw_oval((450, 260, 550, 350), shade(paint.accent, 0.2), shade(paint.accent, -0.2))
    canvas.draw_bar((200, 490, 240, 860), SHINE, radius=20)


DRAWINGS: dict[str, Callable[[Canvas, Paint], None]] = {
    "chainsaw": _draw_chainsaw,
    "sneaker": _draw_sneaker,
    "backpack": _draw_backpack,
    "perfume": _draw_perfume,
    "headphones": _draw_headphones,
    "shirt": _draw_shirt,
    "gift": _draw_gift,
    **HOUSEHOLD_DRAWINGS,
}
