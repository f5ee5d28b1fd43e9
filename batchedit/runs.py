"""What each command does, without a word printed: the pipeline between a run's folder and a host that talks to the person.

``run`` and ``plan`` begin with a manifest; the others with a run that is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from time import time
from typing import Any, Protocol

import orjson
from anyio import to_thread

from .api.catalogue import Model
from .assembly import Service, connected, find_model, model_from_catalogue, service
from .checkpoint.intake import Intake, KnownJobs, known_jobs
from .checkpoint.lock import run_lock
from .checkpoint.sqlite import SqliteCheckpoint, open_checkpoint
from .core.errors import BatcheditError, ManifestError, NotFoundError, UsageError
from .core.lifecycle import RetryAsked, advance
from .core.model import InvalidLine, JobKey, Line, Record, State
from .manifest.expand import Expander, Recipe, expand_all
from .manifest.read import Form, FormKind, Manifest, open_manifest
from .manifest.results import write_results
from .pipeline import Stop, Survey, collect_and_buy, plan, take_in
from .pool.drive import cancel as cancel_remote
from .ports import Observer
from .progress import Everybody, JsonLines, Snapshot
from .report import Report, make_report
from .runfolder import RunFolder, find_run, folder_for, open_run
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
    under_way: int = 0
    unchanged: bool = False

    @property
    def estimate(self) -> int:
        """Micro-dollars for what is new; 0 if the price is unknown."""
        return self.price * self.to_buy


class Host(Protocol):
    """Whoever started the command: the command line, or a program that uses the library."""

    environ: Mapping[str, str]
    stop: Stop

    def observers(self) -> Sequence[Observer]:
        """Those who want to see events and notes, besides ``run.jsonl``."""
        ...

    def say(self, text: str) -> None:
        """One line for the person."""
        ...

    async def confirm(self, what: Plan) -> None:
        """Show the plan; raise UsageError (64) if the person, or the lack of ``--yes``, says no."""
        ...

    def watch(self, total: int) -> Callable[[Snapshot], None]:
        """The pool starts on ``total`` jobs: what to call with each snapshot."""
        ...


@dataclass
class Opened:
    """A run in hand: locked, its checkpoint open."""

    folder: RunFolder
    checkpoint: SqliteCheckpoint
    settings: Settings
    observer: Observer
    host: Host
    notes: list[str] = field(default_factory=list)


# --- run and plan ---------------------------------------------------------------------------------


async def run(source: Path, settings: Settings, host: Host, *, name: str = "") -> Report:
    """Buy what is missing, collect, write the results. The same call again resumes."""
    manifest = _open(source, settings, name)
    folder = folder_for(Path(name or source), settings.out)
    folder.make()
    with run_lock(folder.path, "run"), service(settings, folder, host.environ) as found:
        model = find_model(settings) or await model_from_catalogue(settings, found, Everybody(host.observers()))
        with _opened(folder, settings, host) as opened:
            what = await to_thread.run_sync(_take_in, opened, manifest, source, model)
            return await _execute(opened, model, found, what, buy=True)


async def plan_manifest(source: Path, settings: Settings, host: Host, *, name: str = "") -> Plan:
    """Check every row, count, price. Sends nothing that buys and writes nothing."""
    manifest = _open(source, settings, name)
    folder = folder_for(Path(name or source), settings.out)
    model = find_model(settings)
    found: Service | None = None
    if model is None or (settings.price is None and not settings.sandbox):
        found = _service_if_any(settings, folder, host)
    if model is None:
        if found is None:
            raise UsageError(f"the schema of {settings.model} is needed", hint="give it as --schema FILE")
        model = await model_from_catalogue(settings, found, Everybody(host.observers()))
    known, states = _known(folder, settings)
    survey = Survey(limit=settings.limit, is_planned=states)
    expander = Expander(_recipe(settings, model, source), manifest.columns, known)
    plan(expand_all(manifest, _recipe(settings, model, source), expander=expander), survey)
    what = _plan_of(source, folder, settings, survey, manifest, expander)
    if settings.price is not None:
        return replace(what, price=settings.price, price_source="--price")
    if settings.sandbox or found is None:
        return what
    async with _client(settings, found, model, host) as client:
        entry = await client.model_entry()
    return replace(what, price=entry.price or 0, price_source="the catalogue") if entry and entry.price else what


def _client(settings: Settings, found: Service, model: Model, host: Host) -> Any:
    from .api.client import Client  # noqa: PLC0415 - plan of a known model at a known price needs no HTTP

    return Client(found.base_url, found.token, settings.model, model.schema, observer=Everybody(host.observers()))


def _service_if_any(settings: Settings, folder: RunFolder, host: Host) -> Service | None:
    """``plan`` works without a token: it only can't tell the price then."""
    try:
        with service(replace(settings, sandbox=False), folder, host.environ) as found:
            return found
    except BatcheditError:
        return None


def _known(folder: RunFolder, settings: Settings) -> tuple[KnownJobs | None, Callable[[JobKey], bool | None]]:
    if not folder.checkpoint.is_file():
        return None, lambda _: None
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        if checkpoint.get("model") != settings.model or checkpoint.get("service") != settings.service:
            return None, lambda _: None
        known = known_jobs(checkpoint)
        planned = {key for (key,) in checkpoint.rows("SELECT key FROM jobs WHERE state = 'planned'")}
    finally:
        checkpoint.close()
    return known, lambda key: (key in planned) if key in known.ids else None


def _open(source: Path, settings: Settings, name: str) -> Manifest:
    return open_manifest(
        source, encoding=settings.encoding, delimiter=settings.delimiter, sheet=settings.sheet, name=name
    )


def _recipe(settings: Settings, model: Model, source: Path) -> Recipe:
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


def _take_in(opened: Opened, manifest: Manifest, source: Path, model: Model) -> Plan:
    """Manifest → jobs → checkpoint, unless it is the manifest of last time. Raises ManifestError for invalid rows."""
    checkpoint, folder, settings = opened.checkpoint, opened.folder, opened.settings
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
    planned = {key for (key,) in checkpoint.rows("SELECT key FROM jobs WHERE state = 'planned'")}
    ids = dict(intake.known.ids)
    survey = Survey(limit=settings.limit, is_planned=lambda key: (key in planned) if key in ids else None)
    recipe = _recipe(settings, model, source)
    expander = Expander(recipe, manifest.columns, intake.known)
    try:
        take_in(intake, _until_stopped(expand_all(manifest, recipe, expander=expander), opened.host.stop), survey)
        if survey.invalid_rows and not settings.skip_invalid:
            raise InvalidRowsError(_plan_of(source, folder, settings, survey, manifest, expander))
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
    return _plan_of(source, folder, settings, survey, manifest, expander)


class InvalidRowsError(ManifestError):
    """Rows that can't be bought as they stand; ``plan`` has them all. Nothing was sent."""

    def __init__(self, what: Plan) -> None:
        rows = "row" if what.invalid_rows == 1 else "rows"
        super().__init__(
            f"{what.invalid_rows:,} of {what.rows:,} {rows} in {what.source} can't be bought as they stand; nothing was sent",
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


def _plan_of(
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


# --- the pool's part, common to run, retry and fetch ----------------------------------------------


@contextmanager
def _opened(folder: RunFolder, settings: Settings, host: Host) -> Iterator[Opened]:
    checkpoint = open_run(folder, settings)
    try:
        with folder.log.open("a", encoding="utf-8") as log:
            observer = Everybody([JsonLines(log), *host.observers()])
            yield Opened(folder, checkpoint, settings, observer, host)
    finally:
        checkpoint.close()


async def _execute(opened: Opened, model: Model, found: Service, what: Plan, *, buy: bool) -> Report:
    """Price, ask, buy and collect, write the results. Whatever ends it early, the results are written first."""
    checkpoint, settings, host = opened.checkpoint, opened.settings, opened.host
    if found.warning:
        host.say(found.warning)
    error: BatcheditError | None = None
    async with connected(settings, opened.folder, checkpoint, model, found, opened.observer, host.environ) as (
        pool,
        client,
    ):
        if buy and what.to_buy:
            what = await _priced(what, settings, client)
            await host.confirm(what)
            pool.price = what.price
        checkpoint.set_cap(settings.max_cost)
        if what.to_buy or _left(checkpoint):
            show = host.watch(sum(checkpoint.counts().by_state.values()))
            try:
                await collect_and_buy(pool, buy=buy, stop=host.stop, refresh=show)
            except BatcheditError as failed:
                error = failed
        elif what.unchanged or not what.to_buy:
            host.say(f"nothing is left to buy: {checkpoint.counts().of(State.DONE):,} done")
        error = error or pool.governor.halted
    return finish(opened, error)


def _left(checkpoint: SqliteCheckpoint) -> bool:
    """Is anything bought and not yet collected, or cut off by a crash?"""
    money = checkpoint.money()
    counts = checkpoint.counts()
    return bool(money.in_flight or counts.of(State.FETCHED, State.UNCOLLECTED, State.WAITING, State.SUBMITTING))


async def _priced(what: Plan, settings: Settings, client: Any) -> Plan:
    """The price of one job: ``--price``, else the catalogue, else unknown; then ``--max-cost`` can't be kept."""
    price, told = settings.price, "--price"
    if price is None:
        entry = await client.model_entry()
        price, told = (entry.price, "the catalogue") if entry is not None else (None, "")
    if not price and settings.max_cost is not None:
        raise UsageError(
            "--max-cost needs to know what a picture costs, and the service's catalogue does not tell",
            hint="say it with --price 0.04 (US dollars a picture, from your account's pricing page)",
        )
    return replace(what, price=price or 0, price_source=told if price else "", max_cost=settings.max_cost)


def finish(opened: Opened, error: BatcheditError | None) -> Report:
    """Write the results and the report; raise nothing for ``error``, which the report carries."""
    checkpoint, folder = opened.checkpoint, opened.folder
    write_all(checkpoint, folder, opened.settings)
    report = make_report(
        checkpoint.counts(),
        checkpoint.money(),
        checkpoint.outcomes(),
        halted=str(error) if error else "",
        hint=error.hint if error else "",
        code=error.code if error else None,
    )
    _write_whole(folder.report, orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    return report


FAILED = frozenset({"failed", "invalid", "cancelled"})
"""What ``failed.csv`` holds, by ``result_status``."""

# --- results --------------------------------------------------------------------------------------


def write_all(checkpoint: SqliteCheckpoint, folder: RunFolder, settings: Settings) -> None:
    """``results.csv``, ``results.jsonl``, ``failed.csv``, ``in_doubt.csv``: only if anything changed since last time."""
    mark = checkpoint.change_mark()
    if (
        checkpoint.get("results_written") == mark
        and folder.results("csv").exists()
        and folder.results("jsonl").exists()
    ):
        return
    snapshot = folder.snapshot()
    if snapshot is None:
        return
    manifest = _open(snapshot, settings, snapshot.name)
    added = tuple(settings.over)
    for kind in (FormKind.CSV, FormKind.JSONL):
        write_results(
            manifest, checkpoint.outcomes(), folder.results(kind), form=form_as(manifest.form, kind), added=added
        )
    csv = form_as(manifest.form, FormKind.CSV)
    for path, only in ((folder.failed, FAILED.__contains__), (folder.in_doubt, {"in_doubt"}.__contains__)):
        if not write_results(manifest, checkpoint.outcomes(), path, form=csv, only=only, added=added):
            path.unlink()
    checkpoint.put("results_written", mark)


def form_as(form: Form, kind: FormKind) -> Form:
    """The manifest's form if it is of ``kind``, else that kind's plain one."""
    if form.kind is kind:
        return replace(form, compression="")
    return Form(kind)


def results(run_name: str, given: Given, *, kind: str | None = None, to: Path | None = None) -> Path:
    """Write the enriched manifest again, in the manifest's own form or ``kind``. May be called while a run is going on."""
    folder = find_run(run_name, given.get("out"))
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        kept = kept_settings(checkpoint, given)
        snapshot = folder.snapshot()
        if snapshot is None:
            raise NotFoundError(
                f"the run in {folder.path} never took a manifest in", hint="start it with batchedit run"
            )
        manifest = _open(snapshot, kept, snapshot.name)
        chosen = FormKind(kind) if kind else manifest.form.kind
        form = manifest.form if chosen is manifest.form.kind else Form(chosen)
        path = to or folder.results(chosen.value)
        write_results(manifest, checkpoint.outcomes(), path, form=replace(form, compression=""), added=tuple(kept.over))
        return path
    finally:
        checkpoint.close()


def kept_settings(checkpoint: SqliteCheckpoint, given: Given) -> Settings:
    """The settings the run was made with, and over them what was given now."""
    text = checkpoint.get("settings")
    return replace(Settings.load(text) if text else Settings(), **given)


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


# --- commands on a run that is there --------------------------------------------------------------

Given = Mapping[str, Any]
"""Settings that the person gave with the command: they go over those that the run was made with."""


@asynccontextmanager
async def _again(run_name: str, given: Given, host: Host, doing: str) -> AsyncIterator[tuple[Opened, Model, Service]]:
    """A run that is there, locked and open, with its service and model."""
    folder = find_run(run_name, given.get("out"))
    with run_lock(folder.path, doing):
        checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
        try:
            settings = kept_settings(checkpoint, given)
        finally:
            checkpoint.close()
        with service(settings, folder, host.environ) as found:
            model = find_model(settings) or await model_from_catalogue(settings, found, Everybody(host.observers()))
            with _opened(folder, settings, host) as opened:
                yield opened, model, found


class _Confirmed:
    """A host whose person has said yes already."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    async def confirm(self, what: Plan) -> None:
        """Asked before."""


def status(run_name: str, given: Given) -> tuple[RunFolder, Report]:
    """How a run stands. May be called while it is going on."""
    folder = find_run(run_name, given.get("out"))
    checkpoint = open_checkpoint(folder.checkpoint, read_only=True)
    try:
        return folder, make_report(checkpoint.counts(), checkpoint.money(), checkpoint.outcomes())
    finally:
        checkpoint.close()


async def fetch(run_name: str, given: Given, host: Host) -> Report:
    """Collect and download what was bought. Never a POST that buys."""
    async with _again(run_name, given, host, "fetch") as (opened, model, found):
        what = Plan(run_name, opened.folder.path, opened.settings.model, 0, 0, 0)
        return await _execute(opened, model, found, what, buy=False)


async def retry(run_name: str, given: Given, host: Host, chosen: Callable[[Record, list[int]], bool]) -> Report:
    """Buy failed and cancelled jobs anew: those for which ``chosen(record, its rows)``. A new purchase, priced as one."""
    async with _again(run_name, given, host, "retry") as (opened, model, found):
        checkpoint = opened.checkpoint
        candidates = checkpoint.records("state IN ('failed', 'cancelled') AND wanted = 1 ORDER BY id")
        rows = checkpoint.rows_of(record.id for record in candidates)
        again = [r for r in candidates if chosen(r, [row for row, _ in rows.get(r.id, [])])]
        if not again:
            raise UsageError("no failed or cancelled job matches", hint=f"see them with: batchedit status {run_name}")
        planned = checkpoint.counts().of(State.PLANNED)
        what = Plan(run_name, opened.folder.path, opened.settings.model, len(again), len(again) + planned, 0)
        async with _client(opened.settings, found, model, host) as client:
            what = await _priced(what, opened.settings, client)
        await host.confirm(what)
        for record in again:
            event = RetryAsked(time())
            checkpoint.save_now(advance(record, event), event)
        return await _execute(replace(opened, host=_Confirmed(host)), model, found, what, buy=True)


async def cancel(run_name: str, given: Given, host: Host) -> tuple[int, int]:
    """Cancel what is still queued remotely. Returns ``(cancelled, already running)``."""
    async with _again(run_name, given, host, "cancel") as (opened, model, found):
        checkpoint = opened.checkpoint
        waiting = checkpoint.records("state IN ('waiting', 'cancelling') ORDER BY id")
        async with connected(
            opened.settings, opened.folder, checkpoint, model, found, opened.observer, host.environ
        ) as (pool, _):
            await cancel_remote(pool, waiting)
        finish(opened, None)
        gone = sum(r.state is State.CANCELLED for w in waiting for r in checkpoint.records("id = ?", (w.id,)))
        return gone, len(waiting) - gone
