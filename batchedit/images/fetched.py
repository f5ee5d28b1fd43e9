"""Pictures behind links that die within hours: fetched when the sheet is taken in, and local pictures from then on.

Airtable signs the links of an export for about two hours ("Airtable attachment URL behavior", its support pages). A night's
run comes too late for most of them. What is fetched lies in the run's folder, so that the same sheet goes on when its links
are long dead.
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
from ..disk import make_folders, whole_file
from .link_probe import AT_ONCE, Answer, LinkProbe
from .verify import NotAMediaFileError, check_picture

is_short_lived = re.compile(r"https://(?:v\d+\.airtableusercontent\.com|dl\.airtable\.com)/", re.IGNORECASE).match
MARKS = ("airtableusercontent.com/", "dl.airtable.com/")
"""One of these stands in each such link."""


def to_fetched_name(link: str) -> str:
    """The file's name for the picture behind ``link``."""
    return blake2b(link.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def find_fetched(folder: Path, link: str) -> Path | None:
    """The picture that was fetched from ``link``; None if it was not."""
    path = folder / to_fetched_name(link)
    return path if path.is_file() and not path.is_symlink() else None


async def fetch_linked_pictures(
    links: Iterable[str], folder: Path, asker: LinkProbe, told: ProgressCallback = no_progress
) -> dict[str, str]:
    """Fetch what is not there yet into ``folder``, some at a time. Returns the links that gave no picture, with the reason.
    ``told`` hears how many were asked for.

    OutputError where the disk refuses.
    """
    bad: dict[str, str] = {}
    fetched: list[str] = []
    todo = [link for link in dict.fromkeys(links) if find_fetched(folder, link) is None]
    if todo:
        await to_thread.run_sync(make_folders, folder, folder.parent)
    places = anyio.CapacityLimiter(AT_ONCE)

    async def fetch(link: str) -> None:
        async with places:
            found = await asker.fetch(link)
            reason = found.reason if isinstance(found, Answer) else await to_thread.run_sync(_keep, found, folder, link)
            if reason:
                bad[link] = reason
            fetched.append(link)
            told(len(fetched), len(todo))

    async with anyio.create_task_group() as tasks:
        for link in todo:
            tasks.start_soon(fetch, link)
    return bad


def _keep(data: bytes, folder: Path, link: str) -> str:
    path = folder / to_fetched_name(link)
    try:
        with whole_file(path) as part:
            part.write_bytes(data)
            check_picture(part)
    except NotAMediaFileError as error:
        return str(error)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return ""
