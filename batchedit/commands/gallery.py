"""``gallery.html`` and what a gallery shows: lines, cells, thumbnails, what a machine found odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..core.errors import OutputError
from ..core.model import Record, State
from ..core.money import format_usd, label_play
from ..core.review import GalleryRow
from ..core.steps import ProgressCallback, Steps, counted, no_steps
from ..core.words import number
from ..disk import is_inside
from ..images.features import Album, ImageFeatures, Wanted
from ..ledger.book import Decisions
from ..manifest.cells import text_of
from ..manifest.read import Form, Manifest, Row
from ..manifest.rownames import row_id, row_word, sheet_flags, sheet_row
from ..results.files import write_all
from ..review.checks import Subject, check
from ..review.page import render, write_page
from ..review.payload import Table, payload, sources_of
from ..run_folder import RunFolder
from .file_store import bring
from .kept_settings import Given
from .local_session import LocalSession, opened_locally
from .play import is_play

THUMBNAILS = "making thumbnails"
"""The step that looks at pictures."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything a gallery shows but the marks, which change while it is looked at."""

    gallery_rows: Sequence[GalleryRow]
    table: Table
    looks: Mapping[str, ImageFeatures]
    flags: Mapping[int, str]
    about: Mapping[str, Any]

    def html(self, marks: Decisions, *, served: bool, steps: Steps = no_steps) -> str:
        """The page with the marks as they stand."""
        about = {**self.about, "mode": "review" if served else "static", "seq": marks.last_seq() if served else 0}
        with steps("making the page") as told:
            data = payload(self.gallery_rows, self.table, self.looks, self.flags, marks.all(), about, told)
            return render(data, served=served)


@dataclass(frozen=True, slots=True)
class GalleryMade:
    """What ``gallery`` made of the folder ``run``: the page, its pictures, how many have a flag, and whether flags could be
    kept.
    """

    run: Path
    path: Path
    pictures: int
    flagged: int
    kept: bool


def gallery(run_name: str, given: Given, steps: Steps = no_steps) -> GalleryMade:
    """Write ``gallery.html``. Flags go into the checkpoint and the results, unless another process works on the run."""
    with opened_locally(run_name, given, "gallery") as run:
        found = gather(run, steps)
        path = run.folder.path / "gallery.html"
        text = found.html(run.checkpoint.decisions, served=False, steps=steps)
        try:
            with steps(f"writing {path.name}"):
                write_page(path, text)
        except OSError as error:
            raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
        pictures = len({shot.id for shot in current_pictures(found.gallery_rows)})
        return GalleryMade(run.folder.path, path, pictures, len(found.flags), run.writable)


def gather(run: LocalSession, steps: Steps = no_steps) -> Gathered:
    """Read the run, make what thumbnails are missing, check every picture."""
    with steps("reading the run") as told:
        gallery_rows = run.checkpoint.read_gallery_rows(told)
    files = (file for card in gallery_rows for shot in card.versions for file in shot.files)
    bring(run.objects, run.folder.path, files, steps)
    with steps("reading the sheet") as told:
        manifest = run.manifest()
        form = manifest.form
        table = _table(manifest, told)
    try:
        with steps(THUMBNAILS) as told:
            looks = Album(run.folder.thumbs).look(wanted(gallery_rows, run.folder, run.picture_roots), told)
    except OSError as error:
        raise OutputError(f"thumbnails can't be written: {error.strerror or error}") from error
    with steps("checking pictures") as told:
        seen = [shown_card(card, form) for card in counted(gallery_rows, told, 2 * len(gallery_rows))]
        flags = check(
            _subjects(gallery_rows, lambda done, _: told(len(gallery_rows) + done, 2 * len(gallery_rows))), looks
        )
    if not _all_here(run, gallery_rows):
        flags = run.checkpoint.read_flags()
    elif run.writable and run.checkpoint.keep_flags(flags):
        write_all(run.checkpoint, run.folder, run.settings, play=is_play(run.checkpoint), steps=steps)
    flags = {job: sheet_flags(form, text) for job, text in flags.items()}
    return Gathered(seen, table, looks, flags, _about(run, gallery_rows))


def _all_here(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> bool:
    """Of a run of a store pictures may lie on another machine only: what that one found odd about them stands."""
    files = {file.path for card in gallery_rows for shot in card.versions for file in shot.files}
    return not run.checkpoint.get("store") or all((run.folder.path / path).exists() for path in files)


def shown_card(card: GalleryRow, form: Form) -> GalleryRow:
    """A card with the row's own number and id, as a person sees them."""
    return replace(card, row=sheet_row(form, card.row), id=row_id(form, card.row, card.id))


def _table(manifest: Manifest, told: ProgressCallback) -> Table:
    columns = tuple(manifest.columns)
    rows = {
        sheet_row(manifest.form, row.number): tuple(text_of(row.cells.get(column)) for column in columns)
        if isinstance(row, Row)
        else (row.raw,)
        for row in counted(manifest.rows(), told, manifest.expected())
    }
    return Table(columns, rows, row_word(manifest.form))


def wanted(
    gallery_rows: Sequence[GalleryRow], folder: RunFolder, roots: Sequence[Path] | None = None
) -> Iterator[Wanted]:
    """The pictures that the page shows: the sources that lie below ``roots`` (None: all), and what was bought."""
    for shot in {shot.id: shot for card in gallery_rows for shot in card.versions}.values():
        for source in sources_of(shot.job.inputs):
            if isinstance(source, dict) and (
                roots is None or any(is_inside(Path(source["$file"]), root) for root in roots)
            ):
                yield Wanted(Path(source["$file"]), source["$sha256"], large=True, proven=False)
        for file in shot.files:
            if file.width:  # 0 for a video
                yield Wanted(folder.path / file.path, file.sha256, root=folder.path)


def _subjects(gallery_rows: Sequence[GalleryRow], told: ProgressCallback) -> list[Subject]:
    found: dict[tuple[int, str], Subject] = {}
    for card in counted(gallery_rows, told, len(gallery_rows)):
        for shot in card.versions:
            sources = tuple(s["$sha256"] for s in sources_of(shot.job.inputs) if isinstance(s, dict))
            for file in shot.files:
                if file.width:
                    subject = Subject(shot.id, card.row, shot.job.size, file.sha256, sources)
                    found.setdefault((shot.id, file.path), subject)
    return list(found.values())


def _about(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> dict[str, Any]:
    first = next((card.versions[-1].job.key for card in gallery_rows if card.versions), b"")
    folder = run.folder.path
    return {
        "name": folder.resolve().name,
        "folder": str(folder),
        "id": blake2b(folder.resolve().name.encode() + first, digest_size=8).hexdigest(),
        "summary": _summary(run, gallery_rows),
    }


def _summary(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> str:
    states = [card.versions[0].state for card in gallery_rows if card.versions]
    done, invalid = states.count(State.DONE), sum(not card.versions for card in gallery_rows)
    others = (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED, State.CANCELLED)
    parts = [f"{done:,} of {number(len(gallery_rows), 'picture is', 'pictures are')} there"]
    parts += [f"{states.count(state):,} {state.replace('_', ' ')}" for state in others if state in states]
    if invalid:
        parts.append(f"{invalid:,} invalid")
    spent = format_usd(run.checkpoint.money().spent)
    return " · ".join([*parts, f"{spent} spent{label_play(is_play(run.checkpoint))}"])


def current_pictures(gallery_rows: Sequence[GalleryRow]) -> Iterator[Record]:
    for card in gallery_rows:
        if card.current is not None and card.current.state is State.DONE:
            yield card.current
