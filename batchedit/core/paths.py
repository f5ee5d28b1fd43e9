"""Paths as a checkpoint has them, and the service's. A run's folder may come from somebody else, so its paths are checked
when they are read.
"""

from __future__ import annotations

FILES = "files"
"""The folder of finished pictures, below a run's own."""
_HEX = frozenset("0123456789abcdef")
_USUAL_PORT = {"https": ":443", "http": ":80"}


def is_relative(path: str) -> bool:
    """Does ``path``, with ``/`` between its parts, lead to something below the folder that it is seen from?"""
    parts = path.split("/")
    return not {"", ".", ".."} & set(parts) and "\\" not in path and "\0" not in path


def is_saved_path(path: str) -> bool:
    """Is ``path`` one that a finished picture can have: below ``files/``?"""
    return path.startswith(f"{FILES}/") and is_relative(path)


def is_sha256(text: str) -> bool:
    """Is ``text`` a whole SHA-256 digest, hex?"""
    return len(text) == 64 and set(text) <= _HEX


def normalize_base_url(url: str) -> str:
    """A base URL as calls are built on it, and as a run knows its service by: ``…/v1``, as the vendor's own variable has
    it, is the same service as without; so is one in capitals, or with the port that it has anyway. Another name for it
    would be another service, at which everything is bought anew.
    """
    text = url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
    scheme, _, rest = text.partition("://")
    place, slash, path = rest.partition("/")
    port = _USUAL_PORT.get(scheme.lower())
    if port is None or "@" in place:
        return text
    return f"{scheme.lower()}://{place.lower().removesuffix(port)}{slash}{path}"
