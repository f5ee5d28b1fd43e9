"""Where each of the model's inputs comes from: ``--set``, ``--map``, ``--prompt``, or the column of its own name.

The first of these that applies wins. All is decided once, before the first row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import ManifestError, UsageError
from ..core.shell_commands import quote_word
from ..manifest.nearest import find_nearest, join_names, normalize_name
from ..manifest.shop_column_names import COLUMN_WORDS, SIZE_WORDS, TITLE_WORDS, Platform, is_like_image
from .addresses import parse_address
from .image_cells import CellError
from .messages import explain_error, explain_wrong_choice
from .prompt import split_template
from .schema import Field, Reader, Schema

ID_COLUMNS = (
    *(
        "id",
        "sku",
        "handle",
        "variant sku",
        "product id",
        "item group id",
        "item id",
        "item sku",
        "seller sku",
        "offer id",
    ),
    *(
        "product code/sku",
        "product code",
        "article number",
        "artikelnummer",
        "artikel nr",
        "artikel nr.",
        "art. nr.",
        "bestellnummer",
    ),
    *("référence", "réf", "code article", "referencia", "código", "name", "title"),
)
"""Names of columns that name rows, the likeliest first; the numbers of articles in four languages."""
_PICTURE_COLUMNS = frozenset(
    map(normalize_name, ("image", "images", "image_url", "image_urls", "image_uri", "image_uris"))
)
_CUT_BY = re.compile(r"[\w ]+([^\w\s\"'.:()-]|\t)[\w ]+(?:\1[\w ]*)+").fullmatch
SIZE_FIELDS = ("size", "aspect_ratio", "image_size", "ratio", "resolution")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rows become jobs: what the options say, and the model's input ``schema``.

    ``mapping`` is field → column, or an address with a column in braces; ``sets`` is field → text, ``over`` is column → the
    values to expand each row over.
    ``image_roots`` are the folders below which local pictures are read, in the order in which relative paths are looked up.
    Without any, local pictures are refused. ``own_pictures`` is the program's folder of pictures from workbooks.
    ``shrinks`` and ``loopback`` are those of ``Pictures``. ``date`` fills ``{date}``. ``fetched`` maps links to the files
    on this disk that were fetched from them.
    ``row_shift`` is added to a row's index where the index becomes part of a name: names have the sheet's own number.
    ``platform``, ``notes`` and ``guesses`` are the results of ``recognise``. ``texts`` are the columns that may hold prompts,
    the likeliest first, where it found no prompt.
    """

    model: str
    schema: dict[str, Any]
    prompt: str | None = None
    mapping: dict[str, str] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    sizes: tuple[str, ...] = ()
    variants: int = 1
    id_column: str | None = None
    name: str | None = None
    revision: int = 0
    over: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fill_down: tuple[str, ...] = ()
    image_roots: tuple[Path, ...] = ()
    own_pictures: Path | None = None
    shrinks: bool = True
    loopback: bool = False
    date: str = ""
    platform: Platform | None = None
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    fetched: Mapping[str, Path] = field(default_factory=dict)
    row_shift: int = 0
    texts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class InputSources:
    """``columns``: (field, column, reader) of inputs from the rows; ``constants``: inputs that are the same for all rows."""

    columns: list[tuple[str, str, Reader | None]]
    constants: dict[str, Any]
    prompt_field: str
    size_field: str
    sizes: tuple[Any, ...]
    notes: tuple[str, ...]


def choose_sources(recipe: Recipe, schema: Schema, columns: tuple[str, ...]) -> InputSources:
    """Raises UsageError for options that fit neither model nor table, ManifestError if nothing fills a required field."""
    notes: list[str] = []
    set_fields = {_find_field(name, schema, "--set"): (name, text) for name, text in recipe.sets.items()}
    constants = {name: _read_constant(schema, name, text) for name, (_, text) in set_fields.items()}
    mapped, read_as = dict[str, str](), dict[str, Reader]()
    for field_name, target in recipe.mapping.items():
        name = _find_field(field_name, schema, "--map")
        address = parse_address(target) if schema.fields[name].picture and target not in columns else None
        mapped[name] = find_column(address.column if address else target, columns, "--map")
        if address is not None:
            read_as[name] = address.make_reader(schema.fields[name].read)
            notes.append(f"{name}: {target}, with the column {mapped[name]!r}")
    prompt_field = "" if recipe.prompt is None else _find_prompt_field(schema)
    if prompt_field in constants or prompt_field in mapped:
        notes.append(
            f"--prompt is not used: {prompt_field} comes from {'--set' if prompt_field in constants else '--map'}"
        )
        prompt_field = ""
    size_field, sizes = _read_sizes(recipe, schema, constants)
    sources: list[tuple[str, str, Reader | None]] = []
    for name, spec in schema.fields.items():
        if name in constants or name == prompt_field or (sizes and name == size_field):
            continue
        column = (
            mapped.get(name)
            or _find_own_column(name, columns, notes)
            or _find_picture_column(spec, schema, columns, notes)
        )
        if column:
            sources.append((name, column, read_as.get(name, spec.read)))
        elif spec.required:
            raise _build_unfilled_error(name, columns, recipe.texts)
    if size_field and not sizes and size_field not in constants and all(name != size_field for name, *_ in sources):
        notes += _note_unused_sizes(recipe, size_field, columns)
    return InputSources(sources, constants, prompt_field, size_field, sizes, tuple(notes))


def find_column(name: str, columns: tuple[str, ...], option: str) -> str:
    """The column called ``name``, whatever its capitals. UsageError, with the nearest name, if there is none."""
    if name in columns:
        return name
    similar = [column for column in columns if normalize_name(column) == normalize_name(name)]
    if len(similar) == 1:
        return similar[0]
    suggestion = find_nearest(name, columns)
    hint = f"Did you mean {suggestion!r}? " if suggestion else ""
    raise UsageError(f"{option}: there is no column {name!r}", hint=f"{hint}Columns: {join_names(columns, 'and')}.")


def find_id_column(id_column: str | None, columns: tuple[str, ...]) -> str:
    """The column that names rows: ``--id``, else the first of the usual ones, else "" for the row's number."""
    if id_column is not None:
        return find_column(id_column, columns, "--id")
    by_plain = {normalize_name(column): column for column in reversed(columns)}
    return next((by_plain[name] for name in ID_COLUMNS if name in by_plain), "")


def _find_field(name: str, schema: Schema, option: str) -> str:
    if name in schema.fields:
        return name
    suggestion = find_nearest(name, schema.fields)
    hint = f"Did you mean {suggestion}? " if suggestion else ""
    raise UsageError(
        f"{option}: the model has no input {name!r}", hint=f"{hint}It takes {join_names(schema.fields, 'and')}."
    )


def _read_constant(schema: Schema, name: str, text: str) -> Any:
    field = schema.fields[name]
    try:
        value = text if field.read is None else field.read(text)
    except CellError as error:
        raise UsageError(f"--set {name}: {text!r} {error}") from None
    errors = [error for error in schema.errors({name: value}) if list(error.instance_path)[:1] == [name]]
    if errors or value in ("", []):
        raise UsageError(f"--set {name}: {text!r} {explain_error(errors[0], field) if errors else 'is empty'}")
    return value


def _find_prompt_field(schema: Schema) -> str:
    texts = [name for name, spec in schema.fields.items() if spec.read is None]
    name = next((name for name in texts if name == "prompt"), None) or next((n for n in texts if "prompt" in n), None)
    if name is None:
        raise UsageError("--prompt: the model takes no prompt", hint=f"It takes {join_names(schema.fields, 'and')}.")
    return name


def _read_sizes(recipe: Recipe, schema: Schema, constants: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    size_field = next((size_field for size_field in SIZE_FIELDS if size_field in schema.fields), "")
    if not recipe.sizes:
        return size_field, ()
    if not size_field:
        raise UsageError("--sizes: the model has no size", hint=f"It takes {join_names(schema.fields, 'and')}.")
    if size_field in constants:
        raise UsageError(f"--sizes and --set {size_field} contradict each other", hint="Give one of them.")
    sizes = tuple(_read_size(schema, size_field, text) for text in dict.fromkeys(recipe.sizes))
    return size_field, tuple(dict.fromkeys(sizes))


def _read_size(schema: Schema, name: str, text: str) -> Any:
    options = [str(option) for option in schema.fields[name].spec.get("enum", ())]
    read = schema.fields[name].read
    value = text.strip() if read is None else read(text)
    if options and str(value) not in options:
        raise UsageError(f"--sizes: {text!r} {explain_wrong_choice(text, options)}")
    return value


def _note_unused_sizes(recipe: Recipe, size_field: str, columns: tuple[str, ...]) -> list[str]:
    """A note if a column seems to hold the sizes and is not used."""
    _, in_prompt = split_template(recipe.prompt or "", "--prompt")
    used = {*recipe.mapping.values(), *in_prompt}
    column = next((column for column in columns if normalize_name(column) in SIZE_WORDS and column not in used), "")
    if not column:
        return []
    return [
        f"column {column!r} is not used; if it says the size of the picture: --map {quote_word(f'{size_field}={column}')}"
    ]


def _find_own_column(name: str, columns: tuple[str, ...], notes: list[str]) -> str:
    if name in columns:
        return name
    similar = next((column for column in columns if normalize_name(column) == normalize_name(name)), "")
    if similar:
        notes.append(f"column {similar!r} is taken for the model's input {name}")
    return similar


_NUMBERS = frozenset({"no", "nr", "number", "nummer", "#", "row", "line", "id", "pos", "position"})


def _find_picture_column(field: Field, schema: Schema, columns: tuple[str, ...], notes: list[str]) -> str:
    """The column of the model's only required picture, under any of the models' names for it (``image``, ``image_url``)."""
    pictures = [name for name, other in schema.fields.items() if other.picture and other.required]
    if not field.picture or pictures != [field.name]:
        return ""
    column = next((column for column in columns if normalize_name(column) in _PICTURE_COLUMNS), "")
    if column:
        notes.append(f"column {column!r} is taken for the model's input {field.name}")
    return column


def _find_first_text(columns: tuple[str, ...]) -> str:
    """The first column that is neither a number nor a picture by its name."""
    return next(
        (c for c in columns if normalize_name(c).strip(". ") not in _NUMBERS and not is_like_image(normalize_name(c))),
        columns[0],
    )


def _build_prompt_hint(columns: tuple[str, ...], suggestion: str, texts: tuple[str, ...] | None) -> str:
    """How to say what fills the prompt. ``texts`` are the columns of text, None if the cells were not read."""
    title = next((column for column in columns if normalize_name(column) in TITLE_WORDS), _find_first_text(columns))
    candidates = columns if texts is None else texts
    used_names = COLUMN_WORDS | SIZE_WORDS
    remaining = [
        c
        for c in candidates
        if c != columns[0] and normalize_name(c) not in used_names and not is_like_image(normalize_name(c))
    ]
    if not remaining:
        return f"Add a column prompt, or write --prompt 'make an ad for {{{title}}}'."
    suggested = [suggestion] if suggestion in remaining else remaining if len(remaining) <= 3 else ["COLUMN"]
    maps = " or ".join(f'--map prompt="{column}"' for column in suggested)
    return f"Say which one it is: {maps}; or one for all: --prompt 'make an ad for {{{title}}}'."


def _build_unfilled_error(name: str, columns: tuple[str, ...], texts: tuple[str, ...] | None) -> ManifestError:
    suggestion = find_nearest(name, columns)
    hint = f'Say which one it is: --map {name}="{suggestion or "COLUMN"}"; or where the column names stand: --header-row N.'
    if name == "prompt":
        hint = _build_prompt_hint(columns, suggestion, texts)
    if len(columns) == 1 and (match := _CUT_BY(columns[0])):
        hint = (
            "Each line seems to stand in quotation marks as a whole: delete the mark at its beginning and its end."
            if match.group(1) in ",;\t|"
            else f"If {match.group(1)} sets the columns apart: --delimiter '{match.group(1)}'."
        )
    return ManifestError(
        f"no column fills the model's required input {name!r}; columns: {join_names(columns, 'and')}", hint=hint
    )
