"""Which columns of a feed are which part of a product, and which are kept beside it because a prompt may name them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..jobs.recipe import SIZE_FIELDS
from ..manifest.nearest import normalize_name
from ..manifest.platforms import ID_WORDS, IMAGE_WORDS, PROMPT_WORDS, TEXT_WORDS, TITLE_WORDS

OWN = ("sku", "image", "prompt")
"""The columns that every new manifest begins with."""

_PARTS = {
    "id": ("handle", *ID_WORDS),
    "title": (*TITLE_WORDS, "productname"),
    "text": TEXT_WORDS,
    "image": ("image src", "image link", *IMAGE_WORDS, "imgurl"),
    "prompt": PROMPT_WORDS,
}
"""A product's parts, and the columns that they stand in, the likeliest first."""

PARTS = tuple(_PARTS)

_PRICES = (
    *(
        "price",
        "price vat",
        "sale price",
        "regular price",
        "variant price",
        "variant compare at price",
        "compare at price",
        "msrp",
    ),
    *(
        "msrp",
        "list price",
        "standard price",
        "your price",
        "retail price",
        "currency",
        "currency code",
        "preis",
        "währung",
    ),
    *("verkaufspreis", "prix", "prix de vente", "devise", "precio", "precio de venta", "moneda"),
)
_MAKERS = (
    *("vendor", "brand", "brand name", "manufacturer", "marke", "hersteller", "lieferant", "marque", "fabricant"),
    *("marca", "fabricante"),
)
_KINDS = (
    *("type", "product type", "product category", "category", "categories", "google product category", "tags"),
    *("collection", "kategorie", "catégorie", "categoría", "condition", "gender", "age group", "target gender"),
)
_OPTIONS = (
    *("color", "colour", "color name", "farbe", "couleur", "size", "size name", "größe", "groesse", "taille", "talla"),
    *("material", "material type", "materials", "matière", "pattern", "style", "scent", "flavor", "flavour"),
)
_KEPT = frozenset((*TITLE_WORDS, *_PRICES, *_MAKERS, *_KINDS, *_OPTIONS))
_IS_OPTION = re.compile(r"option ?\d (?:name|value)|attribute \d (?:name|value(?:\(s\))?)").fullmatch


def parts_of(names: Iterable[str]) -> dict[str, str]:
    """A product's part → the column that it stands in."""
    by_plain = {_plain(name): name for name in reversed(list(names))}
    found = {part: next((by_plain[word] for word in words if word in by_plain), "") for part, words in _PARTS.items()}
    return {part: name for part, name in found.items() if name}


def kept_columns(names: Iterable[str]) -> dict[str, str]:
    """Columns that prompts may want (title, price, vendor, options, …) → their name in the new manifest.

    One that is called like an input of a model, such as ``size``, would be taken for it there: it is ``product size``.
    """
    found = {name: name.removeprefix("g:").strip() for name in names if _is_kept(_plain(name))}
    return {name: f"product {to}" if normalize_name(to) in _TAKEN else to for name, to in found.items()}


_TAKEN = frozenset(map(normalize_name, (*OWN, *SIZE_FIELDS, "style")))


def _is_kept(word: str) -> bool:
    return word in _KEPT or _IS_OPTION(word) is not None


def _plain(name: str) -> str:
    return normalize_name(name.removeprefix("g:"))
