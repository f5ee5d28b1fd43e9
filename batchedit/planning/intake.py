"""From a manifest to jobs and to a plan: rows are read, checked, counted and, by ``run``, taken in. Nothing is sent here."""

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
from ..core.plurals_and_durations import pluralize
from ..core.shell_commands import quote_word
from ..core.steps import ITEMS_PER_REPORT, ProgressCallback, no_progress
from ..disk import remove
from ..jobs.expand import EarlierJobs, Expander, Recipe, expand_all
from ..jobs.identity import FILE, SHA256
from ..ledger.book import Book
from ..ledger.opening import open_for_reading
from ..manifest.read import Form, Manifest, choose_ending
from ..manifest.rownames import choose_row_word, describe_row, find_row_id, to_sheet_row
from ..ports import HasElsewhere, StateOf, Stop
from ..run_folder import FORM_META, RunFolder, hash_file
from ..runcomfy.catalogue import Model
from ..settings.model import ManifestOptions, Settings
from ..settings.toml import describe_changed_settings
from .edits import Edit, find_edits
from .link_check import Links, is_bought
from .other_runs import ElsewhereTotals, OtherRuns, list_elsewhere_warnings
from .plan import Plan, build_cap_fields, plan_the_rest, to_sheet_invalid, to_sheet_line
from .previous import ROW_NAMES_META, SHEETS_OWN, SOURCE_HOST, PreviousRun, read_previous_run
from .recipe import make_recipe
from .run_settings import save_run_settings
from .sheet_warnings import describe_link_changes, describe_merged, list_sheet_warnings
from .survey import Survey, count_survey, dump_survey, take_in

INTAKE_VERSION = "2"
"""Part of a manifest's fingerprint: a new way of making jobs reads every manifest anew."""


KeepPictures = Callable[[Mapping[str, Path]], None]
"""Called before the jobs that need them may be bought."""


@dataclass(frozen=True, slots=True)
class IntakeRequest:
    """A manifest, and all that is needed to make jobs of its rows.

    ``content`` is the digest that ``source`` had before ``manifest`` was opened: a sheet that was saved since may have other
    columns, and is refused. None if no other program writes to it. ``links`` is the result of ``--check-images``, ``runs``
    are the other runs of this person. ``keep_pictures`` puts local pictures, by their sha256, where every worker can read
    them.
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
class _IntakeCount:
    """The counts of an intake, made while the manifest's lines are read. ``previous`` is the run before it."""

    request: IntakeRequest
    previous: PreviousRun
    recipe: Recipe
    expander: Expander
    survey: Survey
    totals: ElsewhereTotals

    @classmethod
    def begin(cls, request: IntakeRequest, previous: PreviousRun, known_jobs: EarlierJobs | None) -> _IntakeCount:
        """``known_jobs`` are the jobs that the run has."""
        totals = ElsewhereTotals()
        survey = Survey(request.settings.limit, previous.state_of, _make_elsewhere_check(request.runs, totals))
        base_recipe = make_recipe(request.settings, request.model, request.source, request.manifest)
        recipe = _complete_recipe(base_recipe, request.manifest, previous, request.links)
        return cls(request, previous, recipe, Expander(recipe, request.manifest.columns, known_jobs), survey, totals)

    def make_lines(self, stop: Stop, on_progress: ProgressCallback) -> Iterator[ResultLine | InvalidLine]:
        """The manifest's lines, those with a bad link turned into invalid rows. Raises ``stop``'s reason. ``on_progress`` is
        called with the number of rows read.
        """
        lines = expand_all(self.request.manifest, self.recipe, expander=self.expander)
        lines = _yield_until_stopped(
            lines, stop, on_progress, self.request.manifest.estimate_rows() if on_progress is not no_progress else 0
        )
        links = self.request.links
        return (
            links.judge(lines, self.expander, make_state_lookup(self.previous, self.request.runs)) if links else lines
        )

    def collect_facts(self) -> dict[str, str]:
        """The facts that the run keeps of this intake."""
        self.survey.outputs = self.expander.outputs
        return {
            "survey": dump_survey(self.survey, self.expander.guesses),
            "local_pictures": "1" if self.expander.local_pictures else "",
            "source": str(self.request.source.absolute()),
            FORM_META: _make_form(self.request.manifest, self.previous, self.expander).dump(),
            ROW_NAMES_META: SHEETS_OWN if self.previous.sheet_names else "",
        }

    def make_plan(self, edits: Sequence[Edit]) -> Plan:
        """The counts as a plan. ``edits`` are those of ``survey.edits`` that really are edits."""
        request, survey, expander, previous = self.request, self.survey, self.expander, self.previous
        manifest, settings, links, totals = request.manifest, request.settings, request.links, self.totals
        _refuse_other_encoding(manifest, previous, edits, survey)
        form = _make_form(manifest, previous, expander)
        edited = survey.edited - len(survey.edits) + len(edits)
        new = survey.to_buy - survey.left
        changed = describe_changed_settings(previous.settings, settings, new, same_manifest=previous.same_manifest)
        return Plan(
            source=str(request.source),
            folder=request.folder.path,
            model=settings.model,
            rows=survey.rows,
            to_buy=survey.to_buy,
            reused=survey.reused,
            lines=survey.lines,
            inputs=survey.inputs if survey.joins else 0,
            matrix=_list_factors(settings, len(expander.sizes)),
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
            invalid=[to_sheet_invalid(line, form) for line in survey.invalid],
            examples=[to_sheet_line(line, form) for line in survey.examples],
            edits=[replace(e, row=to_sheet_row(form, e.row), id=find_row_id(form, e.row, e.id)) for e in edits],
            row_word=choose_row_word(form),
            notes=(
                *manifest.notes,
                *expander.notes,
                *describe_merged(expander),
                *describe_link_changes(expander),
                *changed,
                *_note_other_source(request.folder, request.source, previous, survey),
            ),
            warnings=(
                *manifest.warnings,
                *list_sheet_warnings(expander, form),
                *(links.list_warnings(form) if links else ()),
                *list_elsewhere_warnings(totals),
            ),
            other_runs=totals,
            **build_cap_fields(settings, previous.cap),
        )


def take_in_manifest(
    checkpoint: Book, request: IntakeRequest, stop: Stop, on_progress: ProgressCallback = no_progress
) -> Plan:
    """Manifest → jobs → checkpoint, unless it is the manifest of last time and the run has its own copy of it.
    ``on_progress`` is called with the number of rows read.

    Raises InvalidRowsError, ManifestError, UsageError for a folder of another sheet, and ``stop``'s reason.
    """
    folder, settings, source = request.folder, request.settings, request.source
    fingerprint = _make_fingerprint(request.content or hash_file(source), settings)
    is_same_manifest = checkpoint.get("fingerprint") == fingerprint and folder.has_copy(fingerprint)
    if is_same_manifest and not checkpoint.get("local_pictures") and request.links is None:
        save_run_settings(checkpoint, folder, settings)
        checkpoint.put("source", str(source.absolute()))  # the same sheet, which may have been moved
        if checkpoint.get("store"):
            checkpoint.put(SOURCE_HOST, gethostname())
        return plan_the_rest(checkpoint, folder, settings, str(source))
    intake = checkpoint.begin_intake(limit=settings.limit)
    count = _IntakeCount.begin(
        request, read_previous_run(checkpoint, intake.known, fingerprint.split(":")[1]), intake.known
    )
    survey, pictures = count.survey, dict[str, Path]()
    try:
        lines = count.make_lines(stop, on_progress)
        take_in(intake, _collect_pictures(lines, pictures) if request.keep_pictures else lines, survey)
        check_sheet(folder, source, count.previous, survey)
        edits = find_edits(survey.edits, count.expander.is_requested, checkpoint) if survey.edits else []
        plan = count.make_plan(edits)
        if survey.invalid_rows and not settings.skip_invalid:
            raise InvalidRowsError(plan)
        if not survey.wanted:
            raise ManifestError(f"{source} has no row that can become a picture")
        staged = folder.stage_snapshot(source, choose_ending(source.name, request.manifest.form))
        _check_unchanged(source, fingerprint, staged)
        if request.keep_pictures and pictures:
            request.keep_pictures(pictures)
    except BaseException:
        intake.abandon()
        raise
    facts = count.collect_facts() | {
        SOURCE_HOST: gethostname() if checkpoint.get("store") else "",
        "settings": replace(settings, max_cost=checkpoint.cap).dump(),
    }
    intake.commit(fingerprint, facts)
    folder.settle_snapshot(fingerprint, staged)
    save_run_settings(checkpoint, folder, settings)
    return plan


def survey_manifest(
    request: IntakeRequest, previous: PreviousRun, stop: Stop, on_progress: ProgressCallback = no_progress
) -> Plan:
    """Count everything, store nothing: ``batchedit plan``. Raises UsageError for a folder of another sheet, and ``stop``'s
    reason.
    """
    count = _IntakeCount.begin(request, previous, previous.known)
    survey = count_survey(count.make_lines(stop, on_progress), count.survey)
    check_sheet(request.folder, request.source, previous, survey)
    edits: Sequence[Edit] = ()
    if survey.edits:
        with open_for_reading(request.folder.checkpoint) as checkpoint:
            edits = find_edits(survey.edits, count.expander.is_requested, checkpoint)
    return count.make_plan(edits)


class InvalidRowsError(ManifestError):
    """Rows that can't be bought as they stand; ``plan`` has them all. Nothing was sent."""

    def __init__(self, plan: Plan) -> None:
        rows = "row" if plan.rows == 1 else "rows"
        super().__init__(
            f"{plan.invalid_rows:,} of {plan.rows:,} {rows} in {plan.source} can't be bought as they stand; "
            "nothing was sent",
            hint="correct the rows named above, or go on without them: --skip-invalid",
        )
        self.plan = plan


def make_state_lookup(previous: PreviousRun, runs: OtherRuns | None) -> StateOf:
    """``previous.state_of``, with DONE for jobs that other runs have: a job that is not bought needs no link check."""
    if not runs:
        return previous.state_of

    def look_up_state(key: JobKey) -> State | None:
        own_state = previous.state_of(key)
        if is_bought(own_state):
            return own_state
        job = runs.find(key)
        return State.DONE if job is not None and ElsewhereTotals().add(job) else own_state

    return look_up_state


def check_sheet(folder: RunFolder, source: Path, previous: PreviousRun, survey: Survey) -> None:
    """UsageError (64) if the run in ``folder`` was made from another sheet and has no job in common with this one."""
    if previous.known is None or not previous.known.last or survey.known or previous.is_from(source):
        return
    raise UsageError(
        f"the run in {folder.path} belongs to another sheet, {previous.source or 'which it does not name'}, and has no "
        f"picture in common with {source}; nothing was changed",
        hint=f"for a run of its own the same command with: --out {quote_word(_find_free_folder(folder.path))}",
    )


def _find_free_folder(folder: Path) -> Path:
    return next(
        candidate for n in itertools.count(2) if not (candidate := folder.with_name(f"{folder.name}-{n}")).exists()
    )


def _note_other_source(folder: RunFolder, source: Path, previous: PreviousRun, survey: Survey) -> Iterator[str]:
    """A note if the run continues with another file than the one it was made from."""
    if not previous.source or not previous.known or previous.is_from(source):
        return
    message = f"the run in {folder.path} was made from {previous.source} and goes on with {source}"
    if not Path(previous.source).exists():
        yield f"{message}, which has {survey.known:,} of the same pictures"
        return
    in_common = pluralize(survey.known, "picture is", "pictures are")
    yield (
        f"{message}: {in_common} in both, and its results are those of {source.name} from now on; for a run "
        f"of its own: --out {quote_word(_find_free_folder(folder.path))}"
    )


def _check_unchanged(source: Path, fingerprint: str, staged: Mapping[Path, str]) -> None:
    """ManifestError unless the copy has the content that was read: rows of two contents must not be mixed."""
    if all(f":{content}:" in fingerprint for content in staged.values()):
        return
    for copy in staged:
        remove(copy)
    raise ManifestError(
        f"{source} was saved while it was taken in; nothing of it was taken in, and nothing was bought",
        hint="type the same command again once it is saved",
    )


def _refuse_other_encoding(manifest: Manifest, previous: PreviousRun, edits: Sequence[Edit], survey: Survey) -> None:
    """ManifestError if a *guess* at the encoding changes the texts of rows that were taken in before.

    One damaged letter, or one line from another file, can make a sheet look like another encoding. Then every word with an
    umlaut changes, and what was bought would be bought again.
    """
    encoding = manifest.form.encoding
    if not manifest.form.guessed or previous.known is None or not previous.known.last or previous.encoding == encoding:
        return
    inputs = {line.row: line.job.inputs for line in survey.edits}
    changed = [edit for edit in edits if not inputs[edit.row].isascii()]
    if not changed and not survey.odd_ids:
        return
    first = describe_row(manifest.form, changed[0].row, changed[0].id) if changed else ""
    rows = first or "rows whose name holds such letters"
    was = f", and was read as {previous.encoding} before" if previous.encoding else ""
    raise ManifestError(
        f"{'; '.join(manifest.notes)}. That is a guess{was}; it changes {rows} among what this run has taken in already, "
        "and would buy it again; nothing was sent",
        hint=f"save the sheet as UTF-8; or, if the word above is right: --encoding {encoding}",
    )


def _complete_recipe(recipe: Recipe, manifest: Manifest, previous: PreviousRun, links: Links | None) -> Recipe:
    shift = manifest.form.header_row if previous.sheet_names else 0
    return replace(recipe, fetched=links.fetched if links else {}, row_shift=shift)


def _make_elsewhere_check(runs: OtherRuns | None, totals: ElsewhereTotals) -> HasElsewhere:
    if not runs:
        return lambda _: False
    return lambda key: (job := runs.find(key)) is not None and totals.add(job)


def _collect_pictures(
    lines: Iterator[ResultLine | InvalidLine], pictures: dict[str, Path]
) -> Iterator[ResultLine | InvalidLine]:
    """``lines``, while their local pictures are added to ``pictures`` by their sha256."""
    for line in lines:
        if isinstance(line, ResultLine) and '"$file"' in line.job.inputs:
            for value in json.loads(line.job.inputs).values():
                for item in value if isinstance(value, list) else [value]:
                    if isinstance(item, dict) and item.keys() == {FILE, SHA256}:
                        pictures[item[SHA256]] = Path(item[FILE])
        yield line


def _yield_until_stopped(
    lines: Iterator[ResultLine | InvalidLine], stop: Stop, on_progress: ProgressCallback, total: int
) -> Iterator[ResultLine | InvalidLine]:
    """``lines``, until ``stop`` has a reason, which is raised. ``on_progress`` is called with the rows read, of ``total``."""
    due = ITEMS_PER_REPORT
    for line in lines:
        if stop.reason is not None:
            raise stop.reason
        if line.row >= due:
            on_progress(line.row, total)
            due = line.row + ITEMS_PER_REPORT
        yield line


def _make_fingerprint(content: str, settings: ManifestOptions) -> str:
    part = hashlib.sha256(settings.dump_manifest_part().encode()).hexdigest()
    return f"{INTAKE_VERSION}:{content}:{part}"


def _make_form(manifest: Manifest, previous: PreviousRun, expander: Expander) -> Form:
    return replace(manifest.form, ids_by_index=not previous.sheet_names and not expander.id_column)


def _list_factors(settings: ManifestOptions, sizes: int) -> tuple[tuple[str, int], ...]:
    """The factors that each row is multiplied by, such as ``(("market", 3), ("sizes", 2))``. ``sizes`` is their number."""
    factors = [(column, len(values)) for column, values in settings.over.items()]
    factors += [("sizes", sizes), ("variants", settings.variants)]
    return tuple((name, count) for name, count in factors if count > 1)
