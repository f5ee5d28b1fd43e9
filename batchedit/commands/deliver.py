"""``batchedit deliver``: exports the approved pictures with manifest, checksums, contact sheet and log of approvals."""

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
from ..core.money import to_plain_usd
from ..core.plurals_and_durations import pluralize
from ..core.review import GalleryRow, PictureDecision, ReviewProgress, Verdict
from ..core.shell_commands import format_command
from ..core.steps import Steps, no_steps, report_progress
from ..images.thumbnails_and_features import Album, to_thumb_name
from ..jobs.signatures import strip_signature
from ..ledger.book import Decisions
from ..ledger.gallery_rows import build_outcomes
from ..manifest.read import Form, FormKind, Manifest, Row
from ..manifest.rownames import describe_row, to_sheet_row
from ..results.columns import escape_formula, format_utc_time
from ..results.files import PLAY_FLAG, adapt_form, label_costs
from ..results.writer import write_results
from ..review.contact import Print, write_contact_sheet
from ..review.deliver import DeliveryFile, Picture
from ..review.deliver import deliver as deliver_to
from ..review.package import check_target
from ..review.signing import Signer
from .file_store import fetch_missing_files
from .gallery import THUMBNAILS, list_wanted_thumbnails
from .kept_settings import Given
from .local_session import LocalSession, open_locally
from .play_money import is_play
from .review import count_progress


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was delivered from the folder ``run``, where to, and how far the review was."""

    run: Path
    to: Path
    pictures: int
    bytes: int
    progress: ReviewProgress


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
    """Copy the approved pictures with their manifest, checksums, contact sheet and the log of approvals.

    The reader is a client: without ``with_costs`` the manifest holds no price, no link to the service's copy and no signature
    of a link, which would let its reader fetch what is not public.
    With a ``signer`` SHA256SUMS, and so every file and the log of approvals, is signed.
    Of several approved versions the newest is delivered. UsageError if none is approved or ``to`` exists.
    """
    check_target(to, zipped=to.suffix.lower() == ".zip", force=force)
    with open_locally(run_name, given, "deliver") as run:
        decisions = run.checkpoint.decisions
        current_decisions = decisions.all()
        with steps("reading the run") as on_progress:
            gallery_rows = run.checkpoint.read_gallery_rows(on_progress)
        chosen = [
            (card, record) for card in gallery_rows if (record := _find_approved(card, current_decisions)) is not None
        ]
        review_progress = count_progress(gallery_rows, current_decisions)
        if not chosen:
            raise UsageError(
                f"none of the {pluralize(review_progress.pictures, 'picture')} is approved, so there is nothing to deliver",
                hint=f"approve them first: {format_command('review', run.folder.path)}",
            )
        files = {file.path: file for _, record in chosen for file in record.files}
        root = run.folder.path
        fetch_missing_files(run.objects, root, files.values(), steps)
        pictures = [Picture(root / path, path, file.sha256, root) for path, file in files.items()]
        with TemporaryDirectory(prefix="batchedit-") as scratch:
            write_documents = partial(_write_documents, run, chosen, decisions, Path(scratch), with_costs, steps)
            with steps("copying pictures") as on_progress:
                size = deliver_to(
                    pictures, _iterate_lazily(write_documents), to, force=force, on_progress=on_progress, signer=signer
                )
        return Delivered(root, to, len(pictures), size, review_progress)


def _find_approved(card: GalleryRow, decisions: Mapping[int, PictureDecision]) -> Record | None:
    """The version to deliver: the one that the line asks for if it is approved, else the newest approved one."""
    for record in card.versions:
        if record.state is State.DONE and record.id in decisions and decisions[record.id].verdict is Verdict.APPROVE:
            return record
    return None


def _iterate_lazily(write_documents: Callable[[], list[DeliveryFile]]) -> Iterator[DeliveryFile]:
    yield from write_documents()


def _write_documents(
    run: LocalSession,
    chosen: list[tuple[GalleryRow, Record]],
    decisions: Decisions,
    scratch: Path,
    with_costs: bool,
    steps: Steps,
) -> list[DeliveryFile]:
    selection = _RowSelection if with_costs else _ClientRowSelection
    manifest = selection(run.open_manifest(), frozenset(card.row for card, _ in chosen))
    flags, added, play = run.checkpoint.read_flags(), tuple(run.settings.over), is_play(run.checkpoint)
    for kind in (FormKind.CSV, FormKind.JSONL):
        form = adapt_form(manifest.form, kind)
        outcomes = (line._replace(decision=Verdict.APPROVE.value) for line in build_outcomes(chosen, flags))
        labelled = label_costs(outcomes, play=play) if with_costs else map(_redact_for_client, outcomes)
        with steps(f"writing manifest.{kind}") as on_progress:
            lines = report_progress(labelled, on_progress, len(chosen))
            write_results(manifest, lines, scratch / f"manifest.{kind}", form=form, added=added)
    (scratch / "approvals.csv").write_text(
        _format_approvals(chosen, decisions, manifest.form, with_costs=with_costs, play=play),
        encoding="utf-8",
        newline="",
    )
    album = Album(run.folder.thumbs)
    with steps(THUMBNAILS) as on_progress:
        approved_cards = [replace(card, versions=(record,)) for card, record in chosen]
        album.load_features(list_wanted_thumbnails(approved_cards, run.folder, run.picture_roots), on_progress)
    title = f"{run.folder.path.resolve().name}: {len(chosen):,} approved"
    with steps("writing contact-sheet.pdf") as on_progress:
        write_contact_sheet(
            list_prints(chosen, album.folder, manifest.form), scratch / "contact-sheet.pdf", title, on_progress
        )
    names = ("manifest.csv", "manifest.jsonl", "approvals.csv", "contact-sheet.pdf")
    return [DeliveryFile(scratch / name, name) for name in names]


class _RowSelection:
    """A manifest with only some of its rows."""

    def __init__(self, manifest: Manifest, rows: frozenset[int]) -> None:
        self._manifest, self._rows = manifest, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manifest, name)

    def rows(self) -> Iterator[Any]:
        """Those rows, in order."""
        return (row for row in self._manifest.rows() if row.number in self._rows)


class _ClientRowSelection(_RowSelection):
    """The same, with links without their signatures."""

    dropped = True
    """The rows' own text is not copied: it holds the links with their signatures."""

    def rows(self) -> Iterator[Any]:
        for row in super().rows():
            if isinstance(row, Row):
                yield row._replace(cells={name: _strip_signatures(cell) for name, cell in row.cells.items()})
            else:
                yield row


_LINK = re.compile(r"https?://[^\s|<>\"]+", re.IGNORECASE)


def _strip_signatures(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_strip_signatures(item) for item in cell]
    if not isinstance(cell, str) or "://" not in cell:
        return cell
    return _LINK.sub(lambda link: strip_signature(link.group()), cell)


def _redact_for_client(outcome: Outcome) -> Outcome:
    files = [[*file[:5], ""] for file in orjson.loads(outcome.files)] if outcome.files else []
    return outcome._replace(cost=None, url="", files=orjson.dumps(files).decode() if files else "")


def list_prints(chosen: list[tuple[GalleryRow, Record]], thumbs: Path, form: Form) -> list[Print]:
    """The contact sheet's pictures in order, each with its file's name and its row's number in the sheet."""
    return [
        Print(
            thumbs / to_thumb_name(file.sha256) if file.width else None,
            Path(file.path).name,
            " · ".join(
                part
                for part in (describe_row(form, card.row, card.id), record.job.size, f"v{record.job.version}")
                if part
            ),
        )
        for card, record in chosen
        for file in record.files
    ]


def _format_approvals(
    chosen: list[tuple[GalleryRow, Record]], decisions: Decisions, form: Form, *, with_costs: bool, play: bool
) -> str:
    """The log as CSV: all decisions about all versions of what is delivered, in the order in which they were made, with one
    line for each picture of the version. Where the costs are play money a last column says so.
    """
    label = [PLAY_FLAG] if with_costs and play else []
    versions = {record.id: (card, record) for card, _ in chosen for record in card.versions}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("when", "who", "decision", "note", "row", "id", "file", "version", "by", *_PROOF_COLUMNS, *label))
    for event in decisions.events():
        if event.job in versions:
            card, record = versions[event.job]
            decision_cells = (
                format_utc_time(event.at),
                escape_formula(event.who),
                event.verdict or "taken back",
                escape_formula(event.note),
            )
            row_cells = (to_sheet_row(form, card.row), escape_formula(card.id))
            for file, *proof in _list_proofs(record, with_costs):
                labels = ["yes" if proof[-1] else ""] * len(label)
                writer.writerow((*decision_cells, *row_cells, file, record.job.version, event.via, *proof, *labels))
    return text.getvalue()


_PROOF_COLUMNS = ("sha256", "inputs_sha256", "cost_usd")


def _list_proofs(record: Record, with_costs: bool) -> Iterator[tuple[str, str, str, str]]:
    """For each picture of a version: its file, that file's digest, the digest of the job's inputs, and beside the first the
    job's cost.
    """
    cost = "" if record.cost is None or not with_costs else to_plain_usd(record.cost)
    inputs = sha256(record.job.inputs.encode("utf-8", "surrogateescape")).hexdigest()
    files = [(file.path, file.sha256) for file in record.files] or [("", "")]
    for index, (path, digest) in enumerate(files):
        yield path, digest, inputs, "" if index else cost
