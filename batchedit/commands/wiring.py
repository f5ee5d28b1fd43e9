"""Connects the parts: the one place, for command line and library alike, that makes the real client, files and clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from ssl import SSLContext
from time import time
from typing import Protocol
from urllib.parse import urlsplit

from anyio import to_thread
from httpx import create_ssl_context

from ..core.actions import Patience
from ..core.errors import CheckpointError, OutputError, ServiceUnavailableError, TokenError, UsageError
from ..core.inline_pictures import InlinePictures
from ..core.steps import Steps
from ..core.write_failures import WriteFailures
from ..disk import check_own
from ..files.download import Downloader
from ..files.objects import Objects
from ..images.data_uri import LocalPictures
from ..images.thumbnails_and_features import Album
from ..pool.governor import Governor, PurchaseLimits
from ..pool.pool import Pool
from ..pool.stop_rule import StopRule
from ..ports import Ledger, Observer
from ..results.files import FILES_URL
from ..run_folder import RunFolder
from ..runcomfy.catalogue import Model, list_built_in, load_model
from ..runcomfy.client import Client
from ..runcomfy.token import Token, find_token
from ..runcomfy.urls import check_base_url
from ..scheduling.lifetimes import Lifetimes
from ..scheduling.shared_rate import SharedRate
from ..scheduling.wire_window import START, TOP
from ..settings.model import Settings
from .clock import SteadyClock
from .file_store import make_blob_reader, open_objects
from .play_money import watch_place
from .proxy import find_proxy
from .rescue_to_file_store import rescue_to_files
from .trust import check_trusted

LIFETIMES = "lifetimes"
"""The fact of a run that holds the running times its jobs had."""
SANDBOX_TOKEN = "sandbox"  # noqa: S105 - the sandbox takes any token
REHEARSAL_LATENCY = "uniform:1,4"
"""Seconds that a job of ``--sandbox`` takes."""


@dataclass(frozen=True, slots=True)
class Service:
    """The API's URL and our token for it, which may be empty."""

    base_url: str
    token: str
    warning: str = ""
    proxy: str | None = None
    explain_other_service: Callable[[], str] = str
    """Why what listens there now is another service than when the command began; "" while it is the same."""


@contextmanager
def open_service(
    settings: Settings,
    folder: RunFolder,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
    *,
    only_asks: bool = False,
) -> Iterator[Service]:
    """The service of ``settings``; with ``sandbox`` a server of our own for as long as the block lasts. Before anything can
    be sent to one that is not the vendor's, ``warn`` gets a message that names it.

    With ``only_asks`` nothing is bought there: a service is asked without a token where there is none, and the sandbox keeps
    nothing on disk. The sandbox is on this machine and is asked without a proxy.

    UsageError (64) for a service that this person did not choose or a proxy that can't be used, TokenError (77) where a token
    is missing.
    """
    if not settings.sandbox:
        base_url = check_base_url(settings.base_url)
        check_trusted(settings, environ, warn)
        proxy = find_proxy(environ)
        try:
            token = find_token(environ, Path.home())
        except TokenError:
            if not only_asks:
                raise
            token = Token("", "nobody")
        yield Service(base_url, token.value, token.warning, proxy, watch_place(settings, environ))
        return
    from ..sandbox import RunningSandbox, SandboxConfig  # noqa: PLC0415 - brings a whole web server with it

    state = None if only_asks else folder.sandbox_state
    if state is not None:
        check_own(state)
    try:
        running = RunningSandbox(SandboxConfig(latency=REHEARSAL_LATENCY, state=state))
    except OSError as error:
        raise OutputError(f"the sandbox can't start: {error}") from error
    try:
        yield Service(running.url, SANDBOX_TOKEN)
    finally:
        running.close()


ASKING_SERVICE = "asking the service"
"""The step that waits for the service's answer about a model, a price or the balance."""


def find_model(settings: Settings) -> Model | None:
    """The model's schema, from a file or built in; None if the catalogue must be asked."""
    if settings.schema is None and settings.model not in list_built_in():
        return None
    return load_model(settings.model, Path(settings.schema) if settings.schema else None)


async def model_from_catalogue(settings: Settings, service: Service, observer: Observer, steps: Steps) -> Model:
    """The model's schema from the service's catalogue. UsageError if it has none, ServiceUnavailableError if the service
    can't be reached.
    """
    client = Client(service.base_url, service.token, settings.model, {}, observer=observer, proxy=service.proxy)
    with steps(ASKING_SERVICE):
        async with client:
            entry = await client.ask_model_entry()
    if entry is None and not client.has_answered:
        raise ServiceUnavailableError(
            f"the service can't be reached, and it alone knows the inputs of {settings.model}",
            hint="check the network, HTTPS_PROXY and --base-url, or give them as --schema FILE",
        )
    if entry is None or not entry.schema:
        load_model(settings.model, None)  # says what to do
        raise UsageError(f"the catalogue has no schema for {settings.model}", hint="give it as --schema FILE")
    return Model(settings.model, entry.schema)


def make_purchase_limits(settings: Settings) -> PurchaseLimits:
    """The part of the settings that the governor uses."""
    return PurchaseLimits(
        concurrency=settings.concurrency,
        rate=settings.rate,
        poll_seconds=settings.poll_seconds,
        until=settings.until,
        stop_rule=parse_stop_rule(settings.stop_after_failures),
    )


def parse_stop_rule(text: str | None) -> StopRule:
    """``--stop-after-failures``. UsageError for what is neither ``N`` nor ``P%``."""
    if text is None:
        return StopRule()
    try:
        if text.endswith("%"):
            return StopRule(percent=float(text[:-1]))
        return StopRule(count=int(text))
    except ValueError:
        raise UsageError(f"--stop-after-failures takes 20 or 50%, not {text!r}") from None


def list_allowed_hosts(settings: Settings, base_url: str) -> tuple[str, ...]:
    """Hosts that files may come from: the user's, and a loopback service's own."""
    host = urlsplit(base_url).hostname or ""
    return (*settings.allow_hosts, host) if base_url.startswith("http://") else settings.allow_hosts


class PoolLedger(Ledger, Protocol):
    """The pool's port to the ledger, and the few methods besides that its client and files need."""

    def has_file(self, path: str, but_job: int) -> bool:
        """See ``book.Records``."""
        ...

    def get(self, name: str) -> str | None:
        """See ``book.Facts``."""
        ...

    def put(self, name: str, value: str) -> None:
        """See ``book.Facts``."""
        ...


def make_asking_client(settings: Settings, service: Service, model: Model, observer: Observer) -> Client:
    """A client that only asks: it can't buy."""
    return Client(service.base_url, service.token, settings.model, model.schema, observer=observer, proxy=service.proxy)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the client, the files and the pool share. ``objects`` is the store of files, None where the folder keeps them."""

    objects: Objects | None
    rng: Random
    clock: SteadyClock
    inline_pictures: InlinePictures
    trusted: SSLContext


@asynccontextmanager
async def open_pool(
    settings: Settings,
    folder: RunFolder,
    checkpoint: PoolLedger,
    model: Model,
    service: Service,
    observer: Observer,
    picture_roots: Sequence[Path] | None,
    write_failures: WriteFailures,
    *,
    copies: bool = True,
) -> AsyncIterator[tuple[Pool, Client]]:
    """A pool with its real connections, open for as long as the block lasts. ``picture_roots`` as for ``LocalPictures``.

    Where the run's pictures go into a store of files, that is checked first: nothing is bought that could not be kept.
    ``copies`` as for ``Downloader``; a thumbnail that can't be written is added to ``write_failures``.
    """
    objects = open_objects(checkpoint.get(FILES_URL))
    if objects is not None:
        await to_thread.run_sync(objects.check)
    ssl_context = create_ssl_context()  # 20 ms and 0.7 MB: one for both
    shared = _Shared(objects, Random(), SteadyClock(), InlinePictures(), ssl_context)
    album = Album(folder.thumbs)
    pictures = LocalPictures(
        observer, shrinks=not settings.no_shrink, roots=picture_roots, blob=make_blob_reader(objects)
    )
    async with (
        rescue_to_files(objects, checkpoint, folder.path, observer) as take_in,
        _make_buying_client(settings, service, model, observer, checkpoint, pictures, shared) as client,
        _make_downloader(settings, folder, service, checkpoint, album, shared, copies=copies) as files,
    ):
        governor = _make_governor(settings, client, checkpoint, observer, shared)
        pool = _make_pool(settings, client, checkpoint, files, observer, governor, shared)
        pool.take_in = take_in
        yield pool, client
        if album.refused is not None:
            write_failures.add(folder.thumbs, album.refused)
            observer.note("thumbnails", f"small pictures can't be kept in {folder.thumbs}: the gallery makes them")
        with suppress(CheckpointError):  # of little use to the next run: no reason to hide an error of this one
            checkpoint.put(LIFETIMES, governor.lifetimes.dump())


def _make_buying_client(
    settings: Settings,
    service: Service,
    model: Model,
    observer: Observer,
    checkpoint: PoolLedger,
    pictures: LocalPictures,
    shared: _Shared,
) -> Client:
    """The client that buys, as long as the ledger lets this process send and the same service listens: the person's yes was
    for play money or for real money.
    """

    def explain_no_send() -> str:
        return service.explain_other_service() if checkpoint.may_send() else "this worker's lease is over"

    # Workers of one account meet a limit of speed all at once: each has as many POSTs under way as need no proof.
    return Client(
        service.base_url,
        service.token,
        settings.model,
        model.schema,
        observer=observer,
        clock=shared.clock,
        rng=shared.rng,
        posts=START if checkpoint.shared else TOP,
        proxy=service.proxy,
        verify=shared.trusted,
        resolve_pictures=pictures,
        inline_pictures=shared.inline_pictures,
        why_not=explain_no_send,
    )


def _make_downloader(
    settings: Settings,
    folder: RunFolder,
    service: Service,
    checkpoint: PoolLedger,
    album: Album,
    shared: _Shared,
    *,
    copies: bool,
) -> Downloader:
    """Fetches finished pictures into the folder or into the store of files."""
    return Downloader(
        folder.path,
        allow_hosts=list_allowed_hosts(settings, service.base_url),
        clock=shared.clock,
        rng=shared.rng,
        proxy=service.proxy,
        verify=shared.trusted,
        is_taken=checkpoint.has_file,
        inline_pictures=shared.inline_pictures,
        album=album,
        objects=shared.objects,
        copies=copies,
    )


def _make_governor(
    settings: Settings, client: Client, checkpoint: PoolLedger, observer: Observer, shared: _Shared
) -> Governor:
    """It begins with the running times that earlier processes of the run have measured."""
    return Governor(
        make_purchase_limits(settings),
        api=client,
        observer=observer,
        clock=shared.clock,
        rng=shared.rng,
        lifetimes=Lifetimes.load(checkpoint.get(LIFETIMES) or ""),
        wall=time,
        posts=SharedRate(settings.rate) if checkpoint.shared else None,
    )


def _make_pool(
    settings: Settings,
    client: Client,
    checkpoint: PoolLedger,
    files: Downloader,
    observer: Observer,
    governor: Governor,
    shared: _Shared,
) -> Pool:
    return Pool(
        api=client,
        checkpoint=checkpoint,
        files=files,
        observer=observer,
        governor=governor,
        clock=shared.clock,
        rng=shared.rng,
        price=settings.price or 0,
        patience=Patience(stuck_after=settings.stuck_after),
        prepare=client.prepare,
    )
