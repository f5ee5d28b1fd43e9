"""Local pictures on their way out: read again, compared with the digest of the plan, sent as data URIs.

Their bytes are nowhere kept: the checkpoint has the path and the digest, and the request is made when it is sent.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from ..core.errors import FilesUnavailableError
from ..core.jsontext import write_inputs
from ..core.limits import MAX_REQUEST_BYTES, MAX_URI_BYTES, format_mb, uri_size
from ..disk import is_inside
from ..ports import Observer
from .formats import SHRINKABLE, media_type
from .shrink import shrink

Inputs = dict[str, Any]

SPARE = 4096  # bytes of the request for names, quotes and commas
TOLD = 5
"""So many re-encoded pictures are told one by one; ``run.jsonl`` has them all."""
AWAY_SECONDS = 120.0
"""So long a store of files that is away is waited for."""
KEPT = 4
"""Re-encoded pictures kept for the row's next size or variant: at most 6 MiB each."""


class LocalPictures:
    """``{"$file", "$sha256"}`` in the inputs of a job become data URIs. ``shrinks`` is off with ``--no-shrink``.

    ``roots`` are the only folders below which files are read, links followed; None where the jobs are this person's own, and
    were checked when they were made. ``blob`` reads a picture by its sha256 from where the intake put it, for a machine
    that has not the file, or has another one by now; None if it is not there.

    Called once a job. ValueError or OSError, with the file's name, where the picture is gone, is another one than in
    the plan, or can't be made to fit: nothing has been sent then.
    """

    def __init__(
        self,
        observer: Observer,
        *,
        shrinks: bool = True,
        roots: Sequence[Path] | None = None,
        blob: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self._observer = observer
        self._shrinks = shrinks
        self._roots = roots
        self._blob = blob
        self._one_at_a_time = anyio.CapacityLimiter(1)  # a decoded photograph may take 300 MB
        self._made: dict[tuple[str, int], str] = {}
        self._told = 0

    async def __call__(self, inputs: Inputs) -> Inputs:
        """``inputs`` with every local picture as text that the service takes."""
        wanted = [item for value in inputs.values() for item in _items(value) if _is_local(item)]
        if not wanted:
            return inputs
        read: dict[str, bytes] = {}
        for item in wanted:
            if item["$file"] not in read:
                read[item["$file"]] = await self._read(item)
        most = _share([len(read[item["$file"]]) for item in wanted], len(write_inputs(inputs)) + SPARE)
        sent: dict[str, str] = {}
        for item in wanted:
            if item["$file"] not in sent:
                data = read[item["$file"]]
                sent[item["$file"]] = await to_thread.run_sync(self._uri, item, data, most, limiter=self._one_at_a_time)
        return {name: _replaced(value, sent) for name, value in inputs.items()}

    def _check_place(self, path: Path) -> None:
        if not self._may_read(path):
            raise ValueError(
                f"{path.name} lies outside the run's folder and is not read: the run is not known to be yours. If it is, say "
                f"so once: --mine ({path})"
            )

    def _may_read(self, path: Path) -> bool:
        return self._roots is None or any(is_inside(path, root) for root in self._roots)

    async def _read(self, item: dict[str, str]) -> bytes:
        """What the picture was when the sheet was read. A store of files that is away is waited for."""
        end = anyio.current_time() + AWAY_SECONDS
        while True:
            try:
                return await to_thread.run_sync(self._content, item, limiter=self._one_at_a_time)
            except FilesUnavailableError:
                if anyio.current_time() >= end:
                    raise
            await anyio.sleep(1.0)

    def _content(self, item: dict[str, str]) -> bytes:
        path, digest = Path(item["$file"]), item["$sha256"]
        if self._blob is None:
            self._check_place(path)
            data = _read(path)
            if sha256(data).hexdigest() == digest:
                return data
            raise ValueError(
                f"{path.name} has changed since the manifest was read; run the same command again ({path})"
            )
        if self._may_read(path):
            with suppress(OSError):
                data = path.read_bytes()
                if sha256(data).hexdigest() == digest:
                    return data
        kept = self._blob(digest)
        if kept is None or sha256(kept).hexdigest() != digest:
            raise ValueError(f"{path.name} is not in the store of files; run the same command with its sheet ({path})")
        return kept

    def _uri(self, item: dict[str, str], data: bytes, most: int) -> str:
        path, digest = Path(item["$file"]), item["$sha256"]
        media = media_type(data)
        if media is None:
            raise ValueError(f"{path.name} is no picture ({path})")
        if uri_size(len(data)) <= most:
            return _data_uri(data, media)
        if (made := self._made.get((digest, most))) is not None:
            return made
        made = self._made[digest, most] = self._fitted(path, data, media, most)
        while len(self._made) > KEPT:
            del self._made[next(iter(self._made))]
        return made

    def _fitted(self, path: Path, data: bytes, media: str, most: int) -> str:
        if not self._shrinks or media not in SHRINKABLE:
            raise ValueError(f"{path.name} is {format_mb(len(data))}, more than fits into one request ({path})")
        try:
            smaller, now = shrink(data, (most - 32) // 4 * 3)
        except ValueError as error:
            raise ValueError(f"{path.name} {error} ({path})") from None
        self._tell(path, len(data), len(smaller), now)
        return _data_uri(smaller, now)

    def _tell(self, path: Path, before: int, after: int, media: str) -> None:
        self._told += 1
        text = "more local pictures are re-encoded to fit; run.jsonl names them all"
        if self._told <= TOLD:
            kind = media.removeprefix("image/").upper()
            text = (
                f"{path.name}: {format_mb(before)} re-encoded as {kind} of {format_mb(after)} to fit the service's "
                "6 MiB (--no-shrink refuses such pictures)"
            )
        self._observer.note("shrunk", text, file=str(path), bytes_before=before, bytes_after=after)


def _share(sizes: list[int], rest: int) -> int:
    """Bytes that each data URI may have: 6 MiB, or less where many together would be too much for one request."""
    if sum(min(uri_size(size), MAX_URI_BYTES) for size in sizes) <= MAX_REQUEST_BYTES - rest:
        return MAX_URI_BYTES
    return max(0, (MAX_REQUEST_BYTES - rest) // len(sizes))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_local(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("$file"), str) and isinstance(item.get("$sha256"), str)


def _replaced(value: Any, sent: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_replaced(item, sent) for item in value]
    return sent[value["$file"]] if _is_local(value) else value


def _data_uri(data: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _gone(path, error) from None


def _gone(path: Path, error: OSError) -> ValueError:
    told = f"{path.name} can't be read: {error.strerror or error}"
    return ValueError(f"{told}; put it back and run the same command again ({path})")
