"""Recognises the purpose of a sheet's columns: by the exporter that wrote them, by their names, by their cells.

The plan lists each recognised column with the reason. What is uncertain, such as a prompt that is not given, is a guess: the
plan shows it, and with ``--yes`` nothing is bought on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from statistics import fmean
from typing import Any

from ..core.plurals_and_durations import pluralize
from ..manifest.cells import to_cell_text
from ..manifest.nearest import normalize_name
from ..manifest.rows import Linked, Manifest, Row
from ..manifest.shop_column_names import IMAGE_WORDS, PROMPT_WORDS, Platform, find_platform, is_like_image
from .links import find_wrapped_links
from .prompt import split_template
from .recipe import Recipe
from .schema import is_picture

SAMPLE_ROWS = 1_000
"""Rows from the top whose cells are read."""

_CERTAIN_SHARE = 0.8  # of the cells that are not empty: the least share of pictures in a column of pictures
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
    """Fill in the picture's column and the prompt if neither an option nor a column of that name gives them.

    ``notes`` says which column is taken for which input and why. ``guesses`` lists what is uncertain, each as the option that
    would confirm it.
    """
    properties = recipe.schema.get("properties", {})
    columns = manifest.columns
    names = {normalize_name(column) for column in columns}
    open_fields = [
        name
        for name in recipe.schema.get("required", ())
        if name not in recipe.mapping and name not in recipe.sets and normalize_name(name) not in names
    ]
    image = next((name for name in open_fields if is_picture(name, properties.get(name, {}))), "")
    wants_prompt = "prompt" in open_fields and recipe.prompt is None
    if not image and not wants_prompt:
        return recipe
    platform = find_platform(columns)
    if image:
        recipe = _map_image(recipe, image, manifest, platform)
    if wants_prompt:
        recipe = _map_prompt(recipe, columns, platform)
        if "prompt" not in recipe.mapping and recipe.prompt is None:
            recipe = replace(recipe, texts=_find_text_columns(manifest))
    return _add_fill_down(recipe, columns)


def _map_image(recipe: Recipe, field: str, manifest: Manifest, platform: Platform | None) -> Recipe:
    rows = [row.cells for row in islice(manifest.rows(), SAMPLE_ROWS) if isinstance(row, Row)]
    by_plain = {normalize_name(column.removeprefix("g:")): column for column in reversed(manifest.columns)}
    words = (*(platform.image if platform else ()), *IMAGE_WORDS)
    exact = len(words)
    words += tuple(filter(is_like_image, reversed(by_plain)))
    for column in dict.fromkeys(by_plain[word] for word in words if word in by_plain):
        by_name = (
            normalize_name(column.removeprefix("g:")) in words[:exact]
        )  # a column with a similar name may hold any link
        pictures, links, filled = _count_pictures(rows, column, by_name=by_name)
        if pictures and pictures * 2 >= filled:
            recipe = _add_mapping(recipe, field, column, _describe_cells(pictures, links, len(rows)))
            if platform:
                notes = (f"{recipe.notes[-1]} (an export of {platform.name})",)
                recipe = replace(recipe, platform=platform, notes=notes)
            alone = by_name or sum(map(bool, map(is_like_image, by_plain))) == 1
            return (
                recipe
                if alone and pictures >= _CERTAIN_SHARE * filled
                else _add_guess(recipe, f"--map {field}={column!r}")
            )
    counts = [(column, *_count_pictures(rows, column, by_name=False)) for column in manifest.columns]
    candidates = [count for count in counts if count[1] and count[1] >= _CERTAIN_SHARE * count[3]]
    if len(candidates) != 1:
        return recipe
    column, pictures, links, _ = candidates[0]
    mapped = _add_mapping(recipe, field, column, _describe_cells(pictures, links, len(rows)))
    return _add_guess(mapped, f"--map {field}={column!r}")


def _add_mapping(recipe: Recipe, field: str, column: str, cells: str) -> Recipe:
    note = f"{field}: column {column!r}, {cells}"
    return replace(recipe, mapping={**recipe.mapping, field: column}, notes=(*recipe.notes, note))


def _describe_cells(pictures: int, links: int, rows: int) -> str:
    """``5 of 7 cells are links to pictures``."""
    cells = f"{pictures:,} of {rows:,} cells" if rows > 1 else "its cell"
    predicate = "name pictures" if rows > 1 else "names a picture"
    if links == pictures:
        predicate = "are links to pictures" if rows > 1 else "is a link to a picture"
    elif links:
        predicate = f"{predicate} ({pluralize(links, 'link')}, {pluralize(pictures - links, 'file')})"
    return f"{cells} {predicate}"


def _add_guess(recipe: Recipe, option: str) -> Recipe:
    return replace(recipe, guesses=(*recipe.guesses, option))


def _map_prompt(recipe: Recipe, columns: Sequence[str], platform: Platform | None) -> Recipe:
    by_plain = {normalize_name(column.removeprefix("g:")): column for column in reversed(columns)}
    column = next((by_plain[word] for word in PROMPT_WORDS if word in by_plain), "")
    if column:
        notes = (*recipe.notes, f"prompt: column {column!r}, by its name")
        return replace(recipe, mapping={**recipe.mapping, "prompt": column}, notes=notes)
    title = next((by_plain[word] for word in platform.title if word in by_plain), "") if platform else ""
    if not title:
        return recipe
    template = f"make an ad for {{{title}}}"
    notes = (*recipe.notes, f"prompt: none is given, so {template!r} is taken; write your own with --prompt")
    return _add_guess(replace(recipe, prompt=template, notes=notes), f"--prompt {template!r}")


def _add_fill_down(recipe: Recipe, columns: Sequence[str]) -> Recipe:
    """Carry down to a product's other rows the columns that the prompt names and an export fills on its first row alone."""
    if recipe.platform is None or recipe.fill_down or recipe.prompt is None:
        return recipe
    _, names = split_template(recipe.prompt, "--prompt")
    down = tuple(name for name in columns if name in names and normalize_name(name) in recipe.platform.first_row_only)
    return replace(recipe, fill_down=down)


def _count_pictures(rows: Sequence[dict[str, Any]], column: str, *, by_name: bool) -> tuple[int, int, int]:
    """How many cells of ``column`` name pictures, how many of these are links, and how many cells are not empty. ``by_name``:
    the column's name is trusted, so any link counts.
    """
    filled = _read_cells(rows, column)
    is_picture_cell = (lambda cell: _LINK(cell) or _FILE(cell)) if by_name else _PICTURE
    pictures = [cell for cell in filled if is_picture_cell(cell) or find_wrapped_links(cell)]
    return len(pictures), sum(1 for cell in pictures if _LINK(cell) or find_wrapped_links(cell)), len(filled)


def _find_text_columns(manifest: Manifest) -> tuple[str, ...]:
    """Columns that may hold prompts, the one with the most words first. Most of their cells are text: no numbers or prices,
    no links, no files.
    """
    rows = [row.cells for row in islice(manifest.rows(), SAMPLE_ROWS) if isinstance(row, Row)]
    ranked = list[tuple[float, float, str]]()
    for column in manifest.columns:
        filled = _read_cells(rows, column)
        texts = [
            cell for cell in filled if not (_NUMBER(cell) or _LINK(cell) or _FILE(cell) or find_wrapped_links(cell))
        ]
        if len(texts) * 2 > len(filled):
            ranked.append((fmean(len(text.split()) for text in texts), fmean(map(len, texts)), column))
    return tuple(column for *_, column in sorted(ranked, key=lambda entry: (-entry[0], -entry[1])))


def _read_cells(rows: Sequence[dict[str, Any]], column: str) -> list[str]:
    """The cells of ``column``, or the links of linked cells, without the empty ones."""
    values = [row.get(column) for row in rows]
    cells = [(cell.link if type(cell) is Linked else to_cell_text(cell)).strip() for cell in values]
    return [cell for cell in cells if cell]
