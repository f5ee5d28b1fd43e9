"""Names of columns: in exports of shops and catalogues, and common words in four languages.

Sources: the exporters' own documentation of their CSV columns (Shopify product CSV, WooCommerce product CSV import and
export, Magento/Adobe Commerce product attributes, BigCommerce product export, Google Merchant product data specification,
Meta catalogue feed, Amazon inventory file templates, Etsy listings download) and exports at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .nearest import normalize_name

ID_WORDS = (
    *("id", "sku", "handle", "variant sku", "product id", "item group id", "item id", "item sku", "offer id"),
    *("product code sku", "product code", "seller sku", "parent sku", "listing id", "article number", "artikelnummer"),
    *(
        "artikel nr",
        "art nr",
        "bestellnummer",
        "réf",
        "référence",
        "reference",
        "ref",
        "código",
        "referencia",
        "code article",
    ),
)
TITLE_WORDS = (
    *(
        "title",
        "name",
        "product name",
        "product title",
        "item name",
        "item title",
        "produktname",
        "titel",
        "bezeichnung",
    ),
    *(
        "artikelbezeichnung",
        "artikelname",
        "produkt",
        "nom",
        "nom du produit",
        "titre",
        "désignation",
        "nombre",
        "título",
    ),
    *("nombre del producto", "producto", "product", "artikel"),
)
TEXT_WORDS = (
    *("body (html)", "body html", "description", "product description", "short description", "summary", "beschreibung"),
    *("kurzbeschreibung", "produktbeschreibung", "descripción", "descripcion", "description courte"),
)
IMAGE_WORDS = (
    *("image", "image src", "image link", "image url", "main image", "main image url", "image source", "images"),
    *(
        "base image",
        "product image url 1",
        "product image file 1",
        "image1",
        "image 1",
        "image url 1",
        "photo1",
        "photo 1",
    ),
    *("picture", "picture url", "picture link", "product picture", "photo", "photo url", "photos", "product photo"),
    *("product image", "product images", "attachments", "img", "img url", "image file", "bild", "bild url", "bildlink"),
    *("bild link", "bilder", "produktbild", "produktfoto", "foto", "fotos", "hauptbild", "bilddatei", "abbildung"),
    *("photo du produit", "photo produit", "lien photo", "lien image", "url image", "image produit", "lien de l'image"),
    *(
        "imagen",
        "imágenes",
        "imagenes",
        "foto del producto",
        "imagen del producto",
        "url de la imagen",
        "enlace imagen",
    ),
    *("thumbnail", "variant image"),
)
PROMPT_WORDS = (
    *("prompt", "prompts", "ad prompt", "image prompt", "ai prompt", "instruction", "instructions", "anweisung"),
    *("bildanweisung", "consigne", "invite", "instrucción", "instruccion", "instrucciones", "aufgabe"),
    *("indicación", "indicaciones"),
)
OTHER_WORDS = (
    "price",
    "preis",
    "prix",
    "precio",
    "type",
    "tags",
    "vendor",
    "brand",
    "size",
    "link",
    "url",
    "note",
    "notes",
)

SIZE_WORDS = frozenset(
    (
        *(
            "size",
            "image size",
            "picture size",
            "format",
            "aspect",
            "aspect ratio",
            "ratio",
            "orientation",
            "dimensions",
        ),
        *(
            "bildformat",
            "bildgröße",
            "größe",
            "grösse",
            "groesse",
            "seitenverhältnis",
            "ausrichtung",
            "taille",
            "tamaño",
        ),
        *("formato", "orientación", "proporción"),
    )
)
"""Names of columns that may hold the size of the picture."""

is_like_image = re.compile(
    r"\b(?:images?|photos?|pictures?|pics?|attachments?|imagen|im[áa]genes|fotos?|bild(?:er)?)\b|\w(?:bild(?:er)?|fotos?)\b"
).search
"""Matches a name, normalized by ``normalize_name``, of a picture: `front photo`, `Produktbilder`, `photo principale`."""

COLUMN_WORDS = frozenset((*ID_WORDS, *TITLE_WORDS, *TEXT_WORDS, *IMAGE_WORDS, *PROMPT_WORDS, *OTHER_WORDS))
"""Names, normalized by ``normalize_name``, that headers often have."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An exporter. All of its files have the columns ``required``, and at least one of ``one_of``, if that is not empty.

    ``image`` and ``title`` are names of those columns, the likeliest first. The columns ``first_row_only`` are filled in a
    product's first row only. ``gift_column`` is true for gift cards. A value of ``variant`` in the column ``type`` means that
    the row is a product's variant. ``address`` is the path of the pictures on a shop's server, where its sheets leave it out.
    """

    name: str
    required: tuple[str, ...]
    image: tuple[str, ...]
    title: tuple[str, ...]
    first_row_only: tuple[str, ...] = ()
    gift_column: str = ""
    one_of: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    address: str = ""


_CATALOGUE = ("id", "title", "image link")

PLATFORMS = (
    Platform(
        "Shopify",
        ("handle", "image src", "title", "option1 name"),
        ("image src", "variant image"),
        ("title",),
        ("title", "body (html)", "vendor", "type", "tags", "gift card", "product category"),
        "gift card",
    ),
    Platform("WooCommerce", ("id", "type", "sku", "name", "images"), ("images",), ("name",), variant=("variation",)),
    Platform("Magento", ("sku", "base image", "name"), ("base image",), ("name",), address="/media/catalog/product"),
    Platform(
        "BigCommerce",
        ("product id", "product name", "product image file 1"),
        ("product image url 1", "product image file 1"),
        ("product name",),
    ),
    Platform("BigCommerce", ("product code/sku", "name", "images"), ("images", "image url 1"), ("name",)),
    Platform("Amazon", ("item sku", "item name", "main image url"), ("main image url",), ("item name",)),
    Platform("Airtable", ("name", "attachments"), ("attachments",), ("name",)),
    Platform("Etsy", ("title", "description", "image1"), ("image1",), ("title",)),
    Platform(
        "Meta", _CATALOGUE, ("image link",), ("title",), one_of=("fb product category", "quantity to sell on facebook")
    ),
    Platform(
        "Google Merchant",
        _CATALOGUE,
        ("image link",),
        ("title",),
        one_of=(
            "identifier exists",
            "mobile link",
            "ads redirect",
            "shipping label",
            "excluded destination",
            "multipack",
        ),
    ),
    Platform("Google Merchant or Meta", _CATALOGUE, ("image link",), ("title",)),
)


def find_platform(columns: Iterable[str]) -> Platform | None:
    """The exporter whose files have these columns; None if it is not known."""
    names = {normalize_name(column.removeprefix("g:")) for column in columns}
    return next((platform for platform in PLATFORMS if _is_of(platform, names)), None)


def _is_of(platform: Platform, names: set[str]) -> bool:
    return names.issuperset(platform.required) and (not platform.one_of or not names.isdisjoint(platform.one_of))
