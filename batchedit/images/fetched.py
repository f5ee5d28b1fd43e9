"""Pictures behind short-lived links: fetched when the sheet is taken in, and local pictures from then on.

Airtable signs the links of an export for about two hours ("Airtable attachment URL behavior", its support pages), which is
too short for a long run. Fetched pictures lie in the run's folder, so the same sheet works after its links have expired.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import anyio
from anyio import to_thread

from ..core.errors import OutputError
from ..core.steps import ProgressCallback, no_progress
from ..disk import make_folders, replace_atomically
from .link_probe import AT_ONCE, Answer, LinkProbe
from .verify import NotAMediaFileError, check_picture

is_short_lived = re.compile(r"https://(?:v\d+\.airtableusercontent\.com|dl\.airtable\.com)/", re.IGNORECASE).match
SHORT_LIVED_HOSTS = ("airtableusercontent.com/", "dl.airtable.com/")
"""Each short-lived link contains one of these."""


def to_fetched_name(link: str) -> str:
    """The file name for the picture behind ``link``."""
    return blake2b(link.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def find_fetched(folder: Path, link: str) -> Path | None:
    """The picture that was fetched from ``link``; None if there is none."""
    path = folder / to_fetched_name(link)
    return path if path.is_file() and not path.is_symlink() else None


async def fetch_linked_pictures(
    links: Iterable[str], folder: Path, probe: LinkProbe, on_progress: ProgressCallback = no_progress
) -> dict[str, str]:
    """Fetch missing pictures into ``folder``, a few at a time. Returns the links that gave no picture, with the reason.
    ``on_progress`` is called with the number of links that are done.

    OutputError if the disk refuses.
    """
    bad: dict[str, str] = {}
    done: list[str] = []
    missing = [link for link in dict.fromkeys(links) if find_fetched(folder, link) is None]
    if missing:
        await to_thread.run_sync(make_folders, folder, folder.parent)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def fetch(link: str) -> None:
        async with limiter:
            result = await probe.fetch(link)
            reason = (
                result.reason if isinstance(result, Answer) else await to_thread.run_sync(_store, result, folder, link)
            )
            if reason:
                bad[link] = reason
            done.append(link)
            on_progress(len(done), len(missing))

    async with anyio.create_task_group() as tasks:
        for link in missing:
            tasks.start_soon(fetch, link)
    return bad


def _store(data: bytes, folder: Path, link: str) -> str:
    path = folder / to_fetched_name(link)
    try:
        with replace_atomically(path) as part:
            part.write_bytes(data)
            check_picture(part)
    except NotAMediaFileError as error:
        return str(error)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return ""
