"""Writes the texts of an ad from the words of its prompt: headline, tag line, button. Deterministic."""

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
_MAX_PROMPT, _MAX_WORD = 600, 28  # the most characters of a prompt, and of one of its words
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
class AdCopy:
    """The texts on a picture."""

    kicker: str
    headline: str
    tagline: str
    button: str


def write_copy(prompt: str, product: str, rng: random.Random) -> AdCopy:
    """Texts from the words of `prompt`; from the product's name if there are none."""
    text = _ORDERS.sub("", _OPENING.sub("", " ".join(word[:_MAX_WORD] for word in prompt[:_MAX_PROMPT].split())))
    clauses = [
        part
        for part in (
            clause.strip(" -\u2013\u2014'\"") for clause in re.split(r"[,:;.!?|()]+|\s[-\u2013\u2014]+\s", text)
        )
        if part
    ]
    words = clauses[0].split() if clauses else [product]
    headline, overflow = " ".join(words[:5]), " ".join(words[5:])
    rest = ", ".join(filter(None, (overflow, *clauses[1:])))
    tagline = _finish_sentence(" ".join(_LEADING.sub("", rest).split()[:16])) if rest else rng.choice(_STOCK)
    return AdCopy(rng.choice(_KICKERS), _capitalize(headline), tagline, rng.choice(_BUTTONS))


def _capitalize(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split())


def _finish_sentence(text: str) -> str:
    text = text.strip(" ,")
    return text[:1].upper() + text[1:] + "." if text else text


def fold_to_letters(text: str, available: str) -> str:
    """`text` in the `available` letters of a font: accents that it lacks are dropped, other unknown letters are left out."""
    folded = []
    for letter in text:
        decomposed = unicodedata.normalize("NFKD", letter)
        folded.append(letter if letter in available else "".join(part for part in decomposed if part in available))
    return " ".join("".join(folded).split())
