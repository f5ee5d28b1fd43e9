"""Where each of the model's inputs comes from: ``--set``, ``--map``, ``--prompt``, or the column of its own name.

The strongest wins, in that order. All of it is decided once, before the first row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import ManifestError, UsageError
from ..core.typed import quote_word
from ..manifest.nearest import listed, nearest, plain
from ..manifest.platforms import COLUMN_WORDS, SIZE_WORDS, TITLE_WORDS, Platform, is_like_image
from .addresses import address_in
from .image_cells import CellError
from .messages import reason, wrong_choice
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
_PICTURE_COLUMNS = frozenset(map(plain, ("image", "images", "image_url", "image_urls", "image_uri", "image_uris")))
_CUT_BY = re.compile(r"[\w ]+([^\w\s\"'.:()-]|\t)[\w ]+(?:\1[\w ]*)+").fullmatch
SIZE_FIELDS = ("size", "aspect_ratio", "image_size", "ratio", "resolution")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rows become jobs: what the options say, and the model's input ``schema``.

    ``mapping`` is field → column, or an address with one in braces; ``sets`` field → text, ``over`` column → the values to
    expand each row over.
    ``image_roots`` are the folders below which local pictures are read, in the order in which relative paths are looked up;
    without any they are refused. ``own_pictures`` is where the program keeps those out of workbooks. ``shrinks`` and
    ``loopback`` are those of ``Pictures``. ``date`` fills ``{date}``. ``fetched`` maps links to the files on this disk that
    were fetched from them.
    ``row_shift`` is added to a row's index where it becomes part of a name: names have the sheet's own number.
    ``platform``, ``told`` and ``guesses`` are what ``recognise`` found out about a sheet; ``texts`` are the columns that may
    hold prompts, the likeliest first, where it found none.
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
    told: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    fetched: Mapping[str, Path] = field(default_factory=dict)
    row_shift: int = 0
    texts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class InputSources:
    """``columns``: (field, column, reader) for what stands in the rows; ``constants``: what is the same for all."""

    columns: list[tuple[str, str, Reader | None]]
    constants: dict[str, Any]
    prompt_field: str
    size_field: str
    sizes: tuple[Any, ...]
    notes: tuple[str, ...]


def choose_sources(recipe: Recipe, schema: Schema, columns: tuple[str, ...]) -> InputSources:
    """UsageError for options that fit neither model nor table, ManifestError if nothing fills a required field."""
    notes: list[str] = []
    set_fields = {_field(name, schema, "--set"): (name, text) for name, text in recipe.sets.items()}
    constants = {name: _constant(schema, name, text) for name, (_, text) in set_fields.items()}
    mapped, read_as = dict[str, str](), dict[str, Reader]()
    for given, wanted in recipe.mapping.items():
        name = _field(given, schema, "--map")
        address = address_in(wanted) if schema.fields[name].picture and wanted not in columns else None
        mapped[name] = find_column(address.column if address else wanted, columns, "--map")
        if address is not None:
            read_as[name] = address.reader(schema.fields[name].read)
            notes.append(f"{name}: {wanted}, with the column {mapped[name]!r}")
    prompt_field = "" if recipe.prompt is None else _prompt_field(schema)
    if prompt_field in constants or prompt_field in mapped:
        notes.append(
            f"--prompt is not used: {prompt_field} comes from {'--set' if prompt_field in constants else '--map'}"
        )
        prompt_field = ""
    size_field, sizes = _sizes(recipe, schema, constants)
    found: list[tuple[str, str, Reader | None]] = []
    for name, spec in schema.fields.items():
        if name in constants or name == prompt_field or (sizes and name == size_field):
            continue
        column = mapped.get(name) or _own_column(name, columns, notes) or _picture_column(spec, schema, columns, notes)
        if column:
            found.append((name, column, read_as.get(name, spec.read)))
        elif spec.required:
            raise _unfilled(name, columns, recipe.texts)
    if size_field and not sizes and size_field not in constants and all(name != size_field for name, *_ in found):
        notes += _sizes_unused(recipe, size_field, columns)
    return InputSources(found, constants, prompt_field, size_field, sizes, tuple(notes))


def find_column(wanted: str, columns: tuple[str, ...], option: str) -> str:
    """The column that ``wanted`` names, whatever its capitals. UsageError, with the nearest name, if there is none."""
    if wanted in columns:
        return wanted
    alike = [column for column in columns if plain(column) == plain(wanted)]
    if len(alike) == 1:
        return alike[0]
    near = nearest(wanted, columns)
    hint = f"Did you mean {near!r}? " if near else ""
    raise UsageError(f"{option}: there is no column {wanted!r}", hint=f"{hint}Columns: {listed(columns, 'and')}.")


def find_id(wanted: str | None, columns: tuple[str, ...]) -> str:
    """The column that names rows: ``--id``, else the first of the usual ones, else "" for the row's number."""
    if wanted is not None:
        return find_column(wanted, columns, "--id")
    by_plain = {plain(column): column for column in reversed(columns)}
    return next((by_plain[name] for name in ID_COLUMNS if name in by_plain), "")


def _field(name: str, schema: Schema, option: str) -> str:
    if name in schema.fields:
        return name
    near = nearest(name, schema.fields)
    hint = f"Did you mean {near}? " if near else ""
    raise UsageError(
        f"{option}: the model has no input {name!r}", hint=f"{hint}It takes {listed(schema.fields, 'and')}."
    )


def _constant(schema: Schema, name: str, text: str) -> Any:
    field = schema.fields[name]
    try:
        value = text if field.read is None else field.read(text)
    except CellError as error:
        raise UsageError(f"--set {name}: {text!r} {error}") from None
    wrong = [error for error in schema.errors({name: value}) if list(error.instance_path)[:1] == [name]]
    if wrong or value in ("", []):
        raise UsageError(f"--set {name}: {text!r} {reason(wrong[0], field) if wrong else 'is empty'}")
    return value


def _prompt_field(schema: Schema) -> str:
    texts = [name for name, spec in schema.fields.items() if spec.read is None]
    found = next((name for name in texts if name == "prompt"), None) or next((n for n in texts if "prompt" in n), None)
    if found is None:
        raise UsageError("--prompt: the model takes no prompt", hint=f"It takes {listed(schema.fields, 'and')}.")
    return found


def _sizes(recipe: Recipe, schema: Schema, constants: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    name = next((name for name in SIZE_FIELDS if name in schema.fields), "")
    if not recipe.sizes:
        return name, ()
    if not name:
        raise UsageError("--sizes: the model has no size", hint=f"It takes {listed(schema.fields, 'and')}.")
    if name in constants:
        raise UsageError(f"--sizes and --set {name} contradict each other", hint="Give one of them.")
    sizes = tuple(_size(schema, name, text) for text in dict.fromkeys(recipe.sizes))
    return name, tuple(dict.fromkeys(sizes))


def _size(schema: Schema, name: str, text: str) -> Any:
    options = [str(option) for option in schema.fields[name].spec.get("enum", ())]
    read = schema.fields[name].read
    value = text.strip() if read is None else read(text)
    if options and str(value) not in options:
        raise UsageError(f"--sizes: {text!r} {wrong_choice(text, options)}")
    return value


def _sizes_unused(recipe: Recipe, size_field: str, columns: tuple[str, ...]) -> list[str]:
    """A note where a column looks as if it said the sizes, and nothing uses it."""
    _, in_prompt = split_template(recipe.prompt or "", "--prompt")
    used = {*recipe.mapping.values(), *in_prompt}
    column = next((column for column in columns if plain(column) in SIZE_WORDS and column not in used), "")
    if not column:
        return []
    return [
        f"column {column!r} is not used; if it says the size of the picture: --map {quote_word(f'{size_field}={column}')}"
    ]


def _own_column(name: str, columns: tuple[str, ...], notes: list[str]) -> str:
    if name in columns:
        return name
    alike = next((column for column in columns if plain(column) == plain(name)), "")
    if alike:
        notes.append(f"column {alike!r} is taken for the model's input {name}")
    return alike


_NUMBERS = frozenset({"no", "nr", "number", "nummer", "#", "row", "line", "id", "pos", "position"})


def _picture_column(field: Field, schema: Schema, columns: tuple[str, ...], notes: list[str]) -> str:
    """A sheet that calls its pictures ``image`` serves the next model too, which calls them ``images`` or ``image_url``."""
    pictures = [name for name, other in schema.fields.items() if other.picture and other.required]
    if not field.picture or pictures != [field.name]:
        return ""
    found = next((column for column in columns if plain(column) in _PICTURE_COLUMNS), "")
    if found:
        notes.append(f"column {found!r} is taken for the model's input {field.name}")
    return found


def _first_text(columns: tuple[str, ...]) -> str:
    """The first column that is neither a number nor a picture by its name."""
    return next(
        (c for c in columns if plain(c).strip(". ") not in _NUMBERS and not is_like_image(plain(c))), columns[0]
    )


def _prompt_hint(columns: tuple[str, ...], near: str, texts: tuple[str, ...] | None) -> str:
    """How to say what fills the prompt. ``texts`` are the columns of text, None where nobody looked at cells."""
    title = next((column for column in columns if plain(column) in TITLE_WORDS), _first_text(columns))
    likely = columns if texts is None else texts
    named = COLUMN_WORDS | SIZE_WORDS
    others = [c for c in likely if c != columns[0] and plain(c) not in named and not is_like_image(plain(c))]
    if not others:
        return f"Add a column prompt, or write --prompt 'make an ad for {{{title}}}'."
    offered = [near] if near in others else others if len(others) <= 3 else ["COLUMN"]
    maps = " or ".join(f'--map prompt="{column}"' for column in offered)
    return f"Say which one it is: {maps}; or one for all: --prompt 'make an ad for {{{title}}}'."


def _unfilled(name: str, columns: tuple[str, ...], texts: tuple[str, ...] | None) -> ManifestError:
    near = nearest(name, columns)
    told = f'Say which one it is: --map {name}="{near or "COLUMN"}"; or where the column names stand: --header-row N.'
    if name == "prompt":
        told = _prompt_hint(columns, near, texts)
    if len(columns) == 1 and (found := _CUT_BY(columns[0])):
        told = (
            "Each line seems to stand in quotation marks as a whole: delete the mark at its beginning and its end."
            if found.group(1) in ",;\t|"
            else f"If {found.group(1)} sets the columns apart: --delimiter '{found.group(1)}'."
        )
    return ManifestError(
        f"no column fills the model's required input {name!r}; columns: {listed(columns, 'and')}", hint=told
    )
