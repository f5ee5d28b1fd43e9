"""Checks of binary files: the content tells which program wrote a file, not its name. An error names the kind of file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.parsers import expat

from ..core.errors import ManifestError
from ..core.plurals_and_durations import pluralize
from .nearest import join_names
from .ooxml import READ_ERRORS
from .rows import truncate_text

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".txt", ".xml", ".parquet")


def check_zip(path: Path, name: str) -> None:
    """ManifestError, naming what it is, unless ``path`` is a workbook that can be read (.xlsx, .xlsm, .xlsb, .ods)."""
    try:
        with zipfile.ZipFile(path) as file:
            members = [member.replace("\\", "/") for member in file.namelist()]
            mimetype = file.read("mimetype")[:200].decode("ascii", "replace") if "mimetype" in members else ""
            is_encrypted = any(info.flag_bits & 1 for info in file.infolist())
            is_whole = "spreadsheet" not in mimetype or _is_whole(file)
    except READ_ERRORS as error:
        raise ManifestError(
            f"{name} is damaged or cut off: {error}", hint="Download or copy it again, or save it again in Excel."
        ) from None
    lowered = {member.lower().lstrip("/") for member in members}
    if "content.xml" in lowered and "spreadsheet" in mimetype:
        _check_ods(lowered, name, is_whole=is_whole)
    elif any(member.endswith(".iwa") or member.startswith("index.zip") for member in lowered):
        raise ManifestError(
            f"{name} is a file of Apple Numbers, which only Numbers can read",
            hint="In Numbers: File, Export To, Excel; then give that file.",
        )
    elif any(member.startswith("xl/") for member in lowered):
        return
    elif any(member.startswith(("word/", "ppt/")) for member in lowered) or mimetype:
        raise ManifestError(
            f"{name} is a document, no spreadsheet", hint="Put its table into a spreadsheet: .xlsx or .csv."
        )
    elif is_encrypted:
        raise ManifestError(f"{name} is a zip file with a password", hint="Unpack it, and give the sheet in it.")
    else:
        _refuse_plain_zip([member for member in members if not member.endswith("/")], name)


def _check_ods(members: set[str], name: str, *, is_whole: bool) -> None:
    if "meta-inf/manifest.xml" not in members or not is_whole:
        problem = "its table is damaged or cut off" if not is_whole else "its list of contents is missing"
        raise ManifestError(
            f"{name} is no whole .ods file: {problem}", hint="Open it in LibreOffice and save it as .xlsx."
        )


def _is_whole(file: zipfile.ZipFile) -> bool:
    """True if the table of an .ods file is complete: python-calamine never returns from one that is cut off."""
    parser = expat.ParserCreate()
    try:
        with file.open("content.xml") as content:
            parser.ParseFile(content)
    except (expat.ExpatError, KeyError):
        return False
    return True


def _refuse_plain_zip(members: list[str], name: str) -> None:
    members = [member for member in members if not member.startswith("__MACOSX/")]
    sheets = [member for member in members if member.lower().endswith(_TABLES)]
    count = pluralize(len(members), "file")
    examples = f", among them {join_names([truncate_text(sheet) for sheet in sheets[:3]], 'and')}" if sheets else ""
    raise ManifestError(
        f"{name} is a zip file with {count} in it{examples}",
        hint=f"Unpack it, and give {truncate_text(sheets[0])}." if sheets else "Unpack it, and give the sheet in it.",
    )


def check_compound(path: Path, name: str) -> None:
    """ManifestError unless ``path``, of Microsoft's compound format, is an old workbook (.xls) without a password."""
    with path.open("rb") as file:
        data = file.read(2**26)
    is_old_workbook = any(stream.encode("utf-16-le") in data for stream in ("Workbook", "Book"))
    # Excel wraps a workbook with a password in this format; one called .xlsx can't be anything else.
    if "EncryptedPackage".encode("utf-16-le") in data or (
        not is_old_workbook and name.lower().endswith((".xlsx", ".xlsm", ".xlsb"))
    ):
        raise ManifestError(
            f"{name} is protected by a password",
            hint="In Excel: File, Info, Protect Workbook, Encrypt with Password, empty the field, and save it.",
        )
    if not is_old_workbook:
        raise ManifestError(f"{name} is no spreadsheet", hint="Save the table as .xlsx or .csv.")
