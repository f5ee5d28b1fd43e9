"""A link becomes a verified file, or a reason why not.

Its length is checked on the way, all else by its ``landing``. The links come from the service and the hosts are not the
API: this client has no token and shares nothing with the API's.

What a second try may mend (a broken connection, a 503, a torn picture) is tried again here, within attempt and time
caps. What it can't (expired link, a web page in place of a picture, a host that is not allowed) is Broken at once, and
the lifecycle asks ``/result`` for a fresh link. A disk that fails is neither: OutputError ends the run.
"""

from __future__ import annotations

import errno
import os
import random
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx
from anyio import to_thread
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from ..connections import PackedBodyError, Stack, read_body, unpacker
from ..core.errors import BatcheditError, FilesUnavailableError, OutputError
from ..core.hosts import is_loopback
from ..core.inanswer import InlinePictures, is_inline_address
from ..core.model import Kind, Output, Problem, Record, SavedFile
from ..images.features import Album
from ..images.verify import NotAMediaFileError
from ..ports import Broken
from .allowlist import HostAllowlist
from .objects import Objects
from .stored import put_in_store
from .writer import AtomicDownload

ATTEMPTS = 3
TOTAL_SECONDS = 180.0  # no further attempt begins after this
LARGEST = 2 * 2**30  # bytes
REDIRECTS = 5
SLOWEST = 1024.0  # bytes a second, once a file has taken longer than a minute
AWAY_SECONDS = 180.0  # so long a store of files that is away is waited for
_TOO_LARGE = f"the file is larger than {LARGEST // 2**30} GiB"
_BLOCK = 2**20  # bytes written and hashed in one go

_TIMES = httpx.Timeout(connect=10.0, pool=60.0, read=60.0, write=30.0)
_HEADERS = httpx.Headers(
    {"Accept": "image/*,video/*,*/*;q=0.1", "Accept-Encoding": "identity", "User-Agent": "batchedit"}
)
_backoff = wait_exponential(multiplier=0.5, max=8.0)

T = TypeVar("T")


class _FlawError(Exception):
    """A download that can't be kept."""

    def __init__(self, message: str, http: int | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(Kind.DOWNLOAD, message, http=http)


class _PassingFlawError(_FlawError):
    """One that the next attempt may mend."""


class Downloader:
    """``ports.Files``: an async context manager around connections of its own.

    ``folder`` is the run's folder; files go below ``folder/files`` under the job's name, a second and further output of
    one job under ``name-2``, ``name-3``. The ending is what the bytes are, whatever the link says. At most ``limit``
    downloads are under way at once. ``taken(path, job id)`` tells whether another job's record has that file. Thumbnails of
    what is bought go into ``album``. With ``objects`` each file is put there too before it counts as saved, and unless
    ``copies`` its copy here is removed then. ``proxy`` and ``verify`` are the caller's, ``transport`` is for tests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        allow_hosts: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        limit: int = 8,
        proxy: str | None = None,
        verify: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        taken: Callable[[str, int], bool] | None = None,
        inline_pictures: InlinePictures | None = None,
        album: Album | None = None,
        objects: Objects | None = None,
        copies: bool = True,
    ) -> None:
        """UsageError for an ``allow_hosts`` entry that is no host."""
        self._folder = folder
        self._album = album
        self._objects, self._copies = objects, copies
        self._in_answer = inline_pictures or InlinePictures()
        self._taken = taken or (lambda _path, _job: False)
        self._claimed: dict[str, int] = {}
        self._judged: dict[Path, bool] = {}
        self._allowlist = HostAllowlist(allow_hosts)
        self._clock = clock
        self._rng = rng or random.Random()
        self._places = anyio.Semaphore(limit, fast_acquire=True)
        self._threads = anyio.CapacityLimiter(max(2, min(limit, os.cpu_count() or 2)))
        verify = verify or (httpx.create_ssl_context() if transport is None else None)
        self._far = Stack(limit, verify=verify, proxy=proxy, transport=transport)
        self._near = Stack(limit, verify=verify, proxy=None, transport=transport) if proxy else self._far
        """For this machine: never by a proxy."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(5, shield=True):
            for stack in {self._far, self._near}:
                await stack.aclose()

    async def save(self, record: Record, output: Output, index: int) -> SavedFile | Broken:
        """Download one output to its final name, verified; or say why not. OutputError if the disk or the store of files
        fails: the job stays bought, and is collected later.
        """
        name = record.job.name if index == 0 else f"{record.job.name}-{index + 1}"
        target = self._target(name)
        began = anyio.current_time()
        torn: list[_PassingFlawError] = []

        async def attempt() -> SavedFile:
            if torn:
                raise torn.pop()  # the first one, made without tenacity
            return await self._attempt(output.url, target, record)

        def stop(state: RetryCallState) -> bool:
            late = anyio.current_time() - began + state.upcoming_sleep > TOTAL_SECONDS
            return state.attempt_number >= ATTEMPTS or late

        async with self._places:
            try:
                return await self._stored(await attempt(), record)
            except _PassingFlawError as flaw:
                torn.append(flaw)
            except _FlawError as flaw:
                return Broken(flaw.problem)
            retrying = AsyncRetrying(
                sleep=anyio.sleep,
                stop=stop,
                wait=lambda state: self._rng.uniform(0.0, _backoff(state)),
                retry=retry_if_exception_type(_PassingFlawError),
                reraise=True,
            )
            try:
                saved: SavedFile = await retrying(attempt)
            except _FlawError as flaw:
                return Broken(flaw.problem)
            return await self._stored(saved, record)

    async def _stored(self, saved: SavedFile, record: Record) -> SavedFile:
        """The file is in the store of files, if there is one, when it returns. A store that is away is waited for."""
        if self._objects is None:
            return saved
        end, pause = anyio.current_time() + AWAY_SECONDS, 0.5
        while True:
            try:
                return await self._disk(put_in_store, self._objects, self._folder, saved, record, self._copies)
            except FilesUnavailableError:
                if anyio.current_time() + pause > end:
                    raise
            await anyio.sleep(pause)
            pause = min(2 * pause, 8.0)

    def _target(self, name: str) -> Path:
        """The final path without its ending. OutputError if the name would leave ``files``; defence in depth."""
        path = PurePosixPath(name)
        odd = not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name
        root = self._folder / "files"
        target = root / path
        if odd or not self._inside(target.parent):
            raise OutputError(f"the file name {name!r} leaves the folder {root}")
        return target

    def _inside(self, folder: Path) -> bool:
        """Does ``folder`` lie in the run's ``files``, whatever links there are? Asked of the disk once."""
        if folder not in self._judged:
            root = Path(os.path.realpath(self._folder)) / "files"
            self._judged[folder] = Path(os.path.realpath(folder)).is_relative_to(root)
        return self._judged[folder]

    async def _attempt(self, url: str, target: Path, record: Record) -> SavedFile:
        """One try. The .part lies beside the final name, so that the rename stays within one file system."""
        part = target.with_name(f"{target.name}.{record.id}.part")  # its own: names may clash
        landing = AtomicDownload(part, self._folder, self._album)
        try:
            if is_inline_address(url):
                return await self._disk(self._finish, landing, self._take(url), target, "", record)
            rest = await self._fetch(url, landing)
            return await self._disk(self._finish, landing, rest, target, url, record)
        except NotAMediaFileError as error:
            raise (_PassingFlawError if error.torn else _FlawError)(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, PackedBodyError) as error:
            raise _PassingFlawError(f"the download broke off ({type(error).__name__} {str(error)[:80]})") from None
        except (_FlawError, BatcheditError):
            raise
        except Exception as error:  # noqa: BLE001 - a port of 99999, a host that is no IDNA: this file's flaw, not the run's
            raise _FlawError(f"the link can't be used ({type(error).__name__} {ascii(error)[:80]})") from None
        finally:
            landing.drop()
            self._in_answer.drop(url)

    def _take(self, address: str) -> bytes:
        """A picture that came inside the service's answer. Where it is not at hand the service is asked again."""
        data = self._in_answer.get(address)
        if data is None:
            raise _FlawError("the picture was inside the service's answer, which is asked for again")
        if not data:
            raise _FlawError("the picture inside the service's answer is damaged")
        return data

    # --- the network ------------------------------------------------------------------------------

    async def _fetch(self, url: str, landing: AtomicDownload) -> bytes:
        """The last block of the body; the others are taken by ``landing``. Follows at most REDIRECTS redirects, none of
        which leaves the list of hosts.
        """
        place = _parse(url)
        for _ in range(REDIRECTS + 1):
            if reason := self._allowlist.refusal(place):
                raise _FlawError(f"the link is not followed: {reason}")
            request = httpx.Request("GET", place, headers=_HEADERS, extensions={"timeout": _TIMES.as_dict()})
            async with (self._near if is_loopback(place.host) else self._far).take() as transport:
                response = await transport.handle_async_request(request)
                try:
                    if not response.has_redirect_location:
                        _check_status(response)
                        return await self._stream(response, landing)
                finally:
                    with anyio.move_on_after(5, shield=True), suppress(httpx.HTTPError, OSError):
                        await response.aclose()
            onward = place.join(_parse(response.headers["location"]))
            if place.scheme == "https" and onward.scheme != "https":
                raise _FlawError("the link is not followed: it leads from https to http")
            place = onward
        raise _FlawError(f"the link leads through more than {REDIRECTS} redirects")

    async def _stream(self, response: httpx.Response, landing: AtomicDownload) -> bytes:
        """The body, as it came, to its landing, but for the last block; its length is checked against Content-Length."""
        told = _length(response)
        began = anyio.current_time()
        block = bytearray()
        came = 0
        unpack: Callable[[bytes], bytes] | None = None

        async def take(chunk: bytes) -> None:
            """Unpack a piece of the body and write whole blocks. _FlawError where it is too large or too slow."""
            nonlocal came, unpack, block
            unpack = unpack or unpacker(response, chunk)
            came += len(chunk)
            block += unpack(chunk)
            size = landing.size + len(block)
            if size > LARGEST:
                raise _FlawError(_TOO_LARGE)
            if (seconds := anyio.current_time() - began) > 60 and size / seconds < SLOWEST:
                raise _PassingFlawError("the file host is too slow")
            if len(block) >= _BLOCK:
                await self._disk(landing.take, bytes(block))
                block.clear()

        await read_body(response, take)
        if told is not None and came != told:
            raise _PassingFlawError(f"the file is cut off: {came} of {told} bytes came")
        return bytes(block)

    # --- the disk ---------------------------------------------------------------------------------

    async def _disk(self, work: Callable[..., T], *args: Any) -> T:
        """Do blocking ``work`` in a thread. An OSError of it is the disk's and becomes OutputError."""
        try:
            return await to_thread.run_sync(work, *args, limiter=self._threads)
        except OSError as error:
            raise _disk_error(error) from error

    def _finish(self, landing: AtomicDownload, rest: bytes, target: Path, url: str, record: Record) -> SavedFile:
        """Land it. ``rest`` is its last block."""
        path = ""

        def name(ending: str) -> Path:
            nonlocal path
            final, path = self._free(target, ending, record)
            return final

        seen = landing.finish(rest, name)
        return SavedFile(path, landing.sha256, landing.size, seen.width, seen.height, url)

    def _free(self, target: Path, ending: str, record: Record) -> tuple[Path, str]:
        """The final name, whole and as the record has it, unless another job's file has it: a paid picture is never
        overwritten, whatever names say.

        A file that no job has is what a crash left between the rename and its commit, and is replaced.
        """
        for name in (target.name, f"{target.name}-{record.job.key.hex()[:8]}"):
            final = target.with_name(name + ending)
            path = final.relative_to(self._folder).as_posix()
            if self._claimed.setdefault(path.casefold(), record.id) != record.id:
                continue
            if not final.exists() or not self._taken(path, record.id):
                return final, path
        raise OutputError(f"{target}{ending} is another job's file")


def _parse(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _FlawError(f"the link can't be read: {error}") from None


def _check_status(response: httpx.Response) -> None:
    """Nothing for a 200; a flaw for everything else, passing where the host may yet give the file."""
    status = response.status_code
    if status == 200:
        return
    if status in {408, 425, 429} or status >= 500:
        raise _PassingFlawError(f"the file host answered HTTP {status}", status)
    expired = " (the link has expired or the file is gone)" if status in {401, 403, 404, 410} else ""
    raise _FlawError(f"the file host answered HTTP {status}{expired}", status)


def _length(response: httpx.Response) -> int | None:
    """Content-Length in bytes, None if not told. A flaw if it is beyond the cap."""
    text = response.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()):
        return None
    if (told := int(text)) > LARGEST:
        raise _FlawError(_TOO_LARGE)
    return told


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def _disk_error(error: OSError) -> OutputError:
    """73 if the file may not be written, 74 if the disk is full or fails [sysexits]."""
    where = f" {error.filename}" if error.filename else ""
    failed = OutputError(f"the file{where} can't be written: {error.strerror or error}")
    if error.errno in _FULL:
        failed.code = 74
        failed.hint = "make room, then run the same command again: nothing is bought twice"
    else:
        failed.hint = "mend that, then run the same command again: nothing is bought twice"
    return failed
