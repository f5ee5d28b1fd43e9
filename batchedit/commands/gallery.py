"""``gallery.html`` and what a gallery shows: lines, cells, thumbnails, flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..core.errors import OutputError
from ..core.model import Record, State
from ..core.money import format_usd, label_play
from ..core.plurals_and_durations import pluralize
from ..core.review import GalleryRow
from ..core.steps import ProgressCallback, Steps, no_steps, report_progress
from ..disk import is_inside
from ..images.thumbnails_and_features import Album, FeatureRequest, ImageFeatures
from ..ledger.book import Decisions
from ..manifest.cells import to_cell_text
from ..manifest.read import Form, Manifest, Row
from ..manifest.rownames import choose_row_word, find_row_id, to_sheet_flags, to_sheet_row
from ..results.files import write_all_results
from ..review.checks import Subject, flag_pictures
from ..review.page import render_gallery, write_page
from ..review.payload import Table, build_payload, list_sources
from ..run_folder import RunFolder
from .file_store import fetch_missing_files
from .kept_settings import Given
from .local_session import LocalSession, open_locally
from .play_money import is_play

THUMBNAILS = "making thumbnails"
"""The name of the step that makes thumbnails and measures pictures."""


@dataclass(frozen=True, slots=True)
class GalleryData:
    """Everything that a gallery shows but the decisions, which change while it is open."""

    gallery_rows: Sequence[GalleryRow]
    table: Table
    features: Mapping[str, ImageFeatures]
    flags: Mapping[int, str]
    about: Mapping[str, Any]

    def render_html(self, decisions: Decisions, *, served: bool, steps: Steps = no_steps) -> str:
        """The page with the current decisions."""
        about = {**self.about, "mode": "review" if served else "static", "seq": decisions.last_seq() if served else 0}
        with steps("making the page") as on_progress:
            data = build_payload(
                self.gallery_rows, self.table, self.features, self.flags, decisions.all(), about, on_progress
            )
            return render_gallery(data, served=served)


@dataclass(frozen=True, slots=True)
class WrittenGallery:
    """What ``gallery`` wrote for the folder ``run``: the page, its number of pictures, how many have a flag, and whether the
    flags could be kept.
    """

    run: Path
    path: Path
    pictures: int
    flagged: int
    kept: bool


def gallery(run_name: str, given: Given, steps: Steps = no_steps) -> WrittenGallery:
    """Write ``gallery.html``. Flags go into the checkpoint and the results, unless another process works on the run."""
    with open_locally(run_name, given, "gallery") as run:
        data = gather_gallery(run, steps)
        path = run.folder.path / "gallery.html"
        text = data.render_html(run.checkpoint.decisions, served=False, steps=steps)
        try:
            with steps(f"writing {path.name}"):
                write_page(path, text)
        except OSError as error:
            raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
        pictures = len({record.id for record in list_current_pictures(data.gallery_rows)})
        return WrittenGallery(run.folder.path, path, pictures, len(data.flags), run.writable)


def gather_gallery(run: LocalSession, steps: Steps = no_steps) -> GalleryData:
    """Read the run, make the missing thumbnails, check every picture."""
    with steps("reading the run") as on_progress:
        gallery_rows = run.checkpoint.read_gallery_rows(on_progress)
    files = (file for card in gallery_rows for record in card.versions for file in record.files)
    fetch_missing_files(run.objects, run.folder.path, files, steps)
    with steps("reading the sheet") as on_progress:
        manifest = run.open_manifest()
        form = manifest.form
        table = _read_table(manifest, on_progress)
    try:
        with steps(THUMBNAILS) as on_progress:
            features = Album(run.folder.thumbs).load_features(
                list_wanted_thumbnails(gallery_rows, run.folder, run.picture_roots), on_progress
            )
    except OSError as error:
        raise OutputError(f"thumbnails can't be written: {error.strerror or error}") from error
    with steps("checking pictures") as on_progress:
        sheet_cards = [
            to_sheet_card(card, form) for card in report_progress(gallery_rows, on_progress, 2 * len(gallery_rows))
        ]
        flags = flag_pictures(
            _list_subjects(gallery_rows, lambda done, _: on_progress(len(gallery_rows) + done, 2 * len(gallery_rows))),
            features,
        )
    if not _has_all_pictures(run, gallery_rows):
        flags = run.checkpoint.read_flags()
    elif run.writable and run.checkpoint.keep_flags(flags):
        write_all_results(run.checkpoint, run.folder, run.settings, play=is_play(run.checkpoint), steps=steps)
    flags = {job: to_sheet_flags(form, text) for job, text in flags.items()}
    return GalleryData(sheet_cards, table, features, flags, _build_about(run, gallery_rows))


def _has_all_pictures(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> bool:
    """True if every picture is here. Those of a run of a store may be on another machine only: its flags stay then."""
    files = {file.path for card in gallery_rows for record in card.versions for file in record.files}
    return not run.checkpoint.get("store") or all((run.folder.path / path).exists() for path in files)


def to_sheet_card(card: GalleryRow, form: Form) -> GalleryRow:
    """The card with the sheet's own row number and id, as a person sees them."""
    return replace(card, row=to_sheet_row(form, card.row), id=find_row_id(form, card.row, card.id))


def _read_table(manifest: Manifest, on_progress: ProgressCallback) -> Table:
    columns = tuple(manifest.columns)
    rows = {
        to_sheet_row(manifest.form, row.number): tuple(to_cell_text(row.cells.get(column)) for column in columns)
        if isinstance(row, Row)
        else (row.raw,)
        for row in report_progress(manifest.rows(), on_progress, manifest.estimate_rows())
    }
    return Table(columns, rows, choose_row_word(manifest.form))


def list_wanted_thumbnails(
    gallery_rows: Sequence[GalleryRow], folder: RunFolder, roots: Sequence[Path] | None = None
) -> Iterator[FeatureRequest]:
    """The pictures that the page shows: the sources below ``roots`` (None: all), and what was bought."""
    for record in {record.id: record for card in gallery_rows for record in card.versions}.values():
        for source in list_sources(record.job.inputs):
            if isinstance(source, dict) and (
                roots is None or any(is_inside(Path(source["$file"]), root) for root in roots)
            ):
                yield FeatureRequest(Path(source["$file"]), source["$sha256"], large=True, proven=False)
        for file in record.files:
            if file.width:  # 0 for a video
                yield FeatureRequest(folder.path / file.path, file.sha256, root=folder.path)


def _list_subjects(gallery_rows: Sequence[GalleryRow], on_progress: ProgressCallback) -> list[Subject]:
    subjects: dict[tuple[int, str], Subject] = {}
    for card in report_progress(gallery_rows, on_progress, len(gallery_rows)):
        for record in card.versions:
            sources = tuple(s["$sha256"] for s in list_sources(record.job.inputs) if isinstance(s, dict))
            for file in record.files:
                if file.width:
                    subject = Subject(record.id, card.row, record.job.size, file.sha256, sources)
                    subjects.setdefault((record.id, file.path), subject)
    return list(subjects.values())


def _build_about(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> dict[str, Any]:
    first = next((card.versions[-1].job.key for card in gallery_rows if card.versions), b"")
    folder = run.folder.path
    return {
        "name": folder.resolve().name,
        "folder": str(folder),
        "id": blake2b(folder.resolve().name.encode() + first, digest_size=8).hexdigest(),
        "summary": _format_summary(run, gallery_rows),
    }


def _format_summary(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> str:
    states = [card.versions[0].state for card in gallery_rows if card.versions]
    done, invalid = states.count(State.DONE), sum(not card.versions for card in gallery_rows)
    others = (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED, State.CANCELLED)
    parts = [f"{done:,} of {pluralize(len(gallery_rows), 'picture is', 'pictures are')} there"]
    parts += [f"{states.count(state):,} {state.replace('_', ' ')}" for state in others if state in states]
    if invalid:
        parts.append(f"{invalid:,} invalid")
    spent = format_usd(run.checkpoint.money().spent)
    return " · ".join([*parts, f"{spent} spent{label_play(is_play(run.checkpoint))}"])


def list_current_pictures(gallery_rows: Sequence[GalleryRow]) -> Iterator[Record]:
    for card in gallery_rows:
        if card.current is not None and card.current.state is State.DONE:
            yield card.current
