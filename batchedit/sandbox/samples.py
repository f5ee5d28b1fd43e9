"""Chooses a product for a name and draws its cut-out and the studio shot of `/samples`. Same name, same picture."""

import io
import random
import re
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter

from batchedit.sandbox.canvas import Canvas, hsl
from batchedit.sandbox.palette import mix_paint
from batchedit.sandbox.products import DRAWINGS

CUTOUT = 640  # pixels; drawn at 1.5 times this size and scaled down, for smooth edges
_WORDS = {
    "chainsaw": "chainsaw saw drill tool trowel mower",
    "sneaker": "sneaker sneakers shoe shoes trainer trainers boot boots sandal heel footwear",
    "mug": "mug cup coffee tea espresso kettle watering",
    "armchair": "armchair chair sofa couch seat beanbag pillow pillows bed bedding cushion",
    "lamp": "lamp light lighting lantern bulb",
    "backpack": "backpack bag bags rucksack tote purse suitcase luggage wallet satchel",
    "perfume": "perfume bottle fragrance serum lotion cosmetics wine oil soap shampoo cream",
    "headphones": "headphones headphone earbuds headset audio speaker music",
    "shirt": "shirt tshirt tee top jacket dress sweater hoodie blouse coat varsity silk vest jeans fashion apparel",
    "plant": "plant plants pot pots flower flowers garden succulent cactus vase tree",
    "candle": "candle candles wax jar honey jam",
    "cabinet": "cabinet drawers drawer table desk shelf bedside wooden furniture fence slats",
    "gift": "gift box present parcel",
}
# Hue in turns, saturation, and tone from pale (0) to deep (1).
_COLOURS = {
    "red": (0.0, 0.7, 0.7),
    "orange": (0.07, 0.85, 0.5),
    "brown": (0.07, 0.4, 0.9),
    "copper": (0.06, 0.5, 0.6),
    "yellow": (0.135, 0.85, 0.4),
    "green": (0.37, 0.45, 0.7),
    "teal": (0.49, 0.55, 0.7),
    "blue": (0.59, 0.62, 0.6),
    "navy": (0.62, 0.6, 1.0),
    "purple": (0.76, 0.5, 0.6),
    "pink": (0.93, 0.75, 0.0),
    "cream": (0.11, 0.45, -0.9),
    "white": (0.1, 0.1, -1.4),
    "grey": (0.6, 0.05, 0.3),
    "black": (0.62, 0.12, 2.0),
}
_KIND_OF = {word: kind for kind, words in _WORDS.items() for word in words.split()}


def choose_product(*texts: str) -> str:
    """The product of the first known word; else a random one, seeded by the first text."""
    for text in texts:
        for word in re.findall(r"[a-z]+", text.lower()):
            if word in _KIND_OF or word.removesuffix("s") in _KIND_OF:
                return _KIND_OF.get(word) or _KIND_OF[word.removesuffix("s")]
    return random.Random(texts[0]).choice(sorted(DRAWINGS))


def find_colour(*texts: str) -> str:
    """The first colour in the texts, or ``""``."""
    words = re.findall(r"[a-z]+", " ".join(texts).lower())
    return next((word for word in words if word in _COLOURS), "")


@lru_cache(maxsize=64)
def draw_cutout(kind: str, name: str, colour: str) -> Image.Image:
    """The product on a transparent ground, trimmed; in ``colour``, else in a random colour seeded by the name."""
    rng = random.Random(f"paint:{name}")
    hue, saturation, tone = _COLOURS.get(colour, (0.06 if name == "chainsaw" else rng.random(), 0.62, rng.random()))
    canvas = Canvas(CUTOUT * 3 // 2)
    DRAWINGS[kind](canvas, mix_paint(hue, saturation, tone))
    whole = canvas.image.resize((CUTOUT, CUTOUT), Image.Resampling.LANCZOS)
    return whole.crop(whole.getbbox())


@lru_cache(maxsize=64)
def draw_sample_shot(name: str, kind: str) -> bytes:
    """A studio shot of 800 by 800 pixels: the product on a pale ground, with its shadow."""
    hue = random.Random(f"ground:{name}").random()
    ground = Image.new("RGB", (800, 800), hsl(hue, 0.25, 0.97))
    ground.paste(hsl(hue, 0.22, 0.86), (0, 0, 800, 800), Image.linear_gradient("L").resize((800, 800)))
    shadow = Image.new("L", (400, 400))
    ImageDraw.Draw(shadow).ellipse((70, 322, 330, 352), fill=120)
    shadow = shadow.filter(ImageFilter.GaussianBlur(9)).resize((800, 800))
    ground.paste(hsl(hue, 0.3, 0.25), (0, 0, 800, 800), shadow)
    product = draw_cutout(choose_product(name), name, find_colour(name))
    ground.paste(product, ((800 - product.width) // 2, 672 - product.height), product)
    out = io.BytesIO()
    ground.save(
        out, "PNG" if kind == "png" else "JPEG", **({"compress_level": 3} if kind == "png" else {"quality": 88})
    )
    return out.getvalue()
