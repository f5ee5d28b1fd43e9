"""From a manifest to a plan: what would be bought, what was bought before, what is wrong. Nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from .api.catalogue import Model
from .checkpoint.intake import Intake, KnownJobs, known_jobs
from .checkpoint.sqlite import SqliteCheckpoint, open_checkpoint
from .core.errors import ManifestError
from .core.model import InvalidLine, JobKey, Line, State
from .manifest.expand import Expander, Recipe, expand_all
from .manifest.read import Manifest, open_manifest
from .pipeline import Stop, Survey, plan, take_in
from .runfolder import RunFolder
from .settings import Settings

INTAKE_VERSION = "1"
"""Part of a manifest's fingerprint: a new way of making jobs reads every manifest anew."""


@dataclass(frozen=True)
class Plan:
    """What a run would do: shown before anything is bought. ``price`` is micro-dollars a job, 0 if unknown."""

    source: str
    folder: Path
    model: str
    rows: int
    to_buy: int
    reused: int
    twins: int = 0
    edited: int = 0
    beyond: int = 0
    invalid_rows: int = 0
    invalid: Sequence[InvalidLine] = ()
    examples: Sequence[Line] = ()
    edits: Sequence[Line] = ()
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
        image_root=Path(settings.image_root) if settings.image_root else source.absolute().parent,
        date=date.today().isoformat(),  # noqa: DTZ011 - the date on the person's wall
    )


def known_before(folder: RunFolder, settings: Settings) -> tuple[KnownJobs | None, Callable[[JobKey], bool | None]]:
    """What an earlier run of the same model and service has, and which of it is still to be bought."""
    if not folder.checkpoint.is_file():
        return None, lambda _: None
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        if checkpoint.get("model") != settings.model or checkpoint.get("service") != settings.service:
            return None, lambda _: None
        known = known_jobs(checkpoint)
        return known, still_planned(checkpoint, known)
    finally:
        checkpoint.close()


def still_planned(checkpoint: SqliteCheckpoint, known: KnownJobs) -> Callable[[JobKey], bool | None]:
    """For a key: None if no job has it, else whether its job is still to be bought. Remembers the moment it is made."""
    planned = {key for (key,) in checkpoint.rows("SELECT key FROM jobs WHERE state = 'planned'")}
    ids = set(known.ids)
    return lambda key: (key in planned) if key in ids else None


def take_in_manifest(
    checkpoint: SqliteCheckpoint,
    folder: RunFolder,
    settings: Settings,
    *,
    manifest: Manifest,
    source: Path,
    model: Model,
    stop: Stop,
) -> Plan:
    """Manifest → jobs → checkpoint, unless it is the manifest of last time. Raises InvalidRowsError, ManifestError."""
    fingerprint = _fingerprint(source, settings)
    if checkpoint.get("fingerprint") == fingerprint and not checkpoint.get("local_pictures"):
        told = orjson.loads(checkpoint.get("survey") or "{}")
        counts = checkpoint.counts()
        return Plan(
            source=str(source),
            folder=folder.path,
            model=settings.model,
            to_buy=counts.of(State.PLANNED),
            reused=sum(counts.by_state.values()) - counts.of(State.PLANNED),
            unchanged=True,
            **told,
        )
    intake = Intake.begin(checkpoint, limit=settings.limit)
    survey = Survey(limit=settings.limit, is_planned=still_planned(checkpoint, intake.known))
    recipe = make_recipe(settings, model, source)
    expander = Expander(recipe, manifest.columns, intake.known)
    try:
        take_in(intake, _until_stopped(expand_all(manifest, recipe, expander=expander), stop), survey)
        if survey.invalid_rows and not settings.skip_invalid:
            raise InvalidRowsError(plan_of(source, folder, settings, survey, manifest, expander))
        if not survey.wanted:
            raise ManifestError(f"{source} has no row that can become a picture")
    except BaseException:
        intake.abandon()
        raise
    folder.keep_snapshot(source)
    checkpoint.put("survey", _survey_text(survey))
    checkpoint.put("local_pictures", "1" if expander.local_pictures else "")
    checkpoint.put("settings", settings.dump())
    checkpoint.put("source", str(source.absolute()))
    intake.commit(fingerprint)
    return plan_of(source, folder, settings, survey, manifest, expander)


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
    with source.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    part = hashlib.sha256(settings.manifest_part().encode()).hexdigest()
    return f"{INTAKE_VERSION}:{content}:{part}"


def _survey_text(survey: Survey) -> str:
    return orjson.dumps(
        {"rows": survey.rows, "twins": survey.twins, "invalid_rows": survey.invalid_rows, "beyond": survey.beyond}
    ).decode()


def plan_of(
    source: Path, folder: RunFolder, settings: Settings, survey: Survey, manifest: Manifest, expander: Expander
) -> Plan:
    return Plan(
        source=str(source),
        folder=folder.path,
        model=settings.model,
        rows=survey.rows,
        to_buy=survey.to_buy,
        reused=survey.reused,
        twins=survey.twins,
        edited=survey.edited,
        beyond=survey.beyond,
        invalid_rows=survey.invalid_rows,
        invalid=survey.invalid,
        examples=survey.examples,
        edits=survey.edits,
        notes=(*manifest.notes, *expander.notes),
        warnings=_warnings(expander),
        max_cost=settings.max_cost,
    )


def _warnings(expander: Expander) -> tuple[str, ...]:
    found = [
        f"{{{column}}} in the prompt is empty in {count:,} row{'s' if count > 1 else ''}"
        for column, count in expander.empties.items()
    ]
    if hint := expander.fill_down_hint():
        found.append(
            f"{', '.join(hint)}: blank below the first row of a product, as in a Shopify export; "
            f"--fill-down {','.join(hint)!r} carries the value down"
        )
    return tuple(found)


def survey_manifest(manifest: Manifest, source: Path, folder: RunFolder, settings: Settings, model: Model) -> Plan:
    """Count everything, keep nothing: ``batchedit plan``."""
    known, is_planned = known_before(folder, settings)
    recipe = make_recipe(settings, model, source)
    expander = Expander(recipe, manifest.columns, known)
    survey = plan(expand_all(manifest, recipe, expander=expander), Survey(settings.limit, is_planned))
    return plan_of(source, folder, settings, survey, manifest, expander)
