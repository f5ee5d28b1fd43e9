"""Every row of a dropped sheet checked, counted and priced: the plan that the command line makes, and what a page shows.

Nothing is sent that buys. What is wrong with the rows goes into a small database, so that all of it can be reached in pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from ..core.model import InvalidLine
from ..jobs.expand import Expander
from ..ledger.findings import Finding, Findings
from ..manifest.cells import to_cell_text
from ..manifest.read import Manifest, Row
from ..manifest.rownames import find_row_id, choose_row_word, to_sheet_row
from ..planning.plan import Plan
from ..planning.recipe import make_recipe
from ..run_folder import open_source
from ..runcomfy.catalogue import load_model
from ..settings.model import Settings
from .carry import Unattended
from .draft_edits import Edits
from .draft_mended import mended
from .draft_sample import Spread, sample
from .draft_words import for_the_page
from .drafts import Draft
from .plan import plan as make_plan


def check(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """Counts, price and twenty rows; the problems go to ``check.sqlite``. A BatcheditError says why it can't be planned."""
    source, settings = mended(draft)
    settings = replace(settings, out=str(draft.folder / "no-run"))  # what was bought is found in every run
    manifest = open_source(source, settings, draft.name)
    found = _read(draft, manifest, source, settings)
    host = Unattended(environ)
    what = anyio.run(lambda: make_plan(source, settings, host, name=draft.name))
    return {
        **found,
        "plan": _plan(what),
        "said": [for_the_page(text) for text in (*host.warnings, *host.messages)],
        "word": choose_row_word(manifest.form),
    }


def _read(draft: Draft, manifest: Manifest, source: Path, settings: Settings) -> dict[str, Any]:
    """One pass over the rows: what is wrong, and which rows are shown."""
    model = load_model(settings.model, None)
    recipe = replace(make_recipe(settings, model, source, manifest), row_shift=manifest.form.header_row)
    expander, spread, form = Expander(recipe, manifest.columns), Spread(), manifest.form
    left, bad = set(Edits.of(draft).left_out), 0
    with Findings.create(draft.folder / "check.sqlite") as findings:
        for row in manifest.rows():
            lines = expander.expand(row)
            number = to_sheet_row(form, row.number)
            if not isinstance(lines, InvalidLine):
                if isinstance(row, Row) and spread.wants():
                    spread.add(sample(recipe, number, row, lines[0], len(lines)))
                continue
            if lines.left_out:
                continue
            bad += 1
            id_ = find_row_id(form, row.number, lines.id)
            for problem in lines.problems:
                text = str(problem.value) if not isinstance(row, Row) else _cell(row, problem.column)
                reason = for_the_page(problem.reason.replace(str(draft.upload), "what was dropped"))
                findings.add(Finding(number, id_, problem.column, text, reason, left_out=number in left))
    shown = spread.chosen()
    marks = any(marked for row in shown for _, marked in row["prompt"])
    return {"sample": shown, "marks": marks, "bad_rows": bad}


def _cell(row: Row, column: str) -> str:
    return to_cell_text(row.cells.get(column))


def _plan(what: Plan) -> dict[str, Any]:
    return {
        "rows": what.rows,
        "lines": what.lines,
        "matrix": [list(pair) for pair in what.matrix],
        "to_buy": what.to_buy,
        "reused": what.reused + what.other_runs.not_bought_here,
        "twins": what.twins,
        "invalid_rows": what.invalid_rows,
        "left_out": sum(what.left_out.values()),
        "price": what.price,
        "price_source": what.price_source,
        "estimate": what.estimate,
        "balance": what.balance,
        "notes": [for_the_page(note) for note in what.notes],
        "warnings": [for_the_page(text) for text in (*what.warnings, what.sample.format_warning()) if text],
    }
