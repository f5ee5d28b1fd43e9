"""How a dropped sheet is read, and what its columns are for: what a page shows of it before its rows are counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ..core.errors import BatcheditError
from ..jobs.expand import Expander
from ..jobs.prompt import split_template
from ..jobs.recipe import Recipe, find_id_column
from ..jobs.schema import is_picture
from ..manifest.cells import to_cell_text
from ..manifest.nearest import normalize_name
from ..manifest.ooxml import WorkbookMarkup
from ..manifest.read import Manifest, Row
from ..manifest.rownames import choose_row_word, to_sheet_row
from ..manifest.rows import BadRow, Linked, truncate_text
from ..planning.recipe import make_recipe
from ..run_folder import open_source
from ..runcomfy.catalogue import Model, load_model
from .draft_words import for_the_page
from .drafts import Draft

SHOWN_ROWS = 8
SHOWN_COLUMNS = 40
SAMPLES = 3
SAMPLED_ROWS = 1_000
MARKET = "market"
"""The column whose values each row is made for, where a person chooses markets; the sheet need not have it."""
_WIDEST = 160  # letters of a cell


def look(draft: Draft) -> dict[str, Any]:
    """The sheet's form, first rows and columns; under ``error`` why it can't be read as was chosen."""
    try:
        manifest = open_source(draft.source, draft.settings, draft.name)
    except BatcheditError as error:
        told = {"message": for_the_page(str(error)), "hint": for_the_page(error.hint)}
        return {"error": told, "form": None, "sheets": _sheets(draft)}
    recipe = _recipe(draft, manifest)
    model = load_model(draft.settings.model, None)
    inputs = _inputs(draft, manifest, recipe, model)
    return {
        "error": None,
        "form": _form(manifest),
        "sheets": _sheets(draft),
        "columns": list(manifest.columns),
        "markets": next((column for column in manifest.columns if normalize_name(column) == MARKET), MARKET),
        "over": [column for column in draft.settings.over if column not in manifest.columns],
        "rows": [_row(manifest, row) for row in islice(manifest.rows(), SHOWN_ROWS)],
        "notes": [for_the_page(note) for note in (*draft.notes, *manifest.notes)],
        "inputs": inputs,
        "unused": _unused(manifest, recipe, inputs),
        "guesses": len(recipe.guesses),
        "prompt": recipe.prompt,
        "problem": _problem(manifest, recipe),
        "cells": _cells(manifest),
    }


def _recipe(draft: Draft, manifest: Manifest) -> Recipe:
    return make_recipe(draft.settings, load_model(draft.settings.model, None), draft.source, manifest)


def _form(manifest: Manifest) -> dict[str, Any]:
    form = manifest.form
    return {
        "kind": form.kind.value,
        "encoding": form.encoding,
        "guessed": form.guessed,
        "delimiter": form.delimiter,
        "header_row": form.header_row,
        "sheet": form.sheet,
        "row_word": choose_row_word(form),
    }


def _sheets(draft: Draft) -> list[dict[str, Any]]:
    """A workbook's sheets, the hidden ones too."""
    try:
        return [{"title": sheet.title, "hidden": not sheet.visible} for sheet in WorkbookMarkup(draft.source).sheets]
    except (OSError, ValueError, BatcheditError):
        return []


def _row(manifest: Manifest, row: Row | BadRow) -> dict[str, Any]:
    number = to_sheet_row(manifest.form, row.number)
    if isinstance(row, BadRow):
        return {"row": number, "bad": row.reason, "cells": []}
    cells = [truncate_text(to_cell_text(row.cells.get(column)), _WIDEST) for column in manifest.columns[:SHOWN_COLUMNS]]
    return {"row": number, "bad": "", "cells": cells}


def _first_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    return (row.cells for row in islice(manifest.rows(), SAMPLED_ROWS) if isinstance(row, Row))


def _cells(manifest: Manifest) -> list[dict[str, str]]:
    """Three rows' cells, for the examples below the prompt as it is written."""
    rows = islice(_first_rows(manifest), SAMPLES)
    return [{name: to_cell_text(cells.get(name))[:2_000] for name in manifest.columns[:200]} for cells in rows]


def _inputs(draft: Draft, manifest: Manifest, recipe: Recipe, model: Model) -> list[dict[str, Any]]:
    """For each of the model's inputs where it comes from, and why."""
    rows = list(_first_rows(manifest))
    required = set(model.schema.get("required", ()))
    found = []
    for name, spec in model.schema.get("properties", {}).items():
        column = "" if name == "prompt" and recipe.prompt is not None else _column_of(name, manifest, recipe)
        found.append(
            {
                "name": name,
                "picture": is_picture(name, spec),
                "required": name in required,
                "column": column,
                "fixed": str(recipe.sets.get(name, "")),
                "default": str(spec.get("default", "")) if name not in required else "",
                "options": [str(option) for option in spec.get("enum", ())],
                "why": _why(draft, name, column, recipe),
                "samples": _samples(rows, column) if column else [],
            }
        )
    return found


def _column_of(name: str, manifest: Manifest, recipe: Recipe) -> str:
    chosen = recipe.mapping.get(name, "")
    return chosen or next((column for column in manifest.columns if normalize_name(column) == normalize_name(name)), "")


def _why(draft: Draft, name: str, column: str, recipe: Recipe) -> str:
    if not column:
        return ""
    if name in draft.choices.get("map", {}):
        return "you chose it"
    told = next((text for text in recipe.notes if text.startswith(f"{name}: ")), "")
    if told:
        return for_the_page(told.partition(", ")[2]) or "it fits"
    return "it is called so"


def _samples(rows: Sequence[dict[str, Any]], column: str) -> list[str]:
    texts = (_text(cells.get(column)) for cells in rows)
    return list(dict.fromkeys(truncate_text(text, 90) for text in texts if text.strip()))[:SAMPLES]


def _text(cell: Any) -> str:
    return cell.link if isinstance(cell, Linked) else to_cell_text(cell)


def _unused(manifest: Manifest, recipe: Recipe, inputs: Sequence[dict[str, Any]]) -> list[str]:
    """Columns that no input, prompt or name of a file comes from."""
    used = {told["column"] for told in inputs} | {find_id_column(recipe.id_column, manifest.columns)}
    named = set(re.findall(r"\{\s*([^{}]+?)\s*\}", recipe.prompt or ""))
    used |= {column for column in manifest.columns if normalize_name(column) in {normalize_name(name) for name in named}}
    return [column for column in manifest.columns if column not in used]


def _problem(manifest: Manifest, recipe: Recipe) -> dict[str, str] | None:
    """Why nothing could be bought with these columns, whatever the rows; None if all is there."""
    try:
        if recipe.prompt is not None:
            split_template(recipe.prompt, "the prompt")
        Expander(recipe, manifest.columns)
    except BatcheditError as error:
        return {"message": for_the_page(str(error)), "hint": ""}
    return None
