"""The words of an ad, made of the prompt's own: headline, tag line, button. Deterministic."""

import random
import re
import unicodedata
from dataclasses import dataclass

_OPENING = re.compile(
    r"^\s*(please\s+)?((make|create|design|generate|produce|turn)\s+)?((me|us)\s+)?((an?|the)\s+)?"
    r"(\w+\s+){0,2}?(ads?|advert\w*|poster|banner|picture|image|creative)\s+(for|of|with)\s+(((this|the|an?|our|my)\s+))?",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"\b(and\s+)?(add|include|with)\s+(an?\s+|the\s+)?(tag\s?line|slogan|headline|text)\b[^.,;:]*", re.IGNORECASE
)
_LEADING = re.compile(r"^(of|for|with|and|in|on|showing|shows|that|which)\s+", re.IGNORECASE)
_READ, _LONGEST = 600, 28  # characters of a prompt that are read, and of a word that are set
_STOCK = (
    "Made for the way you live.",
    "Small detail. Big difference.",
    "The one you will reach for.",
    "Good things, done properly.",
    "Everyday, only better.",
)
_BUTTONS = ("Shop now", "Discover more", "Get yours", "See the range", "Order today")
_KICKERS = ("New season", "Editor's pick", "Limited edition", "Just arrived", "Best seller", "The collection")


@dataclass(frozen=True, slots=True)
class Copy:
    """What stands on the picture."""

    kicker: str
    headline: str
    tagline: str
    button: str


def write_copy(prompt: str, product: str, rng: random.Random) -> Copy:
    """Words of `prompt` where it has any that can be set in type; else the product's name."""
    text = _ORDERS.sub("", _OPENING.sub("", " ".join(word[:_LONGEST] for word in prompt[:_READ].split())))
    clauses = [
        part
        for part in (
            clause.strip(" -\u2013\u2014'\"") for clause in re.split(r"[,:;.!?|()]+|\s[-\u2013\u2014]+\s", text)
        )
        if part
    ]
    words = clauses[0].split() if clauses else [product]
    headline, over = " ".join(words[:5]), " ".join(words[5:])
    rest = ", ".join(filter(None, (over, *clauses[1:])))
    tagline = _sentence(" ".join(_LEADING.sub("", rest).split()[:16])) if rest else rng.choice(_STOCK)
    return Copy(rng.choice(_KICKERS), _capital(headline), tagline, rng.choice(_BUTTONS))


def _capital(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split())


def _sentence(text: str) -> str:
    text = text.strip(" ,")
    return text[:1].upper() + text[1:] + "." if text else text


def folded(text: str, known: str) -> str:
    """The text in the letters that a font has: accents are dropped where need be, what is left unknown is left out."""
    letters = []
    for letter in text:
        plain = unicodedata.normalize("NFKD", letter)
        letters.append(letter if letter in known else "".join(part for part in plain if part in known))
    return " ".join("".join(letters).split())
