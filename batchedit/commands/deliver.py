"""The approved ones, handed on with their papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..core.errors import UsageError
from ..core.model import Record, State
from ..core.review import Card, Mark, Progress, Verdict
from ..images.features import Album, Told, thumb_name, untold
from ..ledger.decisions import Marks
from ..ledger.gallery_rows import outcomes_of, read_cards, read_flags
from ..manifest.read import FormKind, Manifest
from ..results.columns import harmless, moment
from ..results.files import form_as
from ..results.writer import write_results
from ..review.contact import Print, contact_sheet
from ..review.deliver import Piece
from ..review.deliver import deliver as deliver_to
from ..review.package import check_target
from .gallery import wanted
from .local_session import Run, opened
from .review import progress
from .run import Given


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was handed on, where, and how far the looking was."""

    to: Path
    pictures: int
    bytes: int
    progress: Progress


def deliver(run_name: str, given: Given, to: Path, *, force: bool = False, told: Told = untold) -> Delivered:
    """Copies of the approved pictures with their manifest, checksums, contact sheet and the log of approvals.

    Of several approved versions the newest is delivered. UsageError if none is approved or ``to`` is there already.
    """
    check_target(to, zipped=to.suffix.lower() == ".zip", force=force)
    with opened(run_name, given, "deliver", may_read_only=True) as run:
        marks = Marks(run.checkpoint)
        standing = marks.all()
        cards = read_cards(run.checkpoint)
        chosen = [(card, shot) for card in cards if (shot := _approved(card, standing)) is not None]
        looking = progress(cards, standing)
        if not chosen:
            raise UsageError(
                f"none of the {looking.pictures:,} pictures is approved, so there is nothing to deliver",
                hint=f"approve them first: batchedit review {run_name}",
            )
        files = {file.path: file for _, shot in chosen for file in shot.files}
        pictures = [Piece(run.folder.path / path, path, file.sha256) for path, file in files.items()]
        with TemporaryDirectory(prefix="batchedit-") as scratch:
            papers = partial(_papers, run, chosen, marks, Path(scratch))
            size = deliver_to(pictures, _lazily(papers), to, force=force, told=told)
        return Delivered(to, len(pictures), size, looking)


def _approved(card: Card, marks: Mapping[int, Mark]) -> Record | None:
    """The version to deliver: the one the line asks for if it is approved, else the newest that is."""
    for shot in card.shots:
        if shot.state is State.DONE and shot.id in marks and marks[shot.id].verdict is Verdict.APPROVE:
            return shot
    return None


def _lazily(papers: Callable[[], list[Piece]]) -> Iterator[Piece]:
    yield from papers()


def _papers(run: Run, chosen: list[tuple[Card, Record]], marks: Marks, scratch: Path) -> list[Piece]:
    manifest = _Picked(run.manifest(), frozenset(card.row for card, _ in chosen))
    flags, added = read_flags(run.checkpoint), tuple(run.settings.over)
    for kind in (FormKind.CSV, FormKind.JSONL):
        form = form_as(manifest.form, kind)
        write_results(manifest, outcomes_of(chosen, flags), scratch / f"manifest.{kind}", form=form, added=added)
    (scratch / "approvals.csv").write_text(_approvals(chosen, marks), encoding="utf-8", newline="")
    album = Album(run.folder.path / "thumbs")
    album.look(wanted([replace(card, shots=(shot,)) for card, shot in chosen], run.folder))
    title = f"{run.folder.path.resolve().name}: {len(chosen):,} approved"
    contact_sheet(_prints(chosen, album.folder), scratch / "contact-sheet.pdf", title)
    names = ("manifest.csv", "manifest.jsonl", "approvals.csv", "contact-sheet.pdf")
    return [Piece(scratch / name, name) for name in names]


class _Picked:
    """A manifest of which only some rows are there."""

    def __init__(self, manifest: Manifest, rows: frozenset[int]) -> None:
        self._manifest, self._rows = manifest, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manifest, name)

    def rows(self) -> Iterator[Any]:
        """Those rows, in order."""
        return (row for row in self._manifest.rows() if row.number in self._rows)


def _prints(chosen: list[tuple[Card, Record]], thumbs: Path) -> list[Print]:
    return [
        Print(
            thumbs / thumb_name(file.sha256) if file.width else None,
            Path(file.path).name,
            " · ".join(part for part in (f"row {card.row}", shot.job.size, f"v{shot.job.version}") if part),
        )
        for card, shot in chosen
        for file in shot.files
    ]


def _approvals(chosen: list[tuple[Card, Record]], marks: Marks) -> str:
    """The log as CSV: every decision about every version of what is delivered, in the order in which it was made."""
    about = {shot.id: (card, shot) for card, _ in chosen for shot in card.shots}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("when", "who", "decision", "note", "row", "id", "file", "version", "by"))
    for event in marks.events():
        if event.job in about:
            card, shot = about[event.job]
            file = shot.files[0].path if shot.files else ""
            said = (moment(event.at), harmless(event.who), event.verdict or "taken back", harmless(event.note))
            writer.writerow((*said, card.row, harmless(card.id), file, shot.job.version, event.via))
    return text.getvalue()
