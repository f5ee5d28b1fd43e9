"""Turn what was dropped into one sheet with its pictures beside it: a sheet, a zip, or a folder's files.

An archive is not trusted: no name may lead out of the draft's folder, only sheets and pictures are unpacked, and bytes are
counted as they are unpacked, whatever sizes the archive states.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..core.errors import ManifestError, OutputError
from ..core.limits import format_mb
from ..core.plurals_and_durations import pluralize
from ..disk import ZIP_DAMAGE, create
from ..importers.feeds import PICTURES, ProductSources
from ..importers.new_manifest import write_manifest
from .draft_link import fetch_sheet
from .drafts import Draft

UPLOAD_MOST = 2 * 10**9
"""Most bytes of one dropped file."""
UNPACKED_MOST = 8 * 10**9
"""Most bytes that one archive may unpack to."""
FILES_MOST = 100_000
BOMB_BYTES, BOMB_TIMES = 256 * 10**6, 300
"""An archive that unpacks to so many bytes, and to so many times its own size, is refused as a zip bomb: no sheet or picture
compresses like that.
"""
SHEETS = frozenset(
    {
        ".csv",
        ".tsv",
        ".tab",
        ".txt",
        ".jsonl",
        ".ndjson",
        ".jsonlines",
        ".xlsx",
        ".xlsm",
        ".xlsb",
        ".xls",
        ".ods",
        ".parquet",
        ".pq",
        ".gz",
        ".xml",
    }
)
FOREIGN = frozenset({".numbers", ".gsheet"})
"""Sheets that can't be read, kept under their own suffix so that the error can name the reason."""
_BLOCK = 1 << 20
_ZIP_SUFFIXES = frozenset({".zip"})


def resolve_upload_path(draft: Draft, name: str) -> Path:
    """The path of a file of this name below the draft's ``upload/``. ManifestError for a name that leads outside."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or ":" in parts[0] or any("\0" in part for part in parts):
        raise ManifestError(
            f"{name[:100]!r} is a file outside of what was dropped", hint="pack it anew, then drop it again"
        )
    return draft.upload.joinpath(*parts)


def choose_file_name(name: str) -> str:
    """The name under which an upload is stored: ``sheet`` with the suffix that tells its type."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    ending = suffixes[-1] if suffixes else ""
    if ending == ".gz" and len(suffixes) > 1 and suffixes[-2] in SHEETS:
        ending = suffixes[-2] + ending
    is_known = ending.removesuffix(".gz") in SHEETS | FOREIGN | PICTURES | _ZIP_SUFFIXES or ending == ".gz"
    return f"sheet{ending if is_known else ''}"


def prepare_sheet(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """Choose the file that is the sheet, with notes about the others. ManifestError if none can be read."""
    name = draft.name
    if link := draft.choices.get("link"):
        name = fetch_sheet(link, draft.upload / "sheet.csv", environ) or draft.name
    archives = [path for path in draft.upload.iterdir() if path.suffix.lower() == ".zip"]
    notes: list[str] = []
    for archive in archives:
        notes += _unpack(draft, archive)
    files = sorted(path for path in draft.upload.rglob("*") if path.is_file() and path not in archives)
    sheets = [path for path in files if not _is_picture(path)]
    if sheets:
        sheets.sort(key=lambda path: (len(path.parts), -path.stat().st_size))
        sheet = sheets[0]
        notes += [f"{sheet.name} is read, not {other.name}" for other in sheets[1:4]]
        if sheet.suffix.lower() == ".xml":
            sheet, count = _make_sheet(draft, sheet)
            notes.append(f"a sheet was made of the feed: {pluralize(count, 'row')}")
    elif files:
        sheet, count = _make_sheet(draft, draft.upload)
        notes.append(f"a sheet was made of {pluralize(count, 'picture')}: a row for each")
    else:
        raise ManifestError(
            "there is neither a sheet nor a picture in it", hint="drop a .csv, .xlsx or .jsonl file, or pictures"
        )
    return {
        "name": name,
        "sheet": sheet.relative_to(draft.upload).as_posix(),
        "notes": notes,
        "pictures": len(files) - len(sheets),
    }


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _make_sheet(draft: Draft, source: Path) -> tuple[Path, int]:
    path = draft.upload / "sheet.csv"
    sources = ProductSources([str(source)], draft.upload)
    return path, write_manifest(sources.read_products(), path, template=None, force=True).rows


def _unpack(draft: Draft, archive: Path) -> list[str]:
    total = skipped = 0
    try:
        with zipfile.ZipFile(archive) as zip_file:
            entries = list(_select_entries(zip_file))
            _check_unpacked(draft, archive, sum(entry.file_size for entry in entries if entry))
            for entry in entries:
                if entry is None:
                    skipped += 1
                    continue
                target = resolve_upload_path(draft, entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with zip_file.open(entry) as file, create(target) as out:
                    while block := file.read(_BLOCK):
                        total += len(block)
                        if total > UNPACKED_MOST:
                            raise ManifestError(f"more than {format_mb(UNPACKED_MOST)} come out of this archive")
                        out.write(block)
    except ZIP_DAMAGE as error:
        reason = "is locked with a password" if "encrypted" in str(error) else "can't be unpacked: it is damaged"
        raise ManifestError(f"{draft.name} {reason}", hint="pack it anew, then drop it again") from None
    except OSError as error:
        raise OutputError(f"{draft.name} can't be unpacked: {error.strerror or error}") from None
    archive.unlink(missing_ok=True)
    return [f"{pluralize(skipped, 'other file in it was', 'other files in it were')} left out"] if skipped else []


def _check_unpacked(draft: Draft, archive: Path, total: int) -> None:
    """Refuse a zip bomb before anything is written. ``zipfile`` unpacks no more from a member than the archive states."""
    size = archive.stat().st_size
    if total > UNPACKED_MOST or (total > BOMB_BYTES and total > size * BOMB_TIMES):
        archive.unlink(missing_ok=True)
        raise ManifestError(
            f"{draft.name} has {format_mb(size)} and would unpack to {format_mb(total)}; it was not unpacked",
            hint="pack the sheet and its pictures alone, then drop it again",
        )
    if total > (free := shutil.disk_usage(draft.folder).free):
        raise OutputError(f"this disk has {format_mb(free)} left, and {draft.name} unpacks to {format_mb(total)}")


def _select_entries(zip_file: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo | None]:
    """Sheets and pictures; None for each other file."""
    entries = [entry for entry in zip_file.infolist() if not entry.is_dir()]
    if len(entries) > FILES_MOST:
        raise ManifestError(
            f"{pluralize(len(entries), 'file is', 'files are')} in this archive; {FILES_MOST:,} can be taken"
        )
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.name.startswith(".") or path.parts[0] == "__MACOSX":
            continue
        is_link = stat.S_ISLNK(entry.external_attr >> 16)
        yield entry if not is_link and path.suffix.lower() in SHEETS | PICTURES else None


def check_room(draft: Draft, size: int) -> None:
    """ManifestError if ``size`` bytes are too many for a file, OutputError if the disk has no room for them."""
    if size > UPLOAD_MOST:
        raise ManifestError(f"the file has {format_mb(size)}; {format_mb(UPLOAD_MOST)} can be taken at most")
    try:
        free = shutil.disk_usage(draft.folder).free
    except OSError as error:
        raise OutputError(f"{draft.folder} can't be written: {error.strerror or error}") from None
    if size * 2 > free:
        raise OutputError(f"this disk has {format_mb(free)} left, and the file needs {format_mb(size * 2)}")
