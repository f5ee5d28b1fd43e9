"""Product shots of the sandbox's own drawing: a function a product, on a 1000 by 1000 canvas, standing at y = 900."""

from collections.abc import Callable

from batchedit.sandbox.household_products import HOUSEHOLD
from batchedit.sandbox.palette import CREAM, INK, SHINE, STEEL, Paint
from batchedit.sandbox.canvas import Pen, shade, smooth


def _chainsaw(pen: Pen, p: Paint) -> None:
    for step in range(15):
        x = 470 + step * 33
        pen.area([(x, 556), (x + 14, 538), (x + 26, 556)], INK)
        pen.area([(x, 680), (x + 14, 698), (x + 26, 680)], INK)
    pen.bar((380, 552, 978, 684), INK, radius=66)
    pen.bar((380, 568, 962, 668), shade(STEEL, 0.5), shade(STEEL, -0.15), radius=50)
    pen.bar((600, 608, 860, 628), shade(STEEL, -0.3), radius=10)
    pen.path([(120, 560), (60, 600), (40, 690), (90, 760), (250, 760)], 50, INK)
    pen.path([(230, 470), (250, 350), (420, 330), (480, 460)], 44, INK)
    pen.path([(520, 440), (560, 360), (575, 300)], 34, shade(INK, 0.2))
    body = [(110, 560), (190, 450), (420, 420), (540, 470), (560, 640), (500, 740), (220, 770), (110, 690)]
    pen.area(smooth(body), p.light, p.dark)
    pen.area(smooth([(150, 560), (220, 480), (420, 455), (500, 490), (300, 520)]), SHINE)
    pen.oval((400, 560, 530, 690), INK, shade(INK, 0.3))
    pen.oval((440, 600, 490, 650), shade(STEEL, 0.4), STEEL)
    for y in (590, 630, 670):
        pen.bar((190, y, 340, y + 18), shade(p.dark, -0.2), radius=9)


def _sneaker(pen: Pen, p: Paint) -> None:
    sole = [(70, 770), (120, 740), (500, 760), (900, 730), (960, 770), (930, 840), (500, 850), (110, 845)]
    pen.area(smooth([(x, y + 26) for x, y in sole]), shade(p.accent, 0.1), p.accent)
    pen.area(smooth(sole), (255, 255, 255), (222, 224, 230))
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
    pen.area(smooth(upper), p.light, p.main)
    pen.area(smooth([(90, 740), (84, 560), (150, 420), (230, 430), (220, 600), (250, 760)]), p.main, p.dark)
    pen.area(smooth([(720, 600), (840, 636), (930, 700), (900, 758), (760, 768), (700, 700)]), p.dark, p.main)
    pen.area(
        smooth([(330, 740), (470, 620), (640, 590), (560, 660), (480, 750)]), (255, 255, 255), shade(p.accent, 0.6)
    )
    pen.oval((140, 372, 320, 440), shade(p.dark, -0.4), p.dark)
    for step in range(4):
        x, y = 380 + step * 68, 470 + step * 34
        pen.path([(x - 36, y + 56), (x + 30, y - 8)], 20, (255, 255, 255))
        pen.path([(x - 36, y + 4), (x + 34, y + 46)], 14, (240, 240, 240))
    for step in range(9):
        pen.bar((150 + step * 84, 824, 190 + step * 84, 850), shade(p.accent, -0.2), radius=8)


def _backpack(pen: Pen, p: Paint) -> None:
    pen.arc((500, 200), 80, (180, 360), 36, p.dark)
    for x in (190, 740):
        pen.bar((x, 430, x + 70, 840), p.dark, shade(p.dark, -0.3), radius=34)
    pen.bar((220, 170, 780, 895), p.light, p.main, radius=200)
    pen.bar((255, 205, 745, 480), shade(p.main, 0.2), p.main, radius=150)
    pen.path([(285, 452), (500, 500), (715, 452)], 12, p.dark)
    pen.bar((280, 560, 720, 860), p.main, p.dark, radius=70)
    pen.bar((310, 600, 690, 618), shade(p.dark, -0.3), radius=9)
    pen.bar((470, 440, 530, 600), (150, 100, 60), (110, 70, 40), radius=14)
    pen.bar((480, 540, 520, 580), (240, 204, 120), radius=8)
    pen.bar((430, 690, 570, 770), p.accent, shade(p.accent, -0.2), radius=16)
    pen.bar((285, 300, 325, 520), SHINE, radius=20)


def _perfume(pen: Pen, p: Paint) -> None:
    pen.bar((400, 120, 600, 310), (60, 56, 60), (24, 22, 26), radius=24)
    pen.bar((420, 140, 450, 290), (255, 255, 255, 60), radius=14)
    pen.bar((430, 300, 570, 370), (250, 224, 160), (196, 150, 76), radius=10)
    pen.bar((230, 350, 770, 900), shade(p.main, 0.75), shade(p.main, 0.4), radius=90)
    pen.bar((270, 470, 730, 865), shade(p.main, 0.25), p.main, radius=62)
    pen.bar((270, 440, 730, 500), (255, 255, 255, 70), radius=30)
    pen.bar((370, 570, 630, 760), CREAM, (232, 224, 208), radius=10)
    pen.bar((410, 630, 590, 642), p.dark)
    pen.bar((440, 680, 560, 690), p.accent)
    pen.bar((262, 400, 310, 850), (255, 255, 255, 110), radius=24)


def _headphones(pen: Pen, p: Paint) -> None:
    pen.arc((500, 480), 340, (180, 360), 74, INK)
    pen.arc((500, 480), 330, (198, 342), 34, p.main)
    for left, inner in ((100, 210), (720, 680)):
        pen.bar((inner, 520, inner + 110, 850), (70, 72, 80), INK, radius=54)
        pen.bar((left, 470, left + 180, 880), p.light, p.dark, radius=88)
        pen.oval((left + 36, 560, left + 144, 790), shade(p.main, 0.4), p.main)
        pen.oval((left + 66, 630, left + 114, 720), shade(p.accent, 0.3), p.accent)
        pen.bar((left + 26, 540, left + 44, 760), SHINE, radius=9)


def _shirt(pen: Pen, p: Paint) -> None:
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
    pen.area(body, p.light, p.main)
    pen.area([(260, 440), (250, 890), (330, 890), (300, 500)], shade(p.main, -0.12))
    pen.area([(740, 440), (750, 890), (670, 890), (700, 500)], shade(p.main, -0.12))
    pen.area([(330, 150), (420, 130), (500, 250), (410, 320)], shade(p.main, 0.5), p.light)
    pen.area([(670, 150), (580, 130), (500, 250), (590, 320)], shade(p.main, 0.5), p.light)
    pen.area([(420, 130), (580, 130), (500, 250)], p.dark)
    pen.bar((486, 250, 514, 890), shade(p.main, -0.12))
    for y in range(330, 880, 110):
        pen.oval((488, y, 512, y + 24), (255, 255, 255))
    pen.bar((570, 420, 690, 550), shade(p.main, -0.08), p.dark, radius=14)
    for left, right in (((52, 485), (200, 545)), ((948, 485), (800, 545))):
        pen.path([left, right], 14, p.accent)


def _gift(pen: Pen, p: Paint) -> None:
    pen.bar((170, 420, 830, 900), p.main, p.dark, radius=24)
    pen.bar((130, 320, 870, 460), p.light, p.main, radius=24)
    pen.bar((440, 320, 560, 900), shade(p.accent, 0.3), p.accent)
    for side in (-1, 1):
        loop = [(500, 320), (500 + side * 90, 170), (500 + side * 240, 150), (500 + side * 230, 290)]
        pen.area(smooth(loop), shade(p.accent, 0.35), p.accent)
        hole = [(500 + side * 60, 290), (500 + side * 120, 220), (500 + side * 190, 220), (500 + side * 170, 275)]
        pen.area(smooth(hole), shade(p.accent, -0.3))
    pen.oval((450, 260, 550, 350), shade(p.accent, 0.2), shade(p.accent, -0.2))
    pen.bar((200, 490, 240, 860), SHINE, radius=20)


DRAWINGS: dict[str, Callable[[Pen, Paint], None]] = {
    "chainsaw": _chainsaw,
    "sneaker": _sneaker,
    "backpack": _backpack,
    "perfume": _perfume,
    "headphones": _headphones,
    "shirt": _shirt,
    "gift": _gift,
    **HOUSEHOLD,
}
