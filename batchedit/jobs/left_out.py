"""Rows that order no picture: variants and gift cards of an export, and the line of totals below a table."""

from __future__ import annotations

import re
from typing import Any

from ..manifest.blank import is_blank
from ..manifest.cells import to_cell_text
from ..manifest.nearest import normalize_name
from ..manifest.shop_column_names import Platform
from .image_cells import NO_SELECTION

_TOTAL = re.compile(
    r"(?:grand |sub)?totals?|total g[ée]n[ée]ral|sous-total|"
    r"sum|summe|gesamt(?:summe)?|zwischensumme|somme|suma",
    re.IGNORECASE,
).fullmatch
_NO = frozenset({"false", "falsch", "faux", "falso"})
_YES = frozenset({"true", "yes", "1", "wahr", "ja", "vrai", "oui"})


def explain_no_product(cells: dict[str, Any], platform: Platform, *, same_product: bool) -> str:
    """Why a row of an export has no picture. ``same_product``: the row above is of the same product."""
    by_plain = {normalize_name(column): to_cell_text(cell).strip().casefold() for column, cell in cells.items()}
    if by_plain.get(platform.gift_column) in _YES or by_plain.get("type") == "gift card":
        return "is a gift card without a picture"
    is_variant = same_product or by_plain.get("type") in platform.variant
    return "is a variant without a picture of its own" if is_variant else "is a product without a picture"


def is_no_picture(cell: Any) -> bool:
    """True if a picture's cell is empty or holds Magento's word for that."""
    text = to_cell_text(cell)
    return is_blank(text) or text.strip().casefold() == NO_SELECTION


def is_unticked(cells: dict[str, Any]) -> bool:
    """True if all that the row holds is FALSE: a column of boxes that was dragged further down than the table."""
    texts = [text for cell in cells.values() if not is_blank(text := to_cell_text(cell))]
    return bool(texts) and all(text.strip().casefold() in _NO for text in texts)


def is_total(cells: dict[str, Any]) -> bool:
    """True if the first cell that is not empty says that the row is a sum."""
    first = next((text for cell in cells.values() if not is_blank(text := to_cell_text(cell))), "")
    return _TOTAL(first.strip().rstrip(":")) is not None
