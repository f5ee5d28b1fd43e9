"""What the gallery's page is given: plain JSON values, made from cards, cells, looks, flags and marks.

Nothing here is HTML: the page sets every text as text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from ..core.model import Record
from ..core.review import GalleryRow, Mark
from ..core.steps import ProgressCallback, counted, no_progress
from ..images.features import ImageFeatures, thumb_name

LONGEST = 2000  # characters of a cell or prompt; a data URI in a cell would weigh as much as a picture
FACET_VALUES = 24
STATUS = {"submitting": "submitted", "waiting": "submitted", "cancelling": "submitted", "fetched": "submitted"}

_PATH = re.compile(r"://|^[/\\]|\.(png|jpe?g|webp|gif|avif|tiff?|bmp|heic)$", re.IGNORECASE).search
_VIDEO = re.compile(r"\.(mp4|m4v|mov|webm|mkv|avi)$", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Table:
    """The manifest's cells as text: ``rows`` by the sheet's own row number, each in the order of ``columns``. ``word`` is
    what the numbers count.
    """

    columns: tuple[str, ...]
    rows: Mapping[int, tuple[str, ...]]
    word: str = "row"


def sources_of(inputs: str) -> list[Any]:
    """The source pictures among a job's inputs: links as text, local files as ``{"$file", "$sha256"}``."""
    found: list[Any] = []
    for value in orjson.loads(inputs).values():
        if isinstance(value, list):
            found += [item for item in value if isinstance(item, dict) and "$file" in item]
            found += [item for item in value if isinstance(item, str) and urlsplit(item).scheme in {"http", "https"}]
    return found


def payload(
    gallery_rows: Sequence[GalleryRow],
    table: Table,
    looks: Mapping[str, ImageFeatures],
    flags: Mapping[int, str],
    marks: Mapping[int, Mark],
    about: Mapping[str, Any],
    told: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """The page's data. ``about`` is the run as a whole: name, id, mode, when it was made. ``told`` hears how far it is."""
    place = {row: index for index, row in enumerate(table.rows)}
    items = [_item(card, place, table, looks, flags) for card in counted(gallery_rows, told, len(gallery_rows))]
    sizes = Counter(card.current.job.size for card in gallery_rows if card.current and card.current.job.size)
    return {
        **about,
        "rowWord": table.word,
        "columns": list(table.columns),
        "rows": [[_short(cell) for cell in cells] for cells in table.rows.values()],
        "facets": [facet for facet in facets(table) if not sizes.keys() & dict(facet["values"]).keys()],
        "sizes": sorted(sizes.items()),
        "items": items,
        "marks": {mark.job: mark_json(mark) for mark in marks.values()},
    }


def mark_json(mark: Mark) -> dict[str, Any]:
    """A mark as the page and the server's answers have it."""
    return {"job": mark.job, "verdict": mark.verdict, "note": mark.note, "serial": mark.serial, "who": mark.who,
            "at": round(mark.at, 3)}  # fmt: skip


def facets(table: Table) -> list[dict[str, Any]]:
    """Columns worth filtering by: 2 to 24 short values, each on several rows on average."""
    found = []
    for index, column in enumerate(table.columns):
        counted = Counter(cells[index] for cells in table.rows.values() if index < len(cells) and cells[index].strip())
        few = 2 <= len(counted) <= FACET_VALUES and sum(counted.values()) >= 2 * len(counted)
        if few and all(len(value) <= 40 and not _PATH(value) for value in counted):
            found.append({"column": index, "name": column, "values": sorted(counted.items())})
    return found


def _item(
    card: GalleryRow,
    place: Mapping[int, int],
    table: Table,
    looks: Mapping[str, ImageFeatures],
    flags: Mapping[int, str],
) -> dict[str, Any]:
    cells = table.rows.get(card.row, ())
    item: dict[str, Any] = {
        "row": card.row,
        "id": _short(card.id),
        "shots": [_shot(s, cells, looks, flags) for s in card.versions],
    }
    if card.row in place:
        item["cells"] = place[card.row]
    if card.problems:
        item["reason"] = reason_of_row(card.problems)
    if card.over:
        item["over"] = {name: _short(str(value)) for name, value in orjson.loads(card.over).items()}
    return item


def _shot(
    record: Record, cells: Sequence[str], looks: Mapping[str, ImageFeatures], flags: Mapping[int, str]
) -> dict[str, Any]:
    job = record.job
    shot: dict[str, Any] = {
        "job": record.id,
        "key": job.key.hex(),
        "version": job.version,
        "status": STATUS.get(record.state.value, record.state.value),
        "size": job.size,
        "variant": job.variant,
        "files": [_file(file.path, file.sha256, file.width, file.height, looks) for file in record.files],
        "sources": [_source(source, looks) for source in sources_of(job.inputs)],
    }
    shot |= _prompt(orjson.loads(job.inputs).get("prompt", ""), cells)
    if record.submitted_at is not None:
        shot["cost"] = record.spent
    if record.submitted_at is not None and record.finished_at is not None:
        shot |= {"seconds": round(record.finished_at - record.submitted_at, 1), "at": int(record.finished_at)}
    if record.problem is not None and record.state.value != "done":
        shot |= {"kind": record.problem.kind.value, "reason": _short(record.problem.message)}
    if record.handle is not None:
        shot["request"] = record.handle.request_id
    if flags.get(record.id):
        shot["flags"] = flags[record.id].split()
    return shot


def _prompt(prompt: Any, cells: Sequence[str]) -> dict[str, Any]:
    """The prompt, or the number of the cell that it is: prompts are most of a large page."""
    text = str(prompt)
    return {"promptCell": cells.index(text)} if text in cells else {"prompt": _short(text)}


def _file(path: str, sha256: str, width: int, height: int, looks: Mapping[str, ImageFeatures]) -> dict[str, Any]:
    look = looks.get(sha256)
    file: dict[str, Any] = {"path": path, "width": width, "height": height}
    if _VIDEO(path):
        return file | {"video": True}
    if look is None or look.problem:
        return file | {"problem": look.problem if look else "was not looked at"}
    return file | {"thumb": f"thumbs/{thumb_name(sha256)}"}


def _source(source: Any, looks: Mapping[str, ImageFeatures]) -> dict[str, Any]:
    if isinstance(source, str):
        return {"link": _short(source)}
    look = looks.get(source["$sha256"])
    name = str(source["$file"]).rsplit("/", 1)[-1]
    if look is None or look.problem:
        return {"name": name, "problem": look.problem if look else "was not looked at"}
    sha256 = source["$sha256"]
    return {"name": name, "thumb": f"thumbs/{thumb_name(sha256)}", "large": f"thumbs/{thumb_name(sha256, large=True)}"}


def reason_of_row(problems: str) -> str:
    """Every reason why a row could not become a picture, in one sentence."""
    told = []
    for column, value, why in json.loads(problems):
        shown = f" {value!r}" if value else ""
        told.append(f"{column or 'the row'}{shown} {why}")
    return "; ".join(told)


def _short(text: str) -> str:
    """At most LONGEST characters, half characters (which JSON can't hold) replaced."""
    return (text if len(text) <= LONGEST else text[:LONGEST] + "…").encode(errors="replace").decode()
