"""A manifest to begin with: sku, image and prompt from products (``init``), or an empty sheet explained (``template``)."""

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
from ..core.steps import Steps, report_progress, no_steps
from ..disk import SHARED_MODE, whole_file
from ..jobs.html_text import to_text
from ..jobs.picture_rules import read_rules
from ..jobs.prompt import Prompt
from ..jobs.recipe import SIZE_FIELDS
from ..jobs.schema import is_picture
from .columns import OWN
from .feeds import Product

FIELDS = ("sku", "title", "description")
"""What ``init --prompt`` may name, beside the columns that are kept."""

_LONGEST = 600  # characters of a feed's description: an ad's idea, not the whole shop page


@dataclass(frozen=True, slots=True)
class Written:
    """A new manifest: how many rows it has, and its columns."""

    rows: int
    columns: tuple[str, ...]


def write_manifest(
    products: Iterable[Product], path: Path, *, template: str | None, force: bool, steps: Steps = no_steps
) -> Written:
    """Write ``path``, with those columns of the sources that hold anything. UsageError if it is there already and ``force``
    is not given, and for a ``template`` that names what no source has.
    """
    check_target(path, {".csv"}, force=force)
    kept: dict[str, None] = {}
    plain = True
    try:
        with (
            TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="") as held,
            steps("reading products") as told,
        ):
            rows = csv.writer(held)
            for product in report_progress(products, told):
                kept.update(dict.fromkeys(name for name, value in product.kept.items() if value))
                parts = (product.sku, product.title, product.text, product.image, product.prompt)
                rows.writerow((*parts, *(product.kept.get(name, "") for name in kept)))
                plain = plain and all(map(str.isascii, (*parts, *product.kept.values())))
            held.seek(0)
            lines = _lines(csv.reader(held), tuple(kept), template)
            count = _write_whole(path, (*OWN, *kept), lines, encoding="utf-8" if plain else "utf-8-sig")
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return Written(count, (*OWN, *kept))


def _lines(products: Iterable[list[str]], kept: tuple[str, ...], template: str | None) -> Iterator[list[str]]:
    """The rows of the manifest. A product's row is shorter where a later one was the first to have a column."""
    wanted = tuple(name for name in kept if name.casefold() not in FIELDS)
    prompt = Prompt(template, (*FIELDS, *wanted)) if template is not None else None
    seen: Counter[str] = Counter()
    for sku, title, text, image, own, *more in products:
        cells = dict(zip_longest(kept, more, fillvalue=""))
        yield [
            _sku(sku, seen),
            _picture(image),
            _prompt({**cells, **_told(sku, title, text)}, prompt, own),
            *cells.values(),
        ]


def _write_whole(path: Path, columns: Sequence[str], lines: Iterable[list[str]], *, encoding: str) -> int:
    """How many ``lines`` stand below ``columns``. Excel takes UTF-8 for something else unless a byte order mark says it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with whole_file(path, SHARED_MODE) as part, part.open("w", encoding=encoding, newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for line in lines:
            table.writerow(line)
            count += 1
    return count


def check_target(path: Path, suffixes: set[str], *, force: bool) -> None:
    """UsageError for a file that is there already, or of a kind that is not written here."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} is not {' or '.join(sorted(suffixes))}", hint="give another name with --to")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", hint="another name with --to FILE, or --force to write over it")


def _sku(text: str, seen: Counter[str]) -> str:
    """A name that a spreadsheet takes for text, each once."""
    sku = " ".join(text.split()).lstrip("=+-@ ") or "row"
    seen[sku] += 1
    while seen[sku] > 1:
        sku = f"{sku}-{seen[sku]}"
        seen[sku] += 1
    return sku


def _picture(image: str) -> str:
    """A cell that is read as this one picture, and never as a formula."""
    if image[:1] in "=+-@":
        image = f"./{image}"
    return json.dumps([image]) if image.startswith("[") or re.search(r"\s\|\s|[\r\n]", image) else image


def _told(sku: str, title: str, text: str) -> dict[str, str]:
    """What a prompt may name of each product, as text without HTML."""
    text = " ".join(to_text(text).split())
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rsplit(" ", 1)[0] + " …"
    return {"sku": sku, "title": " ".join(to_text(title).split()) or sku, "description": text}


def _prompt(cells: Mapping[str, str], prompt: Prompt | None, own: str) -> str:
    if prompt is not None:
        return prompt.render(dict(cells))
    if own:
        return own
    title, text = cells["title"], cells["description"]
    return f"make an ad for {title}: {text}" if text else f"make an ad for {title}"


# --- the empty sheet ------------------------------------------------------------------------------


def explained(schema: Mapping[str, Any]) -> dict[str, str]:
    """The columns of an empty manifest for a model, each with what goes into it."""
    required = set(schema.get("required", ()))
    found = {"sku": "Names the row and its files: your article number. Any text; 007 stays 007."}
    for name, spec in schema["properties"].items():
        told = _KNOWN.get(name) or str(spec.get("description") or spec.get("title") or _unnamed(spec))
        if options := spec.get("enum"):
            told = f"One of {', '.join(map(str, options))}; empty means {spec.get('default', 'the service’s choice')}."
        else:
            told = " ".join([told, *_range(spec)])
            if is_picture(name, spec):
                told = " ".join([told, *(f"Pictures: {rule.words()}." for rule in read_rules(spec))])
            if (
                name not in required
                and not is_picture(name, spec)
                and (default := spec.get("default")) not in (None, "", [])
            ):
                told = f"{told} Empty means {default}."
        found[name] = f"{told} {'Needed.' if name in required else 'May be left empty.'}"
    return found


def _unnamed(spec: Mapping[str, Any]) -> str:
    items = spec.get("items")
    form = str(spec.get("format") or (items.get("format") if isinstance(items, Mapping) else "") or "")
    if not form.startswith("image_uri"):
        return "An input of the model."
    return f"A picture: {_LINK}{_SEVERAL if spec.get('type') == 'array' else ''}"


def _range(spec: Mapping[str, Any]) -> Iterator[str]:
    """What a cell may hold, as far as the schema tells it."""
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
_KNOWN = {
    "image": f"The product's picture: {_LINK}{_SEVERAL}",
    "prompt": "What to make of it, in plain words, such as: make an ad for this mug, on a rainy window sill.",
}


def write_template(path: Path, schema: Mapping[str, Any], *, force: bool) -> None:
    """An empty manifest: .xlsx with notes, a choice of sizes and a second sheet that explains; or a bare .csv."""
    check_target(path, {".csv", ".xlsx"}, force=force)
    columns = explained(schema)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, SHARED_MODE) as part:
            if path.suffix.lower() == ".csv":
                part.write_text(",".join(columns) + "\r\n", encoding="utf-8", newline="")
            else:
                _workbook(columns, schema).save(part)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


def write_examples(folder: Path, *, force: bool) -> list[str]:
    """Write the sheets that README tries into ``folder`` and return their names. One that is there as it is stays; UsageError
    for another file of such a name, unless ``force`` is given.
    """
    sheets = {path.name: path.read_bytes() for path in files(__package__).joinpath("examples").iterdir()}
    try:
        wanted = {
            path: content
            for name, content in sorted(sheets.items())
            if not (path := folder / name).exists() or path.read_bytes() != content
        }
        for path in wanted:
            check_target(path, {path.suffix.lower()}, force=force)
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in wanted.items():
            with whole_file(path, SHARED_MODE) as part:
                part.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{folder} can't be written: {error.strerror or error}") from error
    return sorted(sheets)


def _workbook(columns: Mapping[str, str], schema: Mapping[str, Any]) -> Any:
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only this needs
    from openpyxl.comments import Comment  # type: ignore[import-untyped]  # noqa: PLC0415
    from openpyxl.styles import Font  # type: ignore[import-untyped]  # noqa: PLC0415
    from openpyxl.worksheet.datavalidation import DataValidation  # type: ignore[import-untyped]  # noqa: PLC0415

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "manifest"
    sheet.append(list(columns))
    sheet.freeze_panes = "A2"
    for index, (name, told) in enumerate(columns.items(), 1):
        head = sheet.cell(1, index)
        head.font = Font(bold=True)
        head.comment = Comment(told, "batchedit", width=320, height=120)
        column = sheet.column_dimensions[head.column_letter]
        column.width, column.number_format = (60 if name == "prompt" else 24), "@"  # text: Excel takes 3:2 for a time
        options = schema["properties"].get(name, {}).get("enum") if name in SIZE_FIELDS else None
        if options:
            choice = DataValidation("list", formula1=f'"{",".join(map(str, options))}"', allow_blank=True)
            choice.add(f"{head.column_letter}2:{head.column_letter}10000")
            sheet.add_data_validation(choice)
    about = book.create_sheet("columns explained")
    about.append(["column", "what goes into it"])
    for name, told in columns.items():
        about.append([name, told])
    about.column_dimensions["B"].width = 110
    return book
