"""Sends local pictures: reads them again, compares them with the digest of the plan, encodes them as data URIs.

Their bytes are not stored: the checkpoint has the path and the digest, and the request is made when it is sent.
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
from .formats import SHRINKABLE, detect_media_type
from .shrink import shrink

Inputs = dict[str, Any]

SPARE = 4096  # bytes of the request for names, quotes and commas
MOST_REPORTED = 5
"""Re-encoded pictures that are reported one by one. ``run.jsonl`` has them all."""
AWAY_SECONDS = 120.0
"""The longest wait for a store of files that is away."""
CACHED_URIS = 4
"""Re-encoded pictures kept for the row's next size or variant: at most 6 MiB each."""


class LocalPictures:
    """``{"$file", "$sha256"}`` in the inputs of a job become data URIs. ``shrinks`` is off with ``--no-shrink``.

    ``roots`` are the only folders below which files are read, links followed. None if the jobs are this person's own, and
    were checked when they were made. ``blob`` reads a picture by its sha256 from where the intake put it, for a machine
    where the file is missing or has changed; it returns None if there is no such picture.

    Called once a job. ValueError or OSError, with the file's name, if the picture is missing, differs from the one in the
    plan, or can't be made to fit. Nothing has been sent then.
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
        self._uris: dict[tuple[str, int], str] = {}
        self._reported = 0

    async def __call__(self, inputs: Inputs) -> Inputs:
        """``inputs`` with every local picture as text that the service takes."""
        pictures = [item for value in inputs.values() for item in _to_list(value) if _is_local(item)]
        if not pictures:
            return inputs
        contents: dict[str, bytes] = {}
        for item in pictures:
            if item["$file"] not in contents:
                contents[item["$file"]] = await self._read(item)
        max_bytes = _compute_share(
            [len(contents[item["$file"]]) for item in pictures], len(write_inputs(inputs)) + SPARE
        )
        uris: dict[str, str] = {}
        for item in pictures:
            if item["$file"] not in uris:
                data = contents[item["$file"]]
                uris[item["$file"]] = await to_thread.run_sync(
                    self._make_uri, item, data, max_bytes, limiter=self._one_at_a_time
                )
        return {name: _replace_local(value, uris) for name, value in inputs.items()}

    def _check_location(self, path: Path) -> None:
        if not self._may_read(path):
            raise ValueError(
                f"{path.name} lies outside the run's folder and is not read: the run is not known to be yours. If it is, say "
                f"so once: --mine ({path})"
            )

    def _may_read(self, path: Path) -> bool:
        return self._roots is None or any(is_inside(path, root) for root in self._roots)

    async def _read(self, item: dict[str, str]) -> bytes:
        """The picture as it was when the sheet was read. Waits for a store of files that is away."""
        deadline = anyio.current_time() + AWAY_SECONDS
        while True:
            try:
                return await to_thread.run_sync(self._read_content, item, limiter=self._one_at_a_time)
            except FilesUnavailableError:
                if anyio.current_time() >= deadline:
                    raise
            await anyio.sleep(1.0)

    def _read_content(self, item: dict[str, str]) -> bytes:
        path, digest = Path(item["$file"]), item["$sha256"]
        if self._blob is None:
            self._check_location(path)
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
        blob = self._blob(digest)
        if blob is None or sha256(blob).hexdigest() != digest:
            raise ValueError(f"{path.name} is not in the store of files; run the same command with its sheet ({path})")
        return blob

    def _make_uri(self, item: dict[str, str], data: bytes, max_bytes: int) -> str:
        path, digest = Path(item["$file"]), item["$sha256"]
        media = detect_media_type(data)
        if media is None:
            raise ValueError(f"{path.name} is no picture ({path})")
        if uri_size(len(data)) <= max_bytes:
            return _encode_data_uri(data, media)
        if (uri := self._uris.get((digest, max_bytes))) is not None:
            return uri
        uri = self._uris[digest, max_bytes] = self._shrink_to_fit(path, data, media, max_bytes)
        while len(self._uris) > CACHED_URIS:
            del self._uris[next(iter(self._uris))]
        return uri

    def _shrink_to_fit(self, path: Path, data: bytes, media: str, max_bytes: int) -> str:
        if not self._shrinks or media not in SHRINKABLE:
            raise ValueError(f"{path.name} is {format_mb(len(data))}, more than fits into one request ({path})")
        try:
            shrunk, shrunk_media = shrink(data, (max_bytes - 32) // 4 * 3)
        except ValueError as error:
            raise ValueError(f"{path.name} {error} ({path})") from None
        self._report(path, len(data), len(shrunk), shrunk_media)
        return _encode_data_uri(shrunk, shrunk_media)

    def _report(self, path: Path, before: int, after: int, media: str) -> None:
        self._reported += 1
        text = "more local pictures are re-encoded to fit; run.jsonl names them all"
        if self._reported <= MOST_REPORTED:
            format_name = media.removeprefix("image/").upper()
            text = (
                f"{path.name}: {format_mb(before)} re-encoded as {format_name} of {format_mb(after)} to fit the service's "
                "6 MiB (--no-shrink refuses such pictures)"
            )
        self._observer.note("shrunk", text, file=str(path), bytes_before=before, bytes_after=after)


def _compute_share(sizes: list[int], other_bytes: int) -> int:
    """Bytes that each data URI may have: 6 MiB, or less if all together would be too much for one request."""
    if sum(min(uri_size(size), MAX_URI_BYTES) for size in sizes) <= MAX_REQUEST_BYTES - other_bytes:
        return MAX_URI_BYTES
    return max(0, (MAX_REQUEST_BYTES - other_bytes) // len(sizes))


def _to_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_local(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("$file"), str) and isinstance(item.get("$sha256"), str)


def _replace_local(value: Any, uris: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_replace_local(item, uris) for item in value]
    return uris[value["$file"]] if _is_local(value) else value


def _encode_data_uri(data: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _build_missing_error(path, error) from None


def _build_missing_error(path: Path, error: OSError) -> ValueError:
    problem = f"{path.name} can't be read: {error.strerror or error}"
    return ValueError(f"{problem}; put it back and run the same command again ({path})")
