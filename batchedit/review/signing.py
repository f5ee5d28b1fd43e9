"""Minisign signatures, made and checked by the library ``minisign`` (the extra ``sign``); ``minisign -V`` takes them too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any

from ..core.errors import NotFoundError, UsageError
from ..core.shell_commands import quote_word
from ..settings.extras import to_install

SIGNATURE = "SHA256SUMS.minisig"
PUBLIC_KEY = "minisign.pub"
COMMENT = "signature of a delivery by batchedit"
Seal = Callable[[bytes], bytes]
"""The content of a file → its signature."""


@dataclass(frozen=True, slots=True)
class Signer:
    """``seal`` signs, ``public_key`` is the file with which a receiver checks."""

    seal: Seal
    public_key: bytes


def open_key(path: Path, ask_password: Callable[[], str]) -> Signer:
    """Read the secret key in ``path``, as ``minisign -G`` makes it. ``ask_password`` is called only if the key has one.

    UsageError (64) where the extra is missing, the file is no such key or the password is wrong; NotFoundError (66).
    """
    minisign = _import_minisign()
    if not path.is_file():
        raise NotFoundError(
            f"there is no key {path}; the program minisign makes one (apt, dnf, brew and scoop have it under that name)",
            hint="to make it, and keep it to yourself: "
            f"minisign -G -s {quote_word(path)} -p {quote_word(path.with_suffix('.pub'))}",
        )
    try:
        key = minisign.SecretKey.from_file(path)
        if key.is_encrypted():
            key.decrypt(ask_password())
        public = key.get_public_key()
    except (ValueError, IndexError) as error:
        raise UsageError(f"{path} can't be signed with: {error}", hint="--sign takes a minisign secret key") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from None

    def seal(content: bytes) -> bytes:
        comment = f"timestamp:{int(time())}\tfile:SHA256SUMS\thashed"
        return bytes(key.sign(content, trusted_comment=comment, untrusted_comment=COMMENT)) + b"\n"

    return Signer(seal, bytes(public) + b"\n")


def explain_bad_signature(content: bytes, signature: bytes, public_key: bytes) -> str:
    """Why ``signature`` is no signature of ``content`` by ``public_key``; "" where it is one.

    It must be byte for byte as it was made: no signature covers its first line, and base64 has several spellings.
    """
    minisign = _import_minisign()
    try:
        parsed = minisign.Signature.from_bytes(signature)
        minisign.PublicKey.from_bytes(public_key).verify(content, parsed)
        parsed.untrusted_comment = COMMENT
    except (ValueError, IndexError) as error:
        return str(error) or "it is no minisign signature"
    return "" if bytes(parsed) + b"\n" == signature else "its text was changed"


def is_as_written(public_key: bytes) -> bool:
    """Whether this is, byte for byte, a public key as ``Signer`` has it."""
    minisign = _import_minisign()
    try:
        key = minisign.PublicKey.from_base64(minisign.PublicKey.from_bytes(public_key).to_base64())
    except (ValueError, IndexError):
        return False
    return bytes(key) + b"\n" == public_key


def find_key_line(content: bytes) -> str:
    """The line of a public key file that holds the key; "" without one."""
    lines = content.decode("ascii", "replace").split("\n")
    return next((line.strip() for line in lines if line.startswith("RW")), "")


def read_public_key(text: str) -> bytes:
    """Read a public key that a person gave: its file, or its line of text. UsageError (64) for neither."""
    path = Path(text)
    try:
        content = path.read_bytes() if path.is_file() else f"untrusted comment: given\n{text}\n".encode()
        _import_minisign().PublicKey.from_bytes(content)
    except (OSError, ValueError, IndexError):
        raise UsageError(
            f"{text} is neither a minisign public key nor its file", hint="such as RW… of 56 letters"
        ) from None
    return content


def _import_minisign() -> Any:
    if find_spec("minisign") is None:
        raise UsageError("signatures need minisign", hint=to_install("sign"))
    import minisign  # noqa: PLC0415 - brings cryptography with it

    return minisign
