"""Checks of the paths in a checkpoint, and of the service's URL. A run's folder may come from another person, so its paths
are checked when they are read.
"""

from __future__ import annotations

FILES_FOLDER = "files"
"""The folder of finished pictures, below a run's own."""
_HEX = frozenset("0123456789abcdef")
_USUAL_PORT = {"https": ":443", "http": ":80"}


def is_relative(path: str) -> bool:
    """Does ``path``, with ``/`` between its parts, lead to something below the folder that it is relative to?"""
    parts = path.split("/")
    return not {"", ".", ".."} & set(parts) and "\\" not in path and "\0" not in path


def is_saved_path(path: str) -> bool:
    """Is ``path`` one that a finished picture can have: below ``files/``?"""
    return path.startswith(f"{FILES_FOLDER}/") and is_relative(path)


def is_sha256(text: str) -> bool:
    """Is ``text`` a whole SHA-256 digest, hex?"""
    return len(text) == 64 and set(text) <= _HEX


def normalize_base_url(url: str) -> str:
    """The one form of a base URL that calls are built on and that names a run's service: without ``/v1``, which the vendor's
    own variable has, in lower case and without the default port. Two names of one service would count as two services, and
    everything would be bought again.
    """
    text = url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    port = _USUAL_PORT.get(scheme.lower())
    if port is None or "@" in authority:
        return text
    return f"{scheme.lower()}://{authority.lower().removesuffix(port)}{slash}{path}"
