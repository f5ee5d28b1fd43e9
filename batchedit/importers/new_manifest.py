"""Writes a new manifest: sku, image and prompt from products (``init``), or an empty sheet with notes (``template``)."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from ..core.errors import OutputError, UsageError
from ..core.steps import Steps, no_steps, report_progress
from ..disk import SHARED_MODE, replace_atomically
from ..jobs.html_text import to_text
from ..jobs.picture_rules import read_rules
from ..jobs.prompt import Prompt
from ..jobs.recipe import SIZE_FIELDS
from ..jobs.schema import is_picture
from .feeds import Product
from .product_parts import NEW_MANIFEST_COLUMNS

PROMPT_FIELDS = ("sku", "title", "description")
"""The names that ``init --prompt`` may use, beside the extra columns."""

_MAX_DESCRIPTION = 600  # characters of a feed's description: enough for an ad, not the whole shop page


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A new manifest that was written: its number of rows and its columns."""

    rows: int
    columns: tuple[str, ...]


def write_manifest(
    products: Iterable[Product], path: Path, *, template: str | None, force: bool, steps: Steps = no_steps
) -> NewManifest:
    """Write ``path``, with the columns of the sources that are not empty. UsageError if it exists and ``force`` is not given,
    and for a ``template`` with a name that no source has.
    """
    check_target(path, {".csv"}, force=force)
    extras: dict[str, None] = {}
    is_ascii = True
    try:
        with (
            TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="") as buffer,
            steps("reading products") as on_progress,
        ):
            rows = csv.writer(buffer)
            for product in report_progress(products, on_progress):
                extras.update(dict.fromkeys(name for name, value in product.extras.items() if value))
                parts = (product.sku, product.title, product.text, product.image, product.prompt)
                rows.writerow((*parts, *(product.extras.get(name, "") for name in extras)))
                is_ascii = is_ascii and all(map(str.isascii, (*parts, *product.extras.values())))
            buffer.seek(0)
            lines = _build_rows(csv.reader(buffer), tuple(extras), template)
            count = _write_csv(
                path, (*NEW_MANIFEST_COLUMNS, *extras), lines, encoding="utf-8" if is_ascii else "utf-8-sig"
            )
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return NewManifest(count, (*NEW_MANIFEST_COLUMNS, *extras))


def _build_rows(products: Iterable[list[str]], extras: tuple[str, ...], template: str | None) -> Iterator[list[str]]:
    """Yield the rows of the manifest. A product's row is shorter if a later product was the first with a column."""
    prompt_columns = tuple(name for name in extras if name.casefold() not in PROMPT_FIELDS)
    prompt = Prompt(template, (*PROMPT_FIELDS, *prompt_columns)) if template is not None else None
    sku_counts: Counter[str] = Counter()
    for sku, title, text, image, own_prompt, *extra_values in products:
        cells = dict(zip_longest(extras, extra_values, fillvalue=""))
        yield [
            _make_unique_sku(sku, sku_counts),
            _format_picture(image),
            _render_prompt({**cells, **_build_prompt_cells(sku, title, text)}, prompt, own_prompt),
            *cells.values(),
        ]


def _write_csv(path: Path, columns: Sequence[str], lines: Iterable[list[str]], *, encoding: str) -> int:
    """Write ``columns`` and ``lines``; returns the number of lines. Excel detects UTF-8 only by a byte order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replace_atomically(path, SHARED_MODE) as part, part.open("w", encoding=encoding, newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for line in lines:
            table.writerow(line)
            count += 1
    return count


def check_target(path: Path, suffixes: set[str], *, force: bool) -> None:
    """UsageError for a file that exists, unless ``force``, or for another suffix."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} is not {' or '.join(sorted(suffixes))}", hint="give another name with --to")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", hint="another name with --to FILE, or --force to write over it")


def _make_unique_sku(text: str, sku_counts: Counter[str]) -> str:
    """A unique name that a spreadsheet reads as text."""
    sku = " ".join(text.split()).lstrip("=+-@ ") or "row"
    sku_counts[sku] += 1
    while sku_counts[sku] > 1:
        sku = f"{sku}-{sku_counts[sku]}"
        sku_counts[sku] += 1
    return sku


def _format_picture(image: str) -> str:
    """A cell that is read as this single picture, and never as a formula."""
    if image[:1] in "=+-@":
        image = f"./{image}"
    return json.dumps([image]) if image.startswith("[") or re.search(r"\s\|\s|[\r\n]", image) else image


def _build_prompt_cells(sku: str, title: str, text: str) -> dict[str, str]:
    """The values of ``PROMPT_FIELDS`` of a product, as text without HTML."""
    text = " ".join(to_text(text).split())
    if len(text) > _MAX_DESCRIPTION:
        text = text[:_MAX_DESCRIPTION].rsplit(" ", 1)[0] + " …"
    return {"sku": sku, "title": " ".join(to_text(title).split()) or sku, "description": text}


def _render_prompt(cells: Mapping[str, str], prompt: Prompt | None, own_prompt: str) -> str:
    if prompt is not None:
        return prompt.render(dict(cells))
    if own_prompt:
        return own_prompt
    title, text = cells["title"], cells["description"]
    return f"make an ad for {title}: {text}" if text else f"make an ad for {title}"


# --- the empty sheet ------------------------------------------------------------------------------


def explain_columns(schema: Mapping[str, Any]) -> dict[str, str]:
    """The columns of an empty manifest for a model, each with an explanation."""
    required = set(schema.get("required", ()))
    explanations = {"sku": "Names the row and its files: your article number. Any text; 007 stays 007."}
    for name, spec in schema["properties"].items():
        explanation = _EXPLANATIONS.get(name) or str(
            spec.get("description") or spec.get("title") or _describe_input(spec)
        )
        if options := spec.get("enum"):
            explanation = (
                f"One of {', '.join(map(str, options))}; empty means {spec.get('default', 'the service’s choice')}."
            )
        else:
            explanation = " ".join([explanation, *_describe_range(spec)])
            if is_picture(name, spec):
                explanation = " ".join([explanation, *(f"Pictures: {rule.describe()}." for rule in read_rules(spec))])
            if (
                name not in required
                and not is_picture(name, spec)
                and (default := spec.get("default")) not in (None, "", [])
            ):
                explanation = f"{explanation} Empty means {default}."
        explanations[name] = f"{explanation} {'Needed.' if name in required else 'May be left empty.'}"
    return explanations


def _describe_input(spec: Mapping[str, Any]) -> str:
    items = spec.get("items")
    form = str(spec.get("format") or (items.get("format") if isinstance(items, Mapping) else "") or "")
    if not form.startswith("image_uri"):
        return "An input of the model."
    return f"A picture: {_LINK}{_SEVERAL if spec.get('type') == 'array' else ''}"


def _describe_range(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on the allowed values of a cell, as far as the schema has them."""
    least, most = spec.get("minimum"), spec.get("maximum")
    if least is not None and most is not None:
        yield f"{least} to {most}."
    elif least is not None:
        yield f"At least {least}."
    elif most is not None:
        yield f"At most {most}."
    if spec.get("maxItems"):
        yield f"At most {spec['maxItems']}."


_LINK = "an https:// link that opens without a login, or a file's path, seen from this sheet's folder."
_SEVERAL = " Several: one a line, or with | between them."
_EXPLANATIONS = {
    "image": f"The product's picture: {_LINK}{_SEVERAL}",
    "prompt": "What to make of it, in plain words, such as: make an ad for this mug, on a rainy window sill.",
}


def write_template(path: Path, schema: Mapping[str, Any], *, force: bool) -> None:
    """Write an empty manifest: .xlsx with notes, a choice of sizes and a sheet of explanations; or a bare .csv."""
    check_target(path, {".csv", ".xlsx"}, force=force)
    columns = explain_columns(schema)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path, SHARED_MODE) as part:
            if path.suffix.lower() == ".csv":
                part.write_text(",".join(columns) + "\r\n", encoding="utf-8", newline="")
            else:
                _build_workbook(columns, schema).save(part)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


def write_examples(folder: Path, *, force: bool) -> list[str]:
    """Write the README's example sheets into ``folder`` and return their names. An equal file stays; UsageError for another
    file of such a name, unless ``force`` is given.
    """
    sheets = {path.name: path.read_bytes() for path in files(__package__).joinpath("examples").iterdir()}
    try:
        changed = {
            path: content
            for name, content in sorted(sheets.items())
            if not (path := folder / name).exists() or path.read_bytes() != content
        }
        for path in changed:
            check_target(path, {path.suffix.lower()}, force=force)
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in changed.items():
            with replace_atomically(path, SHARED_MODE) as part:
                part.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{folder} can't be written: {error.strerror or error}") from error
    return sorted(sheets)


def _build_workbook(columns: Mapping[str, str], schema: Mapping[str, Any]) -> Any:
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only this needs
    from openpyxl.comments import Comment  # type: ignore[import-untyped]  # noqa: PLC0415
    from openpyxl.styles import Font  # type: ignore[import-untyped]  # noqa: PLC0415
    from openpyxl.worksheet.datavalidation import DataValidation  # type: ignore[import-untyped]  # noqa: PLC0415

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "manifest"
    sheet.append(list(columns))
    sheet.freeze_panes = "A2"
    for index, (name, explanation) in enumerate(columns.items(), 1):
        head = sheet.cell(1, index)
        head.font = Font(bold=True)
        head.comment = Comment(explanation, "batchedit", width=320, height=120)
        column = sheet.column_dimensions[head.column_letter]
        column.width, column.number_format = (60 if name == "prompt" else 24), "@"  # text: Excel takes 3:2 for a time
        options = schema["properties"].get(name, {}).get("enum") if name in SIZE_FIELDS else None
        if options:
            choice = DataValidation("list", formula1=f'"{",".join(map(str, options))}"', allow_blank=True)
            choice.add(f"{head.column_letter}2:{head.column_letter}10000")
            sheet.add_data_validation(choice)
    about = book.create_sheet("columns explained")
    about.append(["column", "what goes into it"])
    for name, explanation in columns.items():
        about.append([name, explanation])
    about.column_dimensions["B"].width = 110
    return book
