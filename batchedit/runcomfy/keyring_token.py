"""The token in this machine's keyring (the extra ``keyring``): Keychain, Credential Locker, Secret Service."""

from __future__ import annotations

from types import ModuleType

from ..settings.extras import to_install

SERVICE, USER = "batchedit", "RunComfy API token"
SHOWN = "the keyring of this machine"
EXTRA = to_install("keyring")


def is_installed() -> bool:
    """Is the extra there? Whether this machine has a keyring shows when one is asked for."""
    return _library() is not None


def read_token() -> str:
    """What is kept there; "" where nothing is, or where no keyring can be read."""
    library = _library()
    if library is None:
        return ""
    try:
        return library.get_password(SERVICE, USER) or ""
    except library.errors.KeyringError:
        return ""


def keep_token(text: str) -> bool:
    """Keep it there. False where no keyring takes it."""
    library = _library()
    if library is None:
        return False
    try:
        library.set_password(SERVICE, USER, text)
    except library.errors.KeyringError:
        return False
    return read_token() == text  # a keyring that is switched off takes everything and keeps nothing


def _library() -> ModuleType | None:
    try:
        import keyring  # noqa: PLC0415 - an extra, and slow to load
        import keyring.errors  # noqa: PLC0415
    except ImportError:
        return None
    return keyring
