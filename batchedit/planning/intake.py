"""From a manifest to jobs and to a plan: rows are read, judged, counted and, by ``run``, taken in. Nothing is sent here."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from socket import gethostname

from ..core.errors import ManifestError, UsageError
from ..core.model import InvalidLine, JobKey, ResultLine, State
from ..core.steps import EVERY, ProgressCallback, no_progress
from ..core.typed import quoted
from ..core.words import number
from ..disk import remove
from ..jobs.expand import Expander, Known, Recipe, expand_all
from ..jobs.identity import FILE, SHA256
from ..ledger.book import Book
from ..ledger.opening import reading
from ..manifest.read import Form, Manifest, ending
from ..manifest.rownames import row_id, row_name, row_word, sheet_row
from ..ports import HasElsewhere, StateOf, Stop
from ..run_folder import FORM_META, RunFolder, digest_of
from ..runcomfy.catalogue import Model
from ..settings.model import ManifestOptions, Settings
from ..settings.toml import describe_changed_settings
from .edits import Edit, told_apart
from .link_check import Links, is_bought
from .other_runs import OtherRuns, Tally, warnings_of
from .plan import Plan, capped, plan_of_the_rest, shown_invalid, shown_line
from .previous import ROW_NAMES_META, SHEETS_OWN, SOURCE_HOST, PreviousRun, before_of
from .recipe import make_recipe
from .remarks import link_notes, merged, warnings_of_sheet
from .run_settings import keep_settings
from .survey import Survey, plan, survey_text, take_in

INTAKE_VERSION = "2"
"""Part of a manifest's fingerprint: a new way of making jobs reads every manifest anew."""


KeepPictures = Callable[[Mapping[str, Path]], None]
"""Called before the jobs that need them may be bought."""


@dataclass(frozen=True, slots=True)
class IntakeRequest:
    """A manifest, and all that its rows become jobs with.

    ``content`` is the digest that ``source`` had before ``manifest`` was opened: a sheet that was saved since may have other
    columns, and is refused. None where nobody else writes to it. ``links`` is what ``--check-images`` found out, ``runs`` are
    the other runs of this person. ``keep_pictures`` puts local pictures, by their sha256, where every worker can read them.
    """

    manifest: Manifest
    source: Path
    folder: RunFolder
    settings: Settings
    model: Model
    content: str | None = None
    links: Links | None = None
    runs: OtherRuns | None = None
    keep_pictures: KeepPictures | None = None


@dataclass(frozen=True, slots=True)
class _Count:
    """A manifest on its way to jobs, counted while its lines go by; ``before`` is how the run stood."""

    request: IntakeRequest
    before: PreviousRun
    recipe: Recipe
    expander: Expander
    survey: Survey
    tally: Tally

    @classmethod
    def begin(cls, request: IntakeRequest, before: PreviousRun, known: Known | None) -> _Count:
        """``known`` are the jobs that the run has."""
        tally = Tally()
        survey = Survey(request.settings.limit, before.state_of, _has_elsewhere(request.runs, tally))
        made = make_recipe(request.settings, request.model, request.source, request.manifest)
        recipe = _recipe_now(made, request.manifest, before, request.links)
        return cls(request, before, recipe, Expander(recipe, request.manifest.columns, known), survey, tally)

    def lines(self, stop: Stop, told: ProgressCallback) -> Iterator[ResultLine | InvalidLine]:
        """The manifest's lines, those with a bad link marked as such. Ends with what ``stop`` is thrown with. ``told`` hears
        how many rows went by.
        """
        lines = expand_all(self.request.manifest, self.recipe, expander=self.expander)
        lines = _until_stopped(lines, stop, told, self.request.manifest.expected() if told is not no_progress else 0)
        links = self.request.links
        return links.judge(lines, self.expander, bought_anywhere(self.before, self.request.runs)) if links else lines

    def facts(self) -> dict[str, str]:
        """What the run keeps of this intake."""
        self.survey.outputs = self.expander.outputs
        return {
            "survey": survey_text(self.survey, self.expander.guesses),
            "local_pictures": "1" if self.expander.local_pictures else "",
            "source": str(self.request.source.absolute()),
            FORM_META: _form(self.request.manifest, self.before, self.expander).dump(),
            ROW_NAMES_META: SHEETS_OWN if self.before.sheet_names else "",
        }

    def plan(self, edits: Sequence[Edit]) -> Plan:
        """What was counted, as the person is shown it. ``edits`` are those of ``survey.edits`` that really are edits."""
        request, survey, expander, before = self.request, self.survey, self.expander, self.before
        manifest, settings, links, tally = request.manifest, request.settings, request.links, self.tally
        _refuse_other_reading(manifest, before, edits, survey)
        form = _form(manifest, before, expander)
        edited = survey.edited - len(survey.edits) + len(edits)
        new = survey.to_buy - survey.left
        changed = describe_changed_settings(before.settings, settings, new, same_manifest=before.same_manifest)
        return Plan(
            source=str(request.source),
            folder=request.folder.path,
            model=settings.model,
            rows=survey.rows,
            to_buy=survey.to_buy,
            reused=survey.reused,
            lines=survey.lines,
            inputs=survey.inputs if survey.joins else 0,
            matrix=_matrix(settings, len(expander.sizes)),
            twins=survey.twins,
            left=survey.left,
            edited=edited,
            others={state.value: count for state, count in survey.others.items()},
            beyond=survey.beyond,
            invalid_rows=survey.invalid_rows,
            left_out=dict(survey.left_out),
            guesses=expander.guesses,
            is_rehearsal=settings.sandbox,
            outputs=expander.outputs,
            invalid=[shown_invalid(line, form) for line in survey.invalid],
            examples=[shown_line(line, form) for line in survey.examples],
            edits=[replace(e, row=sheet_row(form, e.row), id=row_id(form, e.row, e.id)) for e in edits],
            row_word=row_word(form),
            notes=(
                *manifest.notes,
                *expander.notes,
                *merged(expander),
                *link_notes(expander),
                *changed,
                *_moved(request.folder, request.source, before, survey),
            ),
            warnings=(
                *manifest.warnings,
                *warnings_of_sheet(expander, form),
                *(links.warnings(form) if links else ()),
                *warnings_of(tally),
            ),
            other_runs=tally,
            **capped(settings, before.cap),
        )


def take_in_manifest(
    checkpoint: Book, request: IntakeRequest, stop: Stop, told: ProgressCallback = no_progress
) -> Plan:
    """Manifest → jobs → checkpoint, unless it is the manifest of last time and the run has its own copy of that. ``told``
    hears how many rows were read.

    Raises InvalidRowsError, ManifestError, UsageError for a folder of another sheet, and what ``stop`` was thrown with.
    """
    folder, settings, source = request.folder, request.settings, request.source
    fingerprint = _fingerprint(request.content or digest_of(source), settings)
    known = checkpoint.get("fingerprint") == fingerprint and folder.has_copy(fingerprint)
    if known and not checkpoint.get("local_pictures") and request.links is None:
        keep_settings(checkpoint, folder, settings)
        checkpoint.put("source", str(source.absolute()))  # the same sheet, which may have been moved
        if checkpoint.get("store"):
            checkpoint.put(SOURCE_HOST, gethostname())
        return plan_of_the_rest(checkpoint, folder, settings, str(source))
    intake = checkpoint.begin_intake(limit=settings.limit)
    count = _Count.begin(request, before_of(checkpoint, intake.known, fingerprint.split(":")[1]), intake.known)
    survey, pictures = count.survey, dict[str, Path]()
    try:
        lines = count.lines(stop, told)
        take_in(intake, _noting(lines, pictures) if request.keep_pictures else lines, survey)
        check_sheet(folder, source, count.before, survey)
        edits = told_apart(survey.edits, count.expander.wants, checkpoint) if survey.edits else []
        what = count.plan(edits)
        if survey.invalid_rows and not settings.skip_invalid:
            raise InvalidRowsError(what)
        if not survey.wanted:
            raise ManifestError(f"{source} has no row that can become a picture")
        staged = folder.stage_snapshot(source, ending(source.name, request.manifest.form))
        _check_unchanged(source, fingerprint, staged)
        if request.keep_pictures and pictures:
            request.keep_pictures(pictures)
    except BaseException:
        intake.abandon()
        raise
    about = count.facts() | {
        SOURCE_HOST: gethostname() if checkpoint.get("store") else "",
        "settings": replace(settings, max_cost=checkpoint.cap).dump(),
    }
    intake.commit(fingerprint, about)
    folder.settle_snapshot(fingerprint, staged)
    keep_settings(checkpoint, folder, settings)
    return what


def survey_manifest(
    request: IntakeRequest, before: PreviousRun, stop: Stop, told: ProgressCallback = no_progress
) -> Plan:
    """Count everything, keep nothing: ``batchedit plan``. Raises UsageError for a folder of another sheet, and what ``stop``
    was thrown with.
    """
    count = _Count.begin(request, before, before.known)
    survey = plan(count.lines(stop, told), count.survey)
    check_sheet(request.folder, request.source, before, survey)
    edits: Sequence[Edit] = ()
    if survey.edits:
        with reading(request.folder.checkpoint) as checkpoint:
            edits = told_apart(survey.edits, count.expander.wants, checkpoint)
    return count.plan(edits)


class InvalidRowsError(ManifestError):
    """Rows that can't be bought as they stand; ``plan`` has them all. Nothing was sent."""

    def __init__(self, what: Plan) -> None:
        rows = "row" if what.rows == 1 else "rows"
        super().__init__(
            f"{what.invalid_rows:,} of {what.rows:,} {rows} in {what.source} can't be bought as they stand; "
            "nothing was sent",
            hint="correct the rows named above, or go on without them: --skip-invalid",
        )
        self.plan = what


def bought_anywhere(before: PreviousRun, runs: OtherRuns | None) -> StateOf:
    """``before.state_of``, and DONE for what other runs have: what need not be bought needs no link either."""
    if not runs:
        return before.state_of

    def state(key: JobKey) -> State | None:
        here = before.state_of(key)
        if is_bought(here):
            return here
        found = runs.find(key)
        return State.DONE if found is not None and Tally().add(found) else here

    return state


def check_sheet(folder: RunFolder, source: Path, before: PreviousRun, survey: Survey) -> None:
    """UsageError (64) if the run in ``folder`` was made from another sheet and has no job in common with this one."""
    if before.known is None or not before.known.last or survey.known or before.is_from(source):
        return
    raise UsageError(
        f"the run in {folder.path} belongs to another sheet, {before.source or 'which it does not name'}, and has no picture "
        f"in common with {source}; nothing was changed",
        hint=f"for a run of its own the same command with: --out {quoted(_free_beside(folder.path))}",
    )


def _free_beside(folder: Path) -> Path:
    return next(other for n in itertools.count(2) if not (other := folder.with_name(f"{folder.name}-{n}")).exists())


def _moved(folder: RunFolder, source: Path, before: PreviousRun, survey: Survey) -> Iterator[str]:
    """A run that goes on with another file than the one it was made from says so."""
    if not before.source or not before.known or before.is_from(source):
        return
    told = f"the run in {folder.path} was made from {before.source} and goes on with {source}"
    if not Path(before.source).exists():
        yield f"{told}, which has {survey.known:,} of the same pictures"
        return
    both = number(survey.known, "picture is", "pictures are")
    yield (
        f"{told}: {both} in both, and its results are those of {source.name} from now on; for a run "
        f"of its own: --out {quoted(_free_beside(folder.path))}"
    )


def _check_unchanged(source: Path, fingerprint: str, staged: Mapping[Path, str]) -> None:
    """ManifestError unless the copy is of the content that the reading began with: rows of two contents are no sheet."""
    if all(f":{content}:" in fingerprint for content in staged.values()):
        return
    for copy in staged:
        remove(copy)
    raise ManifestError(
        f"{source} was saved while it was taken in; nothing of it was taken in, and nothing was bought",
        hint="type the same command again once it is saved",
    )


def _refuse_other_reading(manifest: Manifest, before: PreviousRun, edits: Sequence[Edit], survey: Survey) -> None:
    """ManifestError if a *guess* at the encoding makes other texts of rows that were taken in before.

    One damaged letter, or one line from elsewhere, can make a sheet look like another encoding: then every umlaut is
    another word, and what was bought would be bought again.
    """
    encoding = manifest.form.encoding
    if not manifest.form.guessed or before.known is None or not before.known.last or before.encoding == encoding:
        return
    inputs = {line.row: line.job.inputs for line in survey.edits}
    changed = [edit for edit in edits if not inputs[edit.row].isascii()]
    if not changed and not survey.odd_ids:
        return
    first = row_name(manifest.form, changed[0].row, changed[0].id) if changed else ""
    rows = first or "rows whose name holds such letters"
    was = f", and was read as {before.encoding} before" if before.encoding else ""
    raise ManifestError(
        f"{'; '.join(manifest.notes)}. That is a guess{was}; it changes {rows} among what this run has taken in already, "
        "and would buy it again; nothing was sent",
        hint=f"save the sheet as UTF-8; or, if the word above is right: --encoding {encoding}",
    )


def _recipe_now(recipe: Recipe, manifest: Manifest, before: PreviousRun, links: Links | None) -> Recipe:
    shift = manifest.form.header_row if before.sheet_names else 0
    return replace(recipe, fetched=links.fetched if links else {}, row_shift=shift)


def _has_elsewhere(runs: OtherRuns | None, tally: Tally) -> HasElsewhere:
    if not runs:
        return lambda _: False
    return lambda key: (found := runs.find(key)) is not None and tally.add(found)


def _noting(lines: Iterator[ResultLine | InvalidLine], pictures: dict[str, Path]) -> Iterator[ResultLine | InvalidLine]:
    """``lines``, whose local pictures are noted by their sha256."""
    for line in lines:
        if isinstance(line, ResultLine) and '"$file"' in line.job.inputs:
            for value in json.loads(line.job.inputs).values():
                for item in value if isinstance(value, list) else [value]:
                    if isinstance(item, dict) and item.keys() == {FILE, SHA256}:
                        pictures[item[SHA256]] = Path(item[FILE])
        yield line


def _until_stopped(
    lines: Iterator[ResultLine | InvalidLine], stop: Stop, told: ProgressCallback, total: int
) -> Iterator[ResultLine | InvalidLine]:
    """``lines``, until ``stop`` is thrown; ``told`` hears how many rows of about ``total`` went by."""
    due = EVERY
    for line in lines:
        if stop.reason is not None:
            raise stop.reason
        if line.row >= due:
            told(line.row, total)
            due = line.row + EVERY
        yield line


def _fingerprint(content: str, settings: ManifestOptions) -> str:
    part = hashlib.sha256(settings.dump_manifest_part().encode()).hexdigest()
    return f"{INTAKE_VERSION}:{content}:{part}"


def _form(manifest: Manifest, before: PreviousRun, expander: Expander) -> Form:
    return replace(manifest.form, ids_by_index=not before.sheet_names and not expander.id_column)


def _matrix(settings: ManifestOptions, sizes: int) -> tuple[tuple[str, int], ...]:
    """What each row is multiplied by, such as ``(("market", 3), ("sizes", 2))``. ``sizes`` counts each once."""
    found = [(column, len(values)) for column, values in settings.over.items()]
    found += [("sizes", sizes), ("variants", settings.variants)]
    return tuple((name, count) for name, count in found if count > 1)
