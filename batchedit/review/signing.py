"""Minisign signatures, made and checked by the library ``minisign`` (the extra ``sign``): what ``minisign -V`` takes too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any

from ..core.errors import NotFoundError, UsageError
from ..core.typed import quote_word
from ..settings.extras import to_install

SIGNATURE = "SHA256SUMS.minisig"
PUBLIC_KEY = "minisign.pub"
COMMENT = "signature of a delivery by batchedit"
Seal = Callable[[bytes], bytes]
"""The content of a file → its signature."""


@dataclass(frozen=True, slots=True)
class Signer:
    """``seal`` signs, ``public_key`` is the file that a receiver checks with."""

    seal: Seal
    public_key: bytes


def open_key(path: Path, ask_password: Callable[[], str]) -> Signer:
    """The secret key in ``path``, as ``minisign -G`` makes it. A password is asked for only where the key has one.

    UsageError (64) where the extra is missing, the file is no such key or the password is wrong; NotFoundError (66).
    """
    minisign = _library()
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
        told = f"timestamp:{int(time())}\tfile:SHA256SUMS\thashed"
        return bytes(key.sign(content, trusted_comment=told, untrusted_comment=COMMENT)) + b"\n"

    return Signer(seal, bytes(public) + b"\n")


def objection(content: bytes, signature: bytes, public_key: bytes) -> str:
    """Why ``signature`` is none of ``content`` by ``public_key``; "" where it is one.

    It must be written byte for byte as it was made: its first line is signed by nobody, and base64 has several spellings.
    """
    minisign = _library()
    try:
        read = minisign.Signature.from_bytes(signature)
        minisign.PublicKey.from_bytes(public_key).verify(content, read)
        read.untrusted_comment = COMMENT
    except (ValueError, IndexError) as error:
        return str(error) or "it is no minisign signature"
    return "" if bytes(read) + b"\n" == signature else "its text was changed"


def is_as_written(public_key: bytes) -> bool:
    """Is this the text of a public key as ``Signer`` has it, to the byte?"""
    minisign = _library()
    try:
        key = minisign.PublicKey.from_base64(minisign.PublicKey.from_bytes(public_key).to_base64())
    except (ValueError, IndexError):
        return False
    return bytes(key) + b"\n" == public_key


def public_key_text(content: bytes) -> str:
    """The key's own line, as one compares and passes it on; "" for what is no key."""
    lines = content.decode("ascii", "replace").split("\n")
    return next((line.strip() for line in lines if line.startswith("RW")), "")


def read_public_key(told: str) -> bytes:
    """A public key as a person gives it: its file, or its line of text. UsageError (64) for neither."""
    path = Path(told)
    try:
        content = path.read_bytes() if path.is_file() else f"untrusted comment: given\n{told}\n".encode()
        _library().PublicKey.from_bytes(content)
    except (OSError, ValueError, IndexError):
        raise UsageError(
            f"{told} is neither a minisign public key nor its file", hint="such as RW… of 56 letters"
        ) from None
    return content


def _library() -> Any:
    if find_spec("minisign") is None:
        raise UsageError("signatures need minisign", hint=to_install("sign"))
    import minisign  # noqa: PLC0415 - brings cryptography with it

    return minisign
