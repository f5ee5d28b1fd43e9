"""What a sheet's columns are for, where nobody says it: by the exporter that wrote them, by their names, by their cells.

A recognised column is told in the plan, with the reason. What is not certain, such as a prompt that nobody wrote, is a guess:
the plan shows it, and nothing is bought on it under ``--yes``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from statistics import fmean
from typing import Any

from ..core.words import pluralize
from ..manifest.cells import text_of
from ..manifest.nearest import plain
from ..manifest.platforms import IMAGE_WORDS, PROMPT_WORDS, Platform, is_like_image, platform_of
from ..manifest.rows import Linked, Manifest, Row
from .links import wrapped_links
from .prompt import split_template
from .recipe import Recipe
from .schema import is_picture

SAMPLE_ROWS = 1_000
"""Rows from the top whose cells are looked at."""

_CERTAIN = 0.8  # of the cells that are not empty: so many are pictures in a column that holds pictures
_LINK = re.compile(r"https?://\S+", re.IGNORECASE).match
_FILE = re.compile(
    r"[^<>|?*\"\r\n]{1,200}\.(?:jpe?g|png|webp|gif|avif|heic|tiff?|bmp)(?:[?#]\S*)?", re.IGNORECASE
).match
_NUMBER = re.compile(r"\W*\d[\d\s.,'’:/-]*(?:\W*[^\W\d_]{1,3})?\W*|[^\W\d_]{1,3}\W*\d[\d\s.,'’-]*\W*").fullmatch
"""A number, a price, a measure or a date: ``12,50 €``, ``CHF 8.-``, ``30 cm``."""
_PICTURE = re.compile(
    r"https?://\S+\.(?:jpe?g|png|webp|gif|avif|heic|tiff?|bmp)(?:[?#\s,;|].*)?$", re.IGNORECASE | re.DOTALL
).match


def recognise(manifest: Manifest, recipe: Recipe) -> Recipe:
    """Fill in the picture's column and the prompt where neither an option nor a column of their name says them.

    ``told`` says what was taken for what and why, ``guesses`` what is not certain, each as the option that makes it so.
    """
    properties = recipe.schema.get("properties", {})
    columns = manifest.columns
    known = {plain(column) for column in columns}
    open_fields = [
        name
        for name in recipe.schema.get("required", ())
        if name not in recipe.mapping and name not in recipe.sets and plain(name) not in known
    ]
    image = next((name for name in open_fields if is_picture(name, properties.get(name, {}))), "")
    wants_prompt = "prompt" in open_fields and recipe.prompt is None
    if not image and not wants_prompt:
        return recipe
    platform = platform_of(columns)
    if image:
        recipe = _with_image(recipe, image, manifest, platform)
    if wants_prompt:
        recipe = _with_prompt(recipe, columns, platform)
        if "prompt" not in recipe.mapping and recipe.prompt is None:
            recipe = replace(recipe, texts=_texts(manifest))
    return _with_values_down(recipe, columns)


def _with_image(recipe: Recipe, field: str, manifest: Manifest, platform: Platform | None) -> Recipe:
    rows = [row.cells for row in islice(manifest.rows(), SAMPLE_ROWS) if isinstance(row, Row)]
    by_plain = {plain(column.removeprefix("g:")): column for column in reversed(manifest.columns)}
    words = (*(platform.image if platform else ()), *IMAGE_WORDS)
    known = len(words)
    words += tuple(filter(is_like_image, reversed(by_plain)))
    for column in dict.fromkeys(by_plain[word] for word in words if word in by_plain):
        by_name = plain(column.removeprefix("g:")) in words[:known]  # a name that is only like one may hold any link
        pictures, links, filled = _count(rows, column, by_name=by_name)
        if pictures and pictures * 2 >= filled:
            recipe = _taken(recipe, field, column, _told(pictures, links, len(rows)))
            if platform:
                told = (f"{recipe.told[-1]} (an export of {platform.name})",)
                recipe = replace(recipe, platform=platform, told=told)
            alone = by_name or sum(map(bool, map(is_like_image, by_plain))) == 1
            return recipe if alone and pictures >= _CERTAIN * filled else _guessed(recipe, f"--map {field}={column!r}")
    counted = [(column, *_count(rows, column, by_name=False)) for column in manifest.columns]
    likely = [told for told in counted if told[1] and told[1] >= _CERTAIN * told[3]]
    if len(likely) != 1:
        return recipe
    column, pictures, links, _ = likely[0]
    taken = _taken(recipe, field, column, _told(pictures, links, len(rows)))
    return _guessed(taken, f"--map {field}={column!r}")


def _taken(recipe: Recipe, field: str, column: str, cells: str) -> Recipe:
    told = f"{field}: column {column!r}, {cells}"
    return replace(recipe, mapping={**recipe.mapping, field: column}, told=(*recipe.told, told))


def _told(pictures: int, links: int, rows: int) -> str:
    """``5 of 7 cells are links to pictures``: what ``pictures`` of so many cells are."""
    cells = f"{pictures:,} of {rows:,} cells" if rows > 1 else "its cell"
    what = "name pictures" if rows > 1 else "names a picture"
    if links == pictures:
        what = "are links to pictures" if rows > 1 else "is a link to a picture"
    elif links:
        what = f"{what} ({pluralize(links, 'link')}, {pluralize(pictures - links, 'file')})"
    return f"{cells} {what}"


def _guessed(recipe: Recipe, option: str) -> Recipe:
    return replace(recipe, guesses=(*recipe.guesses, option))


def _with_prompt(recipe: Recipe, columns: Sequence[str], platform: Platform | None) -> Recipe:
    by_plain = {plain(column.removeprefix("g:")): column for column in reversed(columns)}
    column = next((by_plain[word] for word in PROMPT_WORDS if word in by_plain), "")
    if column:
        told = (*recipe.told, f"prompt: column {column!r}, by its name")
        return replace(recipe, mapping={**recipe.mapping, "prompt": column}, told=told)
    title = next((by_plain[word] for word in platform.title if word in by_plain), "") if platform else ""
    if not title:
        return recipe
    template = f"make an ad for {{{title}}}"
    told = (*recipe.told, f"prompt: none is given, so {template!r} is taken; write your own with --prompt")
    return _guessed(replace(recipe, prompt=template, told=told), f"--prompt {template!r}")


def _with_values_down(recipe: Recipe, columns: Sequence[str]) -> Recipe:
    """What the prompt names and an export writes on a product's first row alone is carried down to its other pictures."""
    if recipe.platform is None or recipe.fill_down or recipe.prompt is None:
        return recipe
    _, names = split_template(recipe.prompt, "--prompt")
    down = tuple(name for name in columns if name in names and plain(name) in recipe.platform.down)
    return replace(recipe, fill_down=down)


def _count(rows: Sequence[dict[str, Any]], column: str, *, by_name: bool) -> tuple[int, int, int]:
    """How many cells of ``column`` name pictures, how many of these are links, and how many cells are not empty. A name may
    be trusted with any link.
    """
    filled = _cells(rows, column)
    is_one = (lambda cell: _LINK(cell) or _FILE(cell)) if by_name else _PICTURE
    pictures = [cell for cell in filled if is_one(cell) or wrapped_links(cell)]
    return len(pictures), sum(1 for cell in pictures if _LINK(cell) or wrapped_links(cell)), len(filled)


def _texts(manifest: Manifest) -> tuple[str, ...]:
    """Columns that may hold prompts, the one with the most words first. Most of what stands in one is text: no numbers or
    prices, no links, no files.
    """
    rows = [row.cells for row in islice(manifest.rows(), SAMPLE_ROWS) if isinstance(row, Row)]
    found = list[tuple[float, float, str]]()
    for column in manifest.columns:
        filled = _cells(rows, column)
        texts = [cell for cell in filled if not (_NUMBER(cell) or _LINK(cell) or _FILE(cell) or wrapped_links(cell))]
        if len(texts) * 2 > len(filled):
            found.append((fmean(len(text.split()) for text in texts), fmean(map(len, texts)), column))
    return tuple(column for *_, column in sorted(found, key=lambda told: (-told[0], -told[1])))


def _cells(rows: Sequence[dict[str, Any]], column: str) -> list[str]:
    """What stands in ``column``, or the link behind it, without the empty cells."""
    found = [row.get(column) for row in rows]
    cells = [(cell.link if type(cell) is Linked else text_of(cell)).strip() for cell in found]
    return [cell for cell in cells if cell]
