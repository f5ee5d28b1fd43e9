"""The data of the gallery's page: JSON values, made from gallery rows, cells, image features, flags and decisions.

Nothing here is HTML: the page sets every text as text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from ..core.columns import STATUS, format_problems
from ..core.model import Record
from ..core.review import GalleryRow, PictureDecision
from ..core.steps import ProgressCallback, no_progress, report_progress
from ..images.thumbnails_and_features import ImageFeatures, to_thumb_name

LONGEST = 2000  # characters of a cell or prompt; a data URI in a cell would weigh as much as a picture
FACET_VALUES = 24

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


def list_sources(inputs: str) -> list[Any]:
    """The source pictures among a job's inputs: links as text, local files as ``{"$file", "$sha256"}``."""
    sources: list[Any] = []
    for value in orjson.loads(inputs).values():
        if isinstance(value, list):
            sources += [item for item in value if isinstance(item, dict) and "$file" in item]
            sources += [item for item in value if isinstance(item, str) and urlsplit(item).scheme in {"http", "https"}]
    return sources


def build_payload(
    gallery_rows: Sequence[GalleryRow],
    table: Table,
    features: Mapping[str, ImageFeatures],
    flags: Mapping[int, str],
    decisions: Mapping[int, PictureDecision],
    about: Mapping[str, Any],
    on_progress: ProgressCallback = no_progress,
) -> dict[str, Any]:
    """The page's data. ``about`` describes the run as a whole: name, id, mode, when it was made."""
    positions = {line: index for index, line in enumerate(table.rows)}
    items = [
        _format_row(row, positions, table, features, flags)
        for row in report_progress(gallery_rows, on_progress, len(gallery_rows))
    ]
    sizes = Counter(row.current.job.size for row in gallery_rows if row.current and row.current.job.size)
    return {
        **about,
        "rowWord": table.word,
        "columns": list(table.columns),
        "rows": [[_shorten(cell) for cell in cells] for cells in table.rows.values()],
        "facets": [facet for facet in find_facets(table) if not sizes.keys() & dict(facet["values"]).keys()],
        "sizes": sorted(sizes.items()),
        "items": items,
        "marks": {decision.job: decision_as_json(decision) for decision in decisions.values()},
    }


def decision_as_json(decision: PictureDecision) -> dict[str, Any]:
    """A decision as the page and the server's replies have it."""
    return {"job": decision.job, "verdict": decision.verdict, "note": decision.note, "serial": decision.serial,
            "who": decision.who, "at": round(decision.at, 3)}  # fmt: skip


def find_facets(table: Table) -> list[dict[str, Any]]:
    """Columns to filter by: 2 to 24 short values, each on several rows on average."""
    facets_found = []
    for index, column in enumerate(table.columns):
        counted = Counter(cells[index] for cells in table.rows.values() if index < len(cells) and cells[index].strip())
        few = 2 <= len(counted) <= FACET_VALUES and sum(counted.values()) >= 2 * len(counted)
        if few and all(len(value) <= 40 and not _PATH(value) for value in counted):
            facets_found.append({"column": index, "name": column, "values": sorted(counted.items())})
    return facets_found


def _format_row(
    gallery_row: GalleryRow,
    positions: Mapping[int, int],
    table: Table,
    features: Mapping[str, ImageFeatures],
    flags: Mapping[int, str],
) -> dict[str, Any]:
    cells = table.rows.get(gallery_row.row, ())
    item: dict[str, Any] = {
        "row": gallery_row.row,
        "id": _shorten(gallery_row.id),
        "shots": [_format_version(version, cells, features, flags) for version in gallery_row.versions],
    }
    if gallery_row.row in positions:
        item["cells"] = positions[gallery_row.row]
    if gallery_row.problems:
        item["reason"] = format_problems(gallery_row.problems)
    if gallery_row.over:
        item["over"] = {name: _shorten(str(value)) for name, value in orjson.loads(gallery_row.over).items()}
    return item


def _format_version(
    record: Record, cells: Sequence[str], features: Mapping[str, ImageFeatures], flags: Mapping[int, str]
) -> dict[str, Any]:
    job = record.job
    version: dict[str, Any] = {
        "job": record.id,
        "key": job.key.hex(),
        "version": job.version,
        "status": STATUS[record.state.value],
        "size": job.size,
        "variant": job.variant,
        "files": [_format_file(file.path, file.sha256, file.width, file.height, features) for file in record.files],
        "sources": [_format_source(source, features) for source in list_sources(job.inputs)],
    }
    version |= _format_prompt(orjson.loads(job.inputs).get("prompt", ""), cells)
    if record.submitted_at is not None:
        version["cost"] = record.spent
    if record.submitted_at is not None and record.finished_at is not None:
        version |= {"seconds": round(record.finished_at - record.submitted_at, 1), "at": int(record.finished_at)}
    if record.problem is not None and record.state.value != "done":
        version |= {"kind": record.problem.kind.value, "reason": _shorten(record.problem.message)}
    if record.handle is not None:
        version["request"] = record.handle.request_id
    if flags.get(record.id):
        version["flags"] = flags[record.id].split()
    return version


def _format_prompt(prompt: Any, cells: Sequence[str]) -> dict[str, Any]:
    """The prompt, or the number of the cell with the same text: prompts are most of a large page."""
    text = str(prompt)
    return {"promptCell": cells.index(text)} if text in cells else {"prompt": _shorten(text)}


def _format_file(
    path: str, sha256: str, width: int, height: int, features: Mapping[str, ImageFeatures]
) -> dict[str, Any]:
    picture = features.get(sha256)
    file: dict[str, Any] = {"path": path, "width": width, "height": height}
    if _VIDEO(path):
        return file | {"video": True}
    if picture is None or picture.problem:
        return file | {"problem": picture.problem if picture else "was not looked at"}
    if picture.large:
        file["large"] = f"thumbs/{to_thumb_name(sha256, large=True)}"
    return file | {"thumb": f"thumbs/{to_thumb_name(sha256)}"}


def _format_source(source: Any, features: Mapping[str, ImageFeatures]) -> dict[str, Any]:
    if isinstance(source, str):
        return {"link": _shorten(source)}
    picture = features.get(source["$sha256"])
    name = str(source["$file"]).rsplit("/", 1)[-1]
    if picture is None or picture.problem:
        return {"name": name, "problem": picture.problem if picture else "was not looked at"}
    sha256 = source["$sha256"]
    return {
        "name": name,
        "thumb": f"thumbs/{to_thumb_name(sha256)}",
        "large": f"thumbs/{to_thumb_name(sha256, large=True)}",
    }


def _shorten(text: str) -> str:
    """At most LONGEST characters, lone surrogates (which JSON can't hold) replaced."""
    return (text if len(text) <= LONGEST else text[:LONGEST] + "…").encode(errors="replace").decode()
