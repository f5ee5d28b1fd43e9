"""The result files of a run: the enriched manifest in its forms, what failed, what is in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
from filelock import FileLock

from ..core.model import Outcome
from ..core.steps import Steps, no_steps, report_progress
from ..disk import check_own, remove
from ..ledger.book import Book, Facts
from ..manifest.read import Form, FormKind, Manifest
from ..run_folder import RESULTS_LOCK, RunFolder, open_snapshot
from ..settings.model import Settings
from .writer import write_results

FAILED = frozenset({"failed", "invalid", "cancelled"})
"""What ``failed.csv`` holds, by ``result_status``."""


FILES_URL = "files_url"
"""The fact that holds the address of a run's pictures, if they are not in its folder alone."""
PLAY_FLAG = "play_money"
"""In ``result_flags``: the cost of this row is play money."""
_NUMBERS = "sheet"
"""What ``result_row`` counts: files that an earlier version of the program wrote with another count are written anew."""


def lock_results(folder: RunFolder) -> FileLock:
    """A lock on the result files: ``results`` may be typed while a run finishes, and the second writer waits."""
    path = folder.path / RESULTS_LOCK
    check_own(path)
    return FileLock(path)


def write_all_results(
    checkpoint: Book, folder: RunFolder, settings: Settings, *, play: bool, steps: Steps = no_steps
) -> list[str]:
    """``results.csv``, ``results.jsonl``, ``failed.csv``, ``in_doubt.csv``, if anything changed since last time. Returns what
    a form could not hold, each a sentence. ``play``: the costs are play money. Each file is one of ``steps``.
    """
    version = f"{checkpoint.change_token()}/{_NUMBERS}{f'/{PLAY_FLAG}' if play else ''}"
    if folder.find_snapshot() is None:
        return []
    manifest = open_snapshot(checkpoint, folder, settings)
    kinds = {
        FormKind.CSV,
        FormKind.JSONL,
        *([FormKind(settings.format)] if settings.format else _choose_own_kind(manifest)),
    }
    if checkpoint.get("results_written") == version and all(folder.results(kind).exists() for kind in kinds):
        return []
    with lock_results(folder):
        warnings = _write_forms(checkpoint, folder, settings, manifest, kinds, steps, play=play)
    checkpoint.put("results_written", version)
    return warnings


def _write_forms(
    checkpoint: Book,
    folder: RunFolder,
    settings: Settings,
    manifest: Manifest,
    kinds: set[FormKind],
    steps: Steps,
    *,
    play: bool,
) -> list[str]:
    warnings: list[str] = []
    added, rows = tuple(settings.over), _count_lines(checkpoint)
    for kind in sorted(kinds):
        with steps(_name_step(folder.results(kind))) as on_progress:
            write_results(
                manifest,
                report_progress(read_outcomes(checkpoint, play=play), on_progress, rows),
                folder.results(kind),
                form=adapt_form(manifest.form, kind),
                added=added,
                pictures=None if settings.no_thumbnails else folder.path,
                warn=warnings.append,
            )
    csv = adapt_form(manifest.form, FormKind.CSV)
    for path, is_chosen, has_lines in (
        (folder.failed, FAILED.__contains__, checkpoint.has_failures()),
        (folder.in_doubt, {"in_doubt"}.__contains__, bool(checkpoint.money().doubts)),
    ):
        count = 0
        if has_lines:
            with steps(_name_step(path)) as on_progress:
                outcomes = report_progress(
                    _read_with_replies(checkpoint, path == folder.in_doubt, play=play), on_progress, rows
                )
                count = write_results(manifest, outcomes, path, form=csv, only=is_chosen, added=added)
        if not count:
            remove(path)
    return warnings


def _name_step(path: Path) -> str:
    return f"writing {path.name}"


def _count_lines(checkpoint: Book) -> int:
    """About how many lines the results have: those of duplicates and of invalid rows are not counted."""
    return sum(checkpoint.counts().by_state.values())


def _read_with_replies(checkpoint: Book, with_replies: bool, *, play: bool) -> Iterator[Outcome]:
    """The outcomes. ``with_replies``: those in doubt also quote the reply to their POST, where it may hold an id."""
    if not with_replies:
        yield from read_outcomes(checkpoint, play=play)
        return
    replies = checkpoint.read_lost_replies()
    for outcome in read_outcomes(checkpoint, play=play):
        reply = replies.get(outcome.key)
        yield outcome._replace(problem=f"{outcome.problem}\n{reply}") if reply else outcome


def read_outcomes(checkpoint: Book, *, play: bool) -> Iterator[Outcome]:
    """The outcomes as a results file shows them. ``play``: their costs are play money."""
    return label_costs(_name_by_address(checkpoint.read_outcomes(), checkpoint), play=play)


def label_costs(outcomes: Iterator[Outcome], *, play: bool) -> Iterator[Outcome]:
    """The outcomes; with ``play``, those with a cost of their own get ``PLAY_FLAG``. What another run bought may have been
    paid for, and gets none.
    """
    for outcome in outcomes:
        labelled = play and outcome.cost is not None and not outcome.reused_from
        yield outcome._replace(flags=f"{outcome.flags} {PLAY_FLAG}".strip()) if labelled else outcome


def _name_by_address(outcomes: Iterator[Outcome], checkpoint: Facts) -> Iterator[Outcome]:
    """The outcomes, their pictures named by their addresses in the store of files, if there is one."""
    base_address = checkpoint.get(FILES_URL)
    if not base_address:
        yield from outcomes
        return
    for outcome in outcomes:
        files = (
            [[f"{base_address}/{path}", *rest] for path, *rest in orjson.loads(outcome.files)] if outcome.files else []
        )
        yield outcome._replace(files=orjson.dumps(files).decode() if files else "")


def _choose_own_kind(manifest: Manifest) -> list[FormKind]:
    """The form of an Excel or Parquet manifest: its results are written in it, besides the two forms of every run."""
    return [kind for kind in (FormKind.XLSX, FormKind.PARQUET) if manifest.form.kind is kind]


def adapt_form(form: Form, kind: FormKind) -> Form:
    """The manifest's form if it is of ``kind``, else the default form of that kind.

    CSV gets a byte order mark where Excel would otherwise misread its encoding.
    """
    if form.kind is kind:
        unmarked = form.encoding.startswith("utf-16") or (form.encoding == "utf-8" and not form.ascii)
        return replace(form, compression="", bom=form.bom or (kind is FormKind.CSV and unmarked))
    return Form(kind, bom=kind is FormKind.CSV)


def write_results_as(
    checkpoint: Book,
    folder: RunFolder,
    settings: Settings,
    kind: str | None,
    to: Path | None,
    warn: Callable[[str], None] | None = None,
    steps: Steps = no_steps,
    *,
    play: bool,
) -> Path:
    """Write the enriched manifest in its own form or ``kind``; returns its path. ``warn`` is called with what that form can't
    hold. ``play``: its costs are play money. NotFoundError before the first intake.
    """
    manifest = open_snapshot(checkpoint, folder, settings)
    form_kind = FormKind(kind) if kind else manifest.form.kind
    path = to or folder.results(form_kind.value)
    form = adapt_form(manifest.form, form_kind)
    with lock_results(folder):
        pictures = None if settings.no_thumbnails else folder.path
        with steps(_name_step(path)) as on_progress:
            write_results(
                manifest,
                report_progress(read_outcomes(checkpoint, play=play), on_progress, _count_lines(checkpoint)),
                path,
                form=form,
                added=tuple(settings.over),
                pictures=pictures,
                warn=warn,
            )
    return path
