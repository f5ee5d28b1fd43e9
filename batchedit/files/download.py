"""Downloads a link to a verified file, or says why not.

The length is checked here, everything else by ``AtomicDownload``. The links come from the service, but the hosts are not
the API: this client has no token and shares nothing with the API's client.

Passing failures (a broken connection, a 503, a torn picture) are retried here, within caps on attempts and time. Others
(an expired link, a web page in place of a picture, a host that is not allowed) are Broken at once, and the lifecycle asks
``/result`` for a fresh link. A failing disk is neither: OutputError ends the run.
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

from ..connections import PackedBodyError, Stack, find_redirect, make_unpacker, read_body
from ..core.errors import BatcheditError, FilesUnavailableError, OutputError
from ..core.hosts import is_loopback
from ..core.inline_pictures import InlinePictures, is_inline_address
from ..core.model import Kind, Output, Problem, Record, SavedFile
from ..images.thumbnails_and_features import Album
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
AWAY_SECONDS = 180.0  # the longest wait for a store of files that is away
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
    """A flaw that may be gone at the next attempt."""


class Downloader:
    """``ports.Files``: an async context manager around connections of its own.

    ``folder`` is the run's folder; files go below ``folder/files`` under the job's name, a second and further output of
    one job under ``name-2``, ``name-3``. The ending follows from the bytes, not from the link. At most ``limit`` downloads
    are under way at once. ``is_taken(path, job id)`` is True if another job's record has that file. Thumbnails of bought
    pictures go into ``album``. With ``objects`` each file is put there too before it counts as saved; unless ``copies``, its
    copy here is removed then. ``proxy`` and ``verify`` are the caller's, ``transport`` is for tests.
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
        is_taken: Callable[[str, int], bool] | None = None,
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
        self._is_taken = is_taken or (lambda _path, _job: False)
        self._claimed: dict[str, int] = {}
        self._inside_by_folder: dict[Path, bool] = {}
        self._allowlist = HostAllowlist(allow_hosts)
        self._clock = clock
        self._rng = rng or random.Random()
        self._limiter = anyio.Semaphore(limit, fast_acquire=True)
        self._threads = anyio.CapacityLimiter(max(2, min(limit, os.cpu_count() or 2)))
        verify = verify or (httpx.create_ssl_context() if transport is None else None)
        self._remote_stack = Stack(limit, verify=verify, proxy=proxy, transport=transport)
        self._local_stack = (
            Stack(limit, verify=verify, proxy=None, transport=transport) if proxy else self._remote_stack
        )
        """For this machine, never through a proxy."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(5, shield=True):
            for stack in {self._remote_stack, self._local_stack}:
                await stack.aclose()

    async def save(self, record: Record, output: Output, index: int) -> SavedFile | Broken:
        """Download one output to its final name, verified; or say why not. OutputError if the disk or the store of files
        fails: the job stays bought and is collected later.
        """
        name = record.job.name if index == 0 else f"{record.job.name}-{index + 1}"
        target = self._build_target(name)
        started = anyio.current_time()

        def stop(state: RetryCallState) -> bool:
            late = anyio.current_time() - started + state.upcoming_sleep > TOTAL_SECONDS
            return state.attempt_number >= ATTEMPTS or late

        async with self._limiter:
            retrying = AsyncRetrying(
                sleep=anyio.sleep,
                stop=stop,
                wait=lambda state: self._rng.uniform(0.0, _backoff(state)),
                retry=retry_if_exception_type(_PassingFlawError),
                reraise=True,
            )
            try:
                saved: SavedFile = await retrying(self._attempt, output.url, target, record)
            except _FlawError as flaw:
                return Broken(flaw.problem)
            return await self._put_in_store(saved, record)

    async def _put_in_store(self, saved: SavedFile, record: Record) -> SavedFile:
        """Put the file into the store of files, if there is one. Waits for a store that is away."""
        if self._objects is None:
            return saved
        deadline, pause = anyio.current_time() + AWAY_SECONDS, 0.5
        while True:
            try:
                return await self._run_in_thread(put_in_store, self._objects, self._folder, saved, record, self._copies)
            except FilesUnavailableError:
                if anyio.current_time() + pause > deadline:
                    raise
            await anyio.sleep(pause)
            pause = min(2 * pause, 8.0)

    def _build_target(self, name: str) -> Path:
        """The final path without its ending. OutputError if the name would leave ``files``; defence in depth."""
        path = PurePosixPath(name)
        is_odd = not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name
        root = self._folder / "files"
        target = root / path
        if is_odd or not self._is_inside(target.parent):
            raise OutputError(f"the file name {name!r} leaves the folder {root}")
        return target

    def _is_inside(self, folder: Path) -> bool:
        """True if ``folder`` lies in the run's ``files``, links followed. The disk is asked once per folder."""
        if folder not in self._inside_by_folder:
            root = Path(os.path.realpath(self._folder)) / "files"
            self._inside_by_folder[folder] = Path(os.path.realpath(folder)).is_relative_to(root)
        return self._inside_by_folder[folder]

    async def _attempt(self, url: str, target: Path, record: Record) -> SavedFile:
        """One try. The .part lies beside the final name, so that the rename stays within one file system."""
        part = target.with_name(f"{target.name}.{record.id}.part")  # its own: names may clash
        download = AtomicDownload(part, self._folder, self._album)
        try:
            if is_inline_address(url):
                return await self._run_in_thread(self._finish, download, self._read_in_answer(url), target, "", record)
            last_block = await self._fetch(url, download)
            return await self._run_in_thread(self._finish, download, last_block, target, url, record)
        except NotAMediaFileError as error:
            raise (_PassingFlawError if error.torn else _FlawError)(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, PackedBodyError) as error:
            raise _PassingFlawError(f"the download broke off ({type(error).__name__} {str(error)[:80]})") from None
        except (_FlawError, BatcheditError):
            raise
        except Exception as error:  # noqa: BLE001 - a port of 99999, a host that is no IDNA: this file's flaw, not the run's
            raise _FlawError(f"the link can't be used ({type(error).__name__} {ascii(error)[:80]})") from None
        finally:
            download.drop()
            self._in_answer.drop(url)

    def _read_in_answer(self, address: str) -> bytes:
        """A picture that came inside the service's answer. If it is no longer in memory, the service is asked again."""
        data = self._in_answer.get(address)
        if data is None:
            raise _FlawError("the picture was inside the service's answer, which is asked for again")
        if not data:
            raise _FlawError("the picture inside the service's answer is damaged")
        return data

    # --- the network ------------------------------------------------------------------------------

    async def _fetch(self, url: str, download: AtomicDownload) -> bytes:
        """The last block of the body; the other blocks go to ``download``. Follows at most REDIRECTS redirects, none of which
        may leave the list of hosts.
        """
        link = _parse_link(url)
        for _ in range(REDIRECTS + 1):
            if reason := self._allowlist.explain_refusal(link):
                raise _FlawError(f"the link is not followed: {reason}")
            request = httpx.Request("GET", link, headers=_HEADERS, extensions={"timeout": _TIMES.as_dict()})
            async with (self._local_stack if is_loopback(link.host) else self._remote_stack).take() as transport:
                response = await transport.handle_async_request(request)
                try:
                    next_link = find_redirect(response, link)
                    if next_link is None:
                        _check_status(response)
                        return await self._read_body(response, download)
                except httpx.InvalidURL as error:
                    raise _FlawError(f"the link can't be read: {error}") from None
                finally:
                    with anyio.move_on_after(5, shield=True), suppress(httpx.HTTPError, OSError):
                        await response.aclose()
            if link.scheme == "https" and next_link.scheme != "https":
                raise _FlawError("the link is not followed: it leads from https to http")
            link = next_link
        raise _FlawError(f"the link leads through more than {REDIRECTS} redirects")

    async def _read_body(self, response: httpx.Response, download: AtomicDownload) -> bytes:
        """Write the body to ``download`` except for its last block, which is returned. Checks the length against
        Content-Length.
        """
        stated_length = _read_stated_length(response)
        started = anyio.current_time()
        buffer = bytearray()
        received = 0
        unpack: Callable[[bytes], bytes] | None = None

        async def add_chunk(chunk: bytes) -> None:
            """Unpack a piece of the body and write whole blocks. _FlawError if the body is too large or too slow."""
            nonlocal received, unpack, buffer
            unpack = unpack or make_unpacker(response, chunk)
            received += len(chunk)
            buffer += unpack(chunk)
            size = download.size + len(buffer)
            if size > LARGEST:
                raise _FlawError(_TOO_LARGE)
            if (seconds := anyio.current_time() - started) > 60 and size / seconds < SLOWEST:
                raise _PassingFlawError("the file host is too slow")
            if len(buffer) >= _BLOCK:
                await self._run_in_thread(download.take, bytes(buffer))
                buffer.clear()

        await read_body(response, add_chunk)
        if stated_length is not None and received != stated_length:
            raise _PassingFlawError(f"the file is cut off: {received} of {stated_length} bytes came")
        return bytes(buffer)

    # --- the disk ---------------------------------------------------------------------------------

    async def _run_in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Do blocking ``work`` in a thread. Its OSError comes from the disk and becomes OutputError."""
        try:
            return await to_thread.run_sync(work, *args, limiter=self._threads)
        except OSError as error:
            raise _translate_disk_error(error) from error

    def _finish(self, download: AtomicDownload, last_block: bytes, target: Path, url: str, record: Record) -> SavedFile:
        """Finish the download with its last block."""
        path = ""

        def choose_path(ending: str) -> Path:
            nonlocal path
            final, path = self._find_free_path(target, ending, record)
            return final

        verified = download.finish(last_block, choose_path)
        return SavedFile(path, download.sha256, download.size, verified.width, verified.height, url)

    def _find_free_path(self, target: Path, ending: str, record: Record) -> tuple[Path, str]:
        """The final path, absolute and as the record has it. If another job's file has that name, another name is used: a
        paid picture is never overwritten.

        A file that no job has was left by a crash between the rename and its commit, and is replaced.
        """
        for name in (target.name, f"{target.name}-{record.job.key.hex()[:8]}"):
            final = target.with_name(name + ending)
            path = final.relative_to(self._folder).as_posix()
            if self._claimed.setdefault(path.casefold(), record.id) != record.id:
                continue
            if not final.exists() or not self._is_taken(path, record.id):
                return final, path
        raise OutputError(f"{target}{ending} is another job's file")


def _parse_link(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _FlawError(f"the link can't be read: {error}") from None


def _check_status(response: httpx.Response) -> None:
    """Raise a flaw for any status but 200, a passing one if the host may still deliver the file."""
    status = response.status_code
    if status == 200:
        return
    if status in {408, 425, 429} or status >= 500:
        raise _PassingFlawError(f"the file host answered HTTP {status}", status)
    expired = " (the link has expired or the file is gone)" if status in {401, 403, 404, 410} else ""
    raise _FlawError(f"the file host answered HTTP {status}{expired}", status)


def _read_stated_length(response: httpx.Response) -> int | None:
    """Content-Length in bytes, None if it is missing. A flaw if it is beyond the cap."""
    text = response.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()):
        return None
    if (stated_length := int(text)) > LARGEST:
        raise _FlawError(_TOO_LARGE)
    return stated_length


_DISK_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def _translate_disk_error(error: OSError) -> OutputError:
    """73 if the file may not be written, 74 if the disk is full or fails [sysexits]."""
    file_text = f" {error.filename}" if error.filename else ""
    output_error = OutputError(f"the file{file_text} can't be written: {error.strerror or error}")
    if error.errno in _DISK_FAILURES:
        output_error.code = 74
        output_error.hint = "make room, then run the same command again: nothing is bought twice"
    else:
        output_error.hint = "mend that, then run the same command again: nothing is bought twice"
    return output_error
