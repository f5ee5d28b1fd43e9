"""Check, count and price every row of a dropped sheet: the plan that the command line makes, and what a page shows.

Nothing is bought. The problems of the rows are written to a small database, so that all of them can be shown page by page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from ..core.model import InvalidLine
from ..jobs.expand import Expander
from ..ledger.sheet_problems import Finding, Findings
from ..manifest.cells import to_cell_text
from ..manifest.read import Manifest, Row
from ..manifest.rownames import choose_row_word, find_row_id, to_sheet_row
from ..planning.plan import Plan
from ..planning.recipe import make_recipe
from ..run_folder import open_source
from ..runcomfy.catalogue import load_model
from ..settings.model import Settings
from .draft_edited_sheet import apply_edits
from .draft_edits import Edits
from .draft_messages import remove_cli_hints
from .draft_sample import EvenSample, describe_sample_row
from .drafts import Draft
from .offer_and_carry_out import Unattended
from .plan import plan as make_plan


def check_draft(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """Counts, price and twenty rows; the problems are written to ``check.sqlite``. BatcheditError if no plan can be made."""
    source, settings = apply_edits(draft)
    settings = replace(settings, out=str(draft.folder / "no-run"))  # no run: what was bought is found in all other runs
    manifest = open_source(source, settings, draft.name)
    rows = _read_rows(draft, manifest, source, settings)
    host = Unattended(environ)
    plan = anyio.run(lambda: make_plan(source, settings, host, name=draft.name))
    return {
        **rows,
        "plan": _plan_as_json(plan),
        "said": [remove_cli_hints(text) for text in (*host.warnings, *host.messages)],
        "word": choose_row_word(manifest.form),
    }


def _read_rows(draft: Draft, manifest: Manifest, source: Path, settings: Settings) -> dict[str, Any]:
    """Read the rows once: write the problems, return the sample rows."""
    model = load_model(settings.model, None)
    recipe = replace(make_recipe(settings, model, source, manifest), row_shift=manifest.form.header_row)
    expander, even_sample, form = Expander(recipe, manifest.columns), EvenSample(), manifest.form
    left_out, bad_count = set(Edits.load(draft).left_out), 0
    with Findings.create(draft.folder / "check.sqlite") as findings:
        for row in manifest.rows():
            lines = expander.expand(row)
            number = to_sheet_row(form, row.number)
            if not isinstance(lines, InvalidLine):
                if isinstance(row, Row) and even_sample.accepts_next():
                    even_sample.add(describe_sample_row(recipe, number, row, lines[0], len(lines)))
                continue
            if lines.left_out:
                continue
            bad_count += 1
            row_name = find_row_id(form, row.number, lines.id)
            for problem in lines.problems:
                text = str(problem.value) if not isinstance(row, Row) else _format_cell(row, problem.column)
                reason = remove_cli_hints(problem.reason.replace(str(draft.upload), "what was dropped"))
                findings.add(Finding(number, row_name, problem.column, text, reason, left_out=number in left_out))
    sample_rows = even_sample.select()
    has_cell_text = any(marked for row in sample_rows for _, marked in row["prompt"])
    return {"sample": sample_rows, "marks": has_cell_text, "bad_rows": bad_count}


def _format_cell(row: Row, column: str) -> str:
    return to_cell_text(row.cells.get(column))


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "rows": plan.rows,
        "lines": plan.lines,
        "matrix": [list(pair) for pair in plan.matrix],
        "to_buy": plan.to_buy,
        "reused": plan.reused + plan.other_runs.not_bought_here,
        "twins": plan.twins,
        "invalid_rows": plan.invalid_rows,
        "left_out": sum(plan.left_out.values()),
        "price": plan.price,
        "price_source": plan.price_source,
        "estimate": plan.estimate,
        "balance": plan.balance,
        "notes": [remove_cli_hints(note) for note in plan.notes],
        "warnings": [remove_cli_hints(text) for text in (*plan.warnings, plan.sample.format_warning()) if text],
    }
