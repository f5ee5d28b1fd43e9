"""Where the parts are put together: the one place, for command line and library alike, that builds real edges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import time
from urllib.parse import urlsplit

from httpx import create_ssl_context

from ..core.errors import CheckpointError, OutputError, UsageError
from ..core.lifecycle import Patience
from ..files.download import Downloader
from ..images.data_uri import LocalPictures
from ..ledger.sqlite import SqliteCheckpoint
from ..pool.collecting import Pool
from ..pool.governor import Governor, Pace, StopRule
from ..ports import Observer
from ..run_folder import RunFolder
from ..runcomfy.catalogue import Model, built_in, load_model
from ..runcomfy.client import Client
from ..runcomfy.token import find_token
from ..runcomfy.urls import check_base_url
from ..scheduling.lifetimes import Lifetimes
from ..settings.model import Settings

SANDBOX_TOKEN = "sandbox"  # noqa: S105 - the sandbox takes any token


@dataclass(frozen=True, slots=True)
class Service:
    """Where the API is and who we are there."""

    base_url: str
    token: str
    warning: str = ""


@contextmanager
def service(settings: Settings, folder: RunFolder, environ: Mapping[str, str]) -> Iterator[Service]:
    """The service of ``settings``; with ``sandbox`` a server of our own for as long as the block lasts.

    TokenError (77) where a token is missing.
    """
    if not settings.sandbox:
        base_url = check_base_url(settings.base_url)
        token = find_token(environ, Path.home())
        yield Service(base_url, token.value, token.warning)
        return
    from ..sandbox import RunningSandbox, SandboxConfig  # noqa: PLC0415 - brings a whole web server with it

    try:
        running = RunningSandbox(SandboxConfig(latency="uniform:1,4", state=folder.sandbox_state))
    except OSError as error:
        raise OutputError(f"the sandbox can't start: {error}") from error
    try:
        yield Service(running.url, SANDBOX_TOKEN)
    finally:
        running.close()


def find_model(settings: Settings) -> Model | None:
    """The model's schema, from a file or built in; None if the catalogue must be asked."""
    if settings.schema is None and settings.model not in built_in():
        return None
    return load_model(settings.model, Path(settings.schema) if settings.schema else None)


async def model_from_catalogue(settings: Settings, found: Service, observer: Observer) -> Model:
    """The model's schema as the service's catalogue tells it. UsageError if it does not."""
    async with Client(found.base_url, found.token, settings.model, {}, observer=observer) as client:
        entry = await client.model_entry()
    if entry is None or not entry.schema:
        load_model(settings.model, None)  # says what to do
        raise UsageError(f"the catalogue has no schema for {settings.model}", hint="give it as --schema FILE")
    return Model(settings.model, entry.schema)


def pace(settings: Settings) -> Pace:
    """The governor's part of the settings."""
    return Pace(
        concurrency=settings.concurrency,
        rate=settings.rate,
        poll_seconds=settings.poll_seconds,
        until=settings.until,
        stop_rule=stop_rule(settings.stop_after_failures),
    )


def stop_rule(text: str | None) -> StopRule:
    """``--stop-after-failures``. UsageError for what is neither ``N`` nor ``P%``."""
    if text is None:
        return StopRule()
    try:
        if text.endswith("%"):
            return StopRule(percent=float(text[:-1]))
        return StopRule(count=int(text))
    except ValueError:
        raise UsageError(f"--stop-after-failures takes 20 or 50%, not {text!r}") from None


def allowed_hosts(settings: Settings, base_url: str) -> tuple[str, ...]:
    """Hosts that files may come from: the user's, and a loopback service's own."""
    host = urlsplit(base_url).hostname or ""
    return (*settings.allow_hosts, host) if base_url.startswith("http://") else settings.allow_hosts


@asynccontextmanager
async def connected(
    settings: Settings,
    folder: RunFolder,
    checkpoint: SqliteCheckpoint,
    model: Model,
    found: Service,
    observer: Observer,
    environ: Mapping[str, str],
) -> AsyncIterator[tuple[Pool, Client]]:
    """A pool with its real edges, open for as long as the block lasts."""
    rng = Random()
    proxy = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    trusted = create_ssl_context()  # 20 ms and 0.7 MB: one for both
    async with (
        Client(
            found.base_url,
            found.token,
            settings.model,
            model.schema,
            observer=observer,
            rng=rng,
            proxy=proxy,
            verify=trusted,
            resolve_pictures=LocalPictures(observer, shrinks=not settings.no_shrink),
        ) as client,
        Downloader(
            folder.path,
            allow_hosts=allowed_hosts(settings, found.base_url),
            rng=rng,
            proxy=proxy,
            verify=trusted,
            taken=checkpoint.has_file,
        ) as files,
    ):
        lifetimes = Lifetimes.load(checkpoint.get("lifetimes") or "")
        governor = Governor(pace(settings), api=client, observer=observer, clock=time, rng=rng, lifetimes=lifetimes)
        yield (
            Pool(
                api=client,
                checkpoint=checkpoint,
                files=files,
                observer=observer,
                governor=governor,
                clock=time,
                rng=rng,
                price=settings.price or 0,
                patience=Patience(stuck_after=settings.stuck_after),
                prepare=client.prepare,
            ),
            client,
        )
        with suppress(CheckpointError):  # worth a little to the next run; nothing to hide an error of this one behind
            checkpoint.put("lifetimes", governor.lifetimes.dump())
