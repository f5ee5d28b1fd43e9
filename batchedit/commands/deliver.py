"""The approved ones, handed on with their papers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from ..core.errors import UsageError
from ..core.model import Outcome, Record, State
from ..core.money import type_usd
from ..core.review import GalleryRow, Mark, Progress, Verdict
from ..core.steps import Steps, counted, no_steps
from ..core.typed import to_type
from ..core.words import number
from ..images.features import Album, thumb_name
from ..jobs.signatures import unsigned
from ..ledger.book import Decisions
from ..ledger.gallery_rows import build_outcomes
from ..manifest.read import Form, FormKind, Manifest, Row
from ..manifest.rownames import row_name, sheet_row
from ..results.columns import harmless, moment
from ..results.files import PLAY_FLAG, form_as, label_costs
from ..results.writer import write_results
from ..review.contact import Print, contact_sheet
from ..review.deliver import Picture, Piece
from ..review.deliver import deliver as deliver_to
from ..review.package import check_target
from ..review.signing import Signer
from .file_store import bring
from .gallery import THUMBNAILS, wanted
from .kept_settings import Given
from .local_session import LocalSession, opened_locally
from .play import is_play
from .review import progress


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was handed on of the folder ``run``, where to, and how far the looking was."""

    run: Path
    to: Path
    pictures: int
    bytes: int
    progress: Progress


def deliver(
    run_name: str,
    given: Given,
    to: Path,
    *,
    force: bool = False,
    with_costs: bool = False,
    steps: Steps = no_steps,
    signer: Signer | None = None,
) -> Delivered:
    """Copies of the approved pictures with their manifest, checksums, contact sheet and the log of approvals.

    A client reads it: without ``with_costs`` the manifest holds no price, no link to the service's copy and no signature
    of a link, which would let its reader fetch what is not public.
    With a ``signer`` SHA256SUMS, and so every file and the log of approvals, is signed.
    Of several approved versions the newest is delivered. UsageError if none is approved or ``to`` is there already.
    """
    check_target(to, zipped=to.suffix.lower() == ".zip", force=force)
    with opened_locally(run_name, given, "deliver") as run:
        marks = run.checkpoint.decisions
        standing = marks.all()
        with steps("reading the run") as told:
            gallery_rows = run.checkpoint.read_gallery_rows(told)
        chosen = [(card, shot) for card in gallery_rows if (shot := _approved(card, standing)) is not None]
        looking = progress(gallery_rows, standing)
        if not chosen:
            raise UsageError(
                f"none of the {number(looking.pictures, 'picture')} is approved, so there is nothing to deliver",
                hint=f"approve them first: {to_type('review', run.folder.path)}",
            )
        files = {file.path: file for _, shot in chosen for file in shot.files}
        root = run.folder.path
        bring(run.objects, root, files.values(), steps)
        pictures = [Picture(root / path, path, file.sha256, root) for path, file in files.items()]
        with TemporaryDirectory(prefix="batchedit-") as scratch:
            papers = partial(_papers, run, chosen, marks, Path(scratch), with_costs, steps)
            with steps("copying pictures") as told:
                size = deliver_to(pictures, _lazily(papers), to, force=force, told=told, signer=signer)
        return Delivered(root, to, len(pictures), size, looking)


def _approved(card: GalleryRow, marks: Mapping[int, Mark]) -> Record | None:
    """The version to deliver: the one the line asks for if it is approved, else the newest that is."""
    for shot in card.versions:
        if shot.state is State.DONE and shot.id in marks and marks[shot.id].verdict is Verdict.APPROVE:
            return shot
    return None


def _lazily(papers: Callable[[], list[Piece]]) -> Iterator[Piece]:
    yield from papers()


def _papers(
    run: LocalSession,
    chosen: list[tuple[GalleryRow, Record]],
    marks: Decisions,
    scratch: Path,
    with_costs: bool,
    steps: Steps,
) -> list[Piece]:
    picked = _Picked if with_costs else _PickedForClient
    manifest = picked(run.manifest(), frozenset(card.row for card, _ in chosen))
    flags, added, play = run.checkpoint.read_flags(), tuple(run.settings.over), is_play(run.checkpoint)
    for kind in (FormKind.CSV, FormKind.JSONL):
        form = form_as(manifest.form, kind)
        outcomes = (line._replace(decision=Verdict.APPROVE.value) for line in build_outcomes(chosen, flags))
        shown = label_costs(outcomes, play=play) if with_costs else map(_for_client, outcomes)
        with steps(f"writing manifest.{kind}") as told:
            lines = counted(shown, told, len(chosen))
            write_results(manifest, lines, scratch / f"manifest.{kind}", form=form, added=added)
    (scratch / "approvals.csv").write_text(
        _approvals(chosen, marks, manifest.form, with_costs=with_costs, play=play), encoding="utf-8", newline=""
    )
    album = Album(run.folder.thumbs)
    with steps(THUMBNAILS) as told:
        versions = [replace(card, versions=(shot,)) for card, shot in chosen]
        album.look(wanted(versions, run.folder, run.picture_roots), told)
    title = f"{run.folder.path.resolve().name}: {len(chosen):,} approved"
    with steps("writing contact-sheet.pdf") as told:
        contact_sheet(prints_of(chosen, album.folder, manifest.form), scratch / "contact-sheet.pdf", title, told)
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


class _PickedForClient(_Picked):
    """The same, its links without what signs them."""

    dropped = True
    """The rows' own text is not copied: it holds the links as they were."""

    def rows(self) -> Iterator[Any]:
        for row in super().rows():
            if isinstance(row, Row):
                yield row._replace(cells={name: _unsigned(cell) for name, cell in row.cells.items()})
            else:
                yield row


_LINK = re.compile(r"https?://[^\s|<>\"]+", re.IGNORECASE)


def _unsigned(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_unsigned(item) for item in cell]
    if not isinstance(cell, str) or "://" not in cell:
        return cell
    return _LINK.sub(lambda link: unsigned(link.group()), cell)


def _for_client(outcome: Outcome) -> Outcome:
    files = [[*file[:5], ""] for file in orjson.loads(outcome.files)] if outcome.files else []
    return outcome._replace(cost=None, url="", files=orjson.dumps(files).decode() if files else "")


def prints_of(chosen: list[tuple[GalleryRow, Record]], thumbs: Path, form: Form) -> list[Print]:
    """The contact sheet's pictures in order, each with its file's name and its row's number in the sheet."""
    return [
        Print(
            thumbs / thumb_name(file.sha256) if file.width else None,
            Path(file.path).name,
            " · ".join(
                part for part in (row_name(form, card.row, card.id), shot.job.size, f"v{shot.job.version}") if part
            ),
        )
        for card, shot in chosen
        for file in shot.files
    ]


def _approvals(
    chosen: list[tuple[GalleryRow, Record]], marks: Decisions, form: Form, *, with_costs: bool, play: bool
) -> str:
    """The log as CSV: every decision about every version of what is delivered, in the order in which it was made; a line for
    each picture that it is about. Where the costs are play money a last column says so.
    """
    label = [PLAY_FLAG] if with_costs and play else []
    about = {shot.id: (card, shot) for card, _ in chosen for shot in card.versions}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("when", "who", "decision", "note", "row", "id", "file", "version", "by", *_PROOF, *label))
    for event in marks.events():
        if event.job in about:
            card, shot = about[event.job]
            said = (moment(event.at), harmless(event.who), event.verdict or "taken back", harmless(event.note))
            named = (sheet_row(form, card.row), harmless(card.id))
            for file, *proof in _proofs(shot, with_costs):
                labels = ["yes" if proof[-1] else ""] * len(label)
                writer.writerow((*said, *named, file, shot.job.version, event.via, *proof, *labels))
    return text.getvalue()


_PROOF = ("sha256", "inputs_sha256", "cost_usd")


def _proofs(shot: Record, with_costs: bool) -> Iterator[tuple[str, str, str, str]]:
    """What a decision was about, by picture: its file and the digest of that, the digest of the inputs that it was made from,
    and the job's cost beside the first.
    """
    cost = "" if shot.cost is None or not with_costs else type_usd(shot.cost)
    inputs = sha256(shot.job.inputs.encode("utf-8", "surrogateescape")).hexdigest()
    files = [(file.path, file.sha256) for file in shot.files] or [("", "")]
    for place, (path, digest) in enumerate(files):
        yield path, digest, inputs, "" if place else cost
