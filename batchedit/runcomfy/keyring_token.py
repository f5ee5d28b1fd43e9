"""The token in this machine's keyring (the extra ``keyring``): Keychain, Credential Locker, Secret Service."""

from __future__ import annotations

from types import ModuleType

from ..settings.extras import to_install

SERVICE, USER = "batchedit", "RunComfy API token"
KEYRING_NAME = "the keyring of this machine"
EXTRA = to_install("keyring")


def is_installed() -> bool:
    """Is the extra installed? Whether this machine has a keyring shows only when it is used."""
    return _import_library() is not None


def read_token() -> str:
    """The stored token; "" where there is none, or where no keyring can be read."""
    library = _import_library()
    if library is None:
        return ""
    try:
        return library.get_password(SERVICE, USER) or ""
    except library.errors.KeyringError:
        return ""


def keep_token(text: str) -> bool:
    """Store the token in the keyring. False where no keyring takes it."""
    library = _import_library()
    if library is None:
        return False
    try:
        library.set_password(SERVICE, USER, text)
    except library.errors.KeyringError:
        return False
    return read_token() == text  # a keyring that is switched off accepts everything and stores nothing


def _import_library() -> ModuleType | None:
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to load
        import keyring.errors  # noqa: PLC0415
    except ImportError:
        return None
    return keyring
