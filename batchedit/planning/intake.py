"""From a manifest to a plan: what would be bought, what was bought before, what is wrong. Nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import orjson

from ..core.errors import ManifestError, OutputError
from ..core.model import InvalidLine, JobKey, Line, State
from ..jobs.expand import Expander, Recipe, expand_all
from ..ledger.intake import Intake, KnownJobs, known_jobs
from ..ledger.opening import open_checkpoint
from ..ledger.sqlite import SqliteCheckpoint
from ..manifest.read import Manifest, open_manifest
from ..run_folder import RunFolder, digest_of
from ..runcomfy.catalogue import Model
from ..settings.model import Settings
from ..settings.toml import settings_text, what_changed
from .edits import Edit, told_apart
from .link_check import Links
from .survey import StateOf, Stop, Survey, plan, take_in

_NOT_OTHER = frozenset({State.PLANNED, State.DONE})

INTAKE_VERSION = "1"
"""Part of a manifest's fingerprint: a new way of making jobs reads every manifest anew."""


@dataclass(frozen=True)
class Plan:
    """What a run would do: shown before anything is bought. ``price`` is micro-dollars a job, 0 if unknown.

    ``matrix`` is what each row is multiplied by. Of ``to_buy``, ``left`` were planned before and ``edited`` stand in the
    place of an older picture; of ``reused``, ``others`` counts those that are not done, by state.
    """

    source: str
    folder: Path
    model: str
    rows: int
    to_buy: int
    reused: int
    lines: int = 0
    matrix: Sequence[tuple[str, int]] = ()
    again: int = 0
    twins: int = 0
    left: int = 0
    edited: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    beyond: int = 0
    invalid_rows: int = 0
    invalid: Sequence[InvalidLine] = ()
    examples: Sequence[Line] = ()
    edits: Sequence[Edit] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    price: int = 0
    price_source: str = ""
    max_cost: int | None = None
    unchanged: bool = False

    @property
    def estimate(self) -> int:
        """Micro-dollars for what is new; 0 if the price is unknown."""
        return self.price * self.to_buy


def open_source(source: Path, settings: Settings, name: str) -> Manifest:
    return open_manifest(
        source, encoding=settings.encoding, delimiter=settings.delimiter, sheet=settings.sheet, name=name
    )


def make_recipe(settings: Settings, model: Model, source: Path) -> Recipe:
    """The settings in the manifest room's terms. Relative pictures begin at ``--image-root``, else beside ``source``."""
    return Recipe(
        model=settings.model,
        schema=dict(model.schema),
        prompt=settings.prompt,
        mapping=settings.map,
        sets=settings.set,
        sizes=settings.sizes,
        variants=settings.variants,
        id_column=settings.id,
        name=settings.name,
        over=settings.over,
        fill_down=settings.fill_down,
        image_root=Path(settings.image_root).absolute() if settings.image_root else source.absolute().parent,
        shrinks=not settings.no_shrink,
        loopback=settings.sandbox or settings.base_url.startswith("http://"),
        date=date.today().isoformat(),  # noqa: DTZ011 - the date on the person's wall
    )


@dataclass(frozen=True)
class Before:
    """What an earlier run of the same model and service has. ``state_of`` is as of the moment it was read."""

    known: KnownJobs | None = None
    state_of: StateOf = lambda _: None
    settings: Settings | None = None
    same_manifest: bool = False


def known_before(folder: RunFolder, settings: Settings, source: Path) -> Before:
    """The earlier run in ``folder``, if there is one of this model and service."""
    if not folder.checkpoint.is_file():
        return Before()
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        with checkpoint.snapshot():  # another process may be taking rows in
            if checkpoint.get("model") != settings.model or checkpoint.get("service") != settings.service:
                return Before()
            known = known_jobs(checkpoint)
            known.slots.read_all()  # it will be asked when this is closed
            return before_of(checkpoint, known, digest_of(source))
    finally:
        checkpoint.close()


def before_of(checkpoint: SqliteCheckpoint, known: KnownJobs, content: str) -> Before:
    """How ``checkpoint`` stands before the next intake, of a manifest with the digest ``content``."""
    text = checkpoint.get("settings")
    same = f":{content}:" in (checkpoint.get("fingerprint") or "")
    return Before(known, state_of(checkpoint, known), Settings.load(text) if text else None, same)


def state_of(checkpoint: SqliteCheckpoint, known: KnownJobs) -> StateOf:
    """The state of the job that a key stands for, as of now: what an intake adds to ``known`` later is no job yet."""
    if not known.last:
        return lambda _: None
    planned = bytearray(known.last + 1)  # by id: it may be a million of them
    for (job,) in checkpoint.rows("SELECT id FROM jobs WHERE state = 'planned' AND +id <= ?", (known.last,)):
        planned[job] = 1
    query = "SELECT id, state FROM jobs WHERE state NOT IN ('planned', 'done')"
    others = {job: State(state) for job, state in checkpoint.rows(query)}

    def state(key: JobKey) -> State | None:
        job = known.find(key)
        if job is None:
            return None
        return State.PLANNED if planned[job] else others.get(job, State.DONE)

    return state


def take_in_manifest(
    checkpoint: SqliteCheckpoint,
    folder: RunFolder,
    settings: Settings,
    *,
    manifest: Manifest,
    source: Path,
    model: Model,
    stop: Stop,
    links: Links | None = None,
) -> Plan:
    """Manifest → jobs → checkpoint, unless it is the manifest of last time. Raises InvalidRowsError, ManifestError.

    ``links`` is what ``--check-images`` found out.
    """
    fingerprint = _fingerprint(source, settings)
    if checkpoint.get("fingerprint") == fingerprint and not checkpoint.get("local_pictures") and links is None:
        keep_settings(checkpoint, folder, settings)
        told = orjson.loads(checkpoint.get("survey") or "{}")
        counts = checkpoint.counts()
        return Plan(
            source=str(source),
            folder=folder.path,
            model=settings.model,
            to_buy=counts.of(State.PLANNED),
            left=counts.of(State.PLANNED),
            reused=sum(counts.by_state.values()) - counts.of(State.PLANNED),
            others={state.value: n for state, n in counts.by_state.items() if n and state not in _NOT_OTHER},
            unchanged=True,
            **told,
        )
    intake = Intake.begin(checkpoint, limit=settings.limit)
    before = before_of(checkpoint, intake.known, fingerprint.split(":")[1])
    survey = Survey(limit=settings.limit, state_of=before.state_of)
    recipe = make_recipe(settings, model, source)
    expander = Expander(recipe, manifest.columns, intake.known)
    lines = _until_stopped(expand_all(manifest, recipe, expander=expander), stop)
    try:
        take_in(intake, links.judge(lines, expander, before.state_of) if links else lines, survey)
        edits = told_apart(survey.edits, expander.wants, checkpoint.rows) if survey.edits else []
        what = plan_of(source, folder, settings, survey, manifest, expander, before, edits, links)
        if survey.invalid_rows and not settings.skip_invalid:
            raise InvalidRowsError(what)
        if not survey.wanted:
            raise ManifestError(f"{source} has no row that can become a picture")
    except BaseException:
        intake.abandon()
        raise
    staged = folder.stage_snapshot(source)
    about = {
        "survey": _survey_text(survey),
        "local_pictures": "1" if expander.local_pictures else "",
        "source": str(source.absolute()),
        "settings": settings.dump(),
    }
    intake.commit(fingerprint, about)
    folder.settle_snapshot(fingerprint, staged)
    show_settings(folder, settings)
    return what


def keep_settings(checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings) -> None:
    """What the run was told this time, where nothing else is new: in the checkpoint for us, for people in a file."""
    text = settings.dump()
    if checkpoint.get("settings") != text or not folder.settings.is_file():
        checkpoint.put("settings", text)
        show_settings(folder, settings)


def show_settings(folder: RunFolder, settings: Settings) -> None:
    """``settings.toml``. OutputError if it can't be written."""
    part = folder.settings.with_suffix(".part")
    try:
        part.write_text(settings_text(settings), encoding="utf-8", errors="replace")
        part.replace(folder.settings)
    except OSError as error:
        raise OutputError(f"{folder.settings} can't be written: {error.strerror or error}") from error


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


def _until_stopped(lines: Iterator[Line | InvalidLine], stop: Stop) -> Iterator[Line | InvalidLine]:
    for line in lines:
        if stop.reason is not None:
            raise stop.reason
        yield line


def _fingerprint(source: Path, settings: Settings) -> str:
    part = hashlib.sha256(settings.manifest_part().encode()).hexdigest()
    return f"{INTAKE_VERSION}:{digest_of(source)}:{part}"


def _survey_text(survey: Survey) -> str:
    return orjson.dumps(
        {"rows": survey.rows, "twins": survey.twins, "invalid_rows": survey.invalid_rows, "beyond": survey.beyond}
    ).decode()


def plan_of(
    source: Path,
    folder: RunFolder,
    settings: Settings,
    survey: Survey,
    manifest: Manifest,
    expander: Expander,
    before: Before,
    edits: Sequence[Edit],
    links: Links | None,
) -> Plan:
    """What was counted, as the person is shown it. ``edits`` are those of ``survey.edits`` that really are edits."""
    edited = survey.edited - len(survey.edits) + len(edits)
    new = survey.to_buy - survey.left
    changed = what_changed(before.settings, settings, new, same_manifest=before.same_manifest)
    return Plan(
        source=str(source),
        folder=folder.path,
        model=settings.model,
        rows=survey.rows,
        to_buy=survey.to_buy,
        reused=survey.reused,
        lines=survey.lines,
        matrix=_matrix(settings),
        twins=survey.twins,
        left=survey.left,
        edited=edited,
        others={state.value: count for state, count in survey.others.items()},
        beyond=survey.beyond,
        invalid_rows=survey.invalid_rows,
        invalid=survey.invalid,
        examples=survey.examples,
        edits=edits,
        notes=(*manifest.notes, *expander.notes, *changed),
        warnings=(*_warnings(expander), *(links.warnings() if links else ())),
        max_cost=settings.max_cost,
    )


def _matrix(settings: Settings) -> tuple[tuple[str, int], ...]:
    """What each row is multiplied by, such as ``(("market", 3), ("sizes", 2))``."""
    found = [(column, len(values)) for column, values in settings.over.items()]
    found += [("sizes", len(dict.fromkeys(settings.sizes))), ("variants", settings.variants)]
    return tuple((name, count) for name, count in found if count > 1)


def _warnings(expander: Expander) -> tuple[str, ...]:
    found = [
        f"{{{column}}} in the prompt is empty in {count:,} row{'s' if count > 1 else ''}"
        for column, count in expander.empties.items()
    ]
    found += [
        f"--for {column}: nothing uses it, so its pictures are one and the same; name {{{column}}} in --prompt"
        for column in expander.unused_over
    ]
    if hint := expander.fill_down_hint():
        found.append(
            f"{', '.join(hint)}: blank below the first row of a product, as in a Shopify export; "
            f"--fill-down {','.join(hint)!r} carries the value down"
        )
    if large := expander.large_pictures:
        found.append(
            f"{large:,} local picture{'s are' if large > 1 else ' is'} larger than the service takes (6 MiB as sent) and "
            "will be re-encoded to fit; --no-shrink refuses such pictures instead"
        )
    return tuple(found)


def survey_manifest(
    manifest: Manifest,
    source: Path,
    folder: RunFolder,
    settings: Settings,
    model: Model,
    before: Before,
    links: Links | None = None,
) -> Plan:
    """Count everything, keep nothing: ``batchedit plan``."""
    recipe = make_recipe(settings, model, source)
    expander = Expander(recipe, manifest.columns, before.known)
    lines = expand_all(manifest, recipe, expander=expander)
    survey = plan(
        links.judge(lines, expander, before.state_of) if links else lines, Survey(settings.limit, before.state_of)
    )
    edits: Sequence[Edit] = ()
    if survey.edits:
        checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
        try:
            edits = told_apart(survey.edits, expander.wants, checkpoint.rows)
        finally:
            checkpoint.close()
    return plan_of(source, folder, settings, survey, manifest, expander, before, edits, links)
