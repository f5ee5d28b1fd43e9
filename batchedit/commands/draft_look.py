"""How a dropped sheet is read and what its columns are used for: shown on a page before its rows are checked."""

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
from ..manifest.rows import BadRow, truncate_text
from ..planning.recipe import make_recipe
from ..run_folder import open_source
from ..runcomfy.catalogue import Model, load_model
from .draft_edits import format_draft_cell
from .draft_messages import remove_cli_hints
from .drafts import Draft

SHOWN_ROWS = 8
SHOWN_COLUMNS = 40
SAMPLES = 3
SAMPLED_ROWS = 1_000
MARKET = "market"
"""The column whose values multiply each row, if a person chooses markets; the sheet need not have it."""
_LONGEST_CELL = 160  # letters of a cell


def inspect_sheet(draft: Draft) -> dict[str, Any]:
    """The sheet's form, first rows and columns; ``error`` says why it can't be read with the choices made."""
    try:
        manifest = open_source(draft.source, draft.settings, draft.name)
    except BatcheditError as error:
        error_as_json = {"message": remove_cli_hints(str(error)), "hint": remove_cli_hints(error.hint)}
        return {"error": error_as_json, "form": None, "sheets": _list_sheets(draft)}
    recipe = _build_recipe(draft, manifest)
    model = load_model(draft.settings.model, None)
    inputs = _describe_inputs(draft, manifest, recipe, model)
    return {
        "error": None,
        "form": _describe_form(manifest),
        "sheets": _list_sheets(draft),
        "columns": list(manifest.columns),
        "markets": next((column for column in manifest.columns if normalize_name(column) == MARKET), MARKET),
        "over": [column for column in draft.settings.over if column not in manifest.columns],
        "rows": [_format_row(manifest, row) for row in islice(manifest.rows(), SHOWN_ROWS)],
        "notes": [remove_cli_hints(note) for note in (*draft.notes, *manifest.notes)],
        "inputs": inputs,
        "unused": _list_unused_columns(manifest, recipe, inputs),
        "guesses": len(recipe.guesses),
        "prompt": recipe.prompt,
        "problem": _find_problem(manifest, recipe),
        "cells": _read_sample_cells(manifest),
    }


def _build_recipe(draft: Draft, manifest: Manifest) -> Recipe:
    return make_recipe(draft.settings, load_model(draft.settings.model, None), draft.source, manifest)


def _describe_form(manifest: Manifest) -> dict[str, Any]:
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


def _list_sheets(draft: Draft) -> list[dict[str, Any]]:
    """A workbook's sheets, the hidden ones too."""
    try:
        return [{"title": sheet.title, "hidden": not sheet.visible} for sheet in WorkbookMarkup(draft.source).sheets]
    except (OSError, ValueError, BatcheditError):
        return []


def _format_row(manifest: Manifest, row: Row | BadRow) -> dict[str, Any]:
    number = to_sheet_row(manifest.form, row.number)
    if isinstance(row, BadRow):
        return {"row": number, "bad": row.reason, "cells": []}
    cells = [
        truncate_text(to_cell_text(row.cells.get(column)), _LONGEST_CELL) for column in manifest.columns[:SHOWN_COLUMNS]
    ]
    return {"row": number, "bad": "", "cells": cells}


def _read_first_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    return (row.cells for row in islice(manifest.rows(), SAMPLED_ROWS) if isinstance(row, Row))


def _read_sample_cells(manifest: Manifest) -> list[dict[str, str]]:
    """The cells of three rows, for the examples below the prompt field."""
    rows = islice(_read_first_rows(manifest), SAMPLES)
    return [{name: to_cell_text(cells.get(name))[:2_000] for name in manifest.columns[:200]} for cells in rows]


def _describe_inputs(draft: Draft, manifest: Manifest, recipe: Recipe, model: Model) -> list[dict[str, Any]]:
    """For each input of the model its source, and why."""
    rows = list(_read_first_rows(manifest))
    required = set(model.schema.get("required", ()))
    inputs = []
    for name, spec in model.schema.get("properties", {}).items():
        column = "" if name == "prompt" and recipe.prompt is not None else _find_column(name, manifest, recipe)
        inputs.append(
            {
                "name": name,
                "picture": is_picture(name, spec),
                "required": name in required,
                "column": column,
                "fixed": str(recipe.sets.get(name, "")),
                "default": str(spec.get("default", "")) if name not in required else "",
                "options": [str(option) for option in spec.get("enum", ())],
                "why": _explain_column(draft, name, column, recipe),
                "samples": _list_samples(rows, column) if column else [],
            }
        )
    return inputs


def _find_column(name: str, manifest: Manifest, recipe: Recipe) -> str:
    chosen = recipe.mapping.get(name, "")
    return chosen or next((column for column in manifest.columns if normalize_name(column) == normalize_name(name)), "")


def _explain_column(draft: Draft, name: str, column: str, recipe: Recipe) -> str:
    if not column:
        return ""
    if name in draft.choices.get("map", {}):
        return "you chose it"
    reason = next((text for text in recipe.notes if text.startswith(f"{name}: ")), "")
    if reason:
        return remove_cli_hints(reason.partition(", ")[2]) or "it fits"
    return "it is called so"


def _list_samples(rows: Sequence[dict[str, Any]], column: str) -> list[str]:
    texts = (format_draft_cell(cells.get(column)) for cells in rows)
    return list(dict.fromkeys(truncate_text(text, 90) for text in texts if text.strip()))[:SAMPLES]


def _list_unused_columns(manifest: Manifest, recipe: Recipe, inputs: Sequence[dict[str, Any]]) -> list[str]:
    """Columns that no input, prompt or file name uses."""
    used = {input_["column"] for input_ in inputs} | {find_id_column(recipe.id_column, manifest.columns)}
    names_in_prompt = set(re.findall(r"\{\s*([^{}]+?)\s*\}", recipe.prompt or ""))
    used |= {
        column
        for column in manifest.columns
        if normalize_name(column) in {normalize_name(name) for name in names_in_prompt}
    }
    return [column for column in manifest.columns if column not in used]


def _find_problem(manifest: Manifest, recipe: Recipe) -> dict[str, str] | None:
    """Why nothing can be bought with these columns, whatever the rows; None if nothing is missing."""
    try:
        if recipe.prompt is not None:
            split_template(recipe.prompt, "the prompt")
        Expander(recipe, manifest.columns)
    except BatcheditError as error:
        return {"message": remove_cli_hints(str(error)), "hint": ""}
    return None
