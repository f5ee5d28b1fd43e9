"""Finds the columns of a feed with the parts of a product, and further columns that a prompt may name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..jobs.recipe import SIZE_FIELDS
from ..manifest.nearest import normalize_name
from ..manifest.shop_column_names import ID_WORDS, IMAGE_WORDS, PROMPT_WORDS, TEXT_WORDS, TITLE_WORDS

NEW_MANIFEST_COLUMNS = ("sku", "image", "prompt")
"""The first columns of every new manifest."""

_PARTS = {
    "id": ("handle", *ID_WORDS),
    "title": (*TITLE_WORDS, "productname"),
    "text": TEXT_WORDS,
    "image": ("image src", "image link", *IMAGE_WORDS, "imgurl"),
    "prompt": PROMPT_WORDS,
}
"""A product's part → names of its column, the likeliest first."""

PRODUCT_PARTS = tuple(_PARTS)

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
_EXTRA_NAMES = frozenset((*TITLE_WORDS, *_PRICES, *_MAKERS, *_KINDS, *_OPTIONS))
_IS_OPTION = re.compile(r"option ?\d (?:name|value)|attribute \d (?:name|value(?:\(s\))?)").fullmatch


def find_parts(names: Iterable[str]) -> dict[str, str]:
    """A product's part → its column, without parts that have none."""
    by_normalized = {_normalize_feed_name(name): name for name in reversed(list(names))}
    parts = {
        part: next((by_normalized[word] for word in words if word in by_normalized), "")
        for part, words in _PARTS.items()
    }
    return {part: name for part, name in parts.items() if name}


def find_extra_columns(names: Iterable[str]) -> dict[str, str]:
    """Columns that prompts may use (title, price, vendor, options, …) → their name in the new manifest.

    A column with the name of a model's input, such as ``size``, becomes ``product size``, so that it is not taken for the
    input.
    """
    extras = {name: name.removeprefix("g:").strip() for name in names if _is_extra(_normalize_feed_name(name))}
    return {
        name: f"product {new_name}" if normalize_name(new_name) in _RESERVED_NAMES else new_name
        for name, new_name in extras.items()
    }


_RESERVED_NAMES = frozenset(map(normalize_name, (*NEW_MANIFEST_COLUMNS, *SIZE_FIELDS, "style")))


def _is_extra(word: str) -> bool:
    return word in _EXTRA_NAMES or _IS_OPTION(word) is not None


def _normalize_feed_name(name: str) -> str:
    return normalize_name(name.removeprefix("g:"))
