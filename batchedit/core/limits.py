"""How large a picture may be, as the service's page and its vendor's own clients say. All numbers are bytes.

A picture from this machine goes as a ``data:`` URI: at most 6 MiB each and 64 MiB a request [seen]. We count the whole
URI, which is a third longer than the file, so that it fits whichever of the two the service measures. A picture behind
a link may have 16 MB (the page's error text) or 25 MB (its description): less than 16 MB is safe, more than 25 MB refused.
"""

from __future__ import annotations

MAX_URI_BYTES = 6 * 2**20
MAX_REQUEST_BYTES = 64 * 2**20
SAFE_LINK_BYTES = 16_000_000
MAX_LINK_BYTES = 25_000_000

_URI_PREFIX_BYTES = len("data:image/jpeg;base64,")
MAX_FILE_BYTES = (MAX_URI_BYTES - _URI_PREFIX_BYTES) // 4 * 3
"""The largest file whose data URI fits: 4.72 MB."""


def uri_size(size: int) -> int:
    """The length of the data URI for a file of ``size`` bytes."""
    return _URI_PREFIX_BYTES + (size + 2) // 3 * 4


def format_mb(size: int) -> str:
    """``9.3 MB``."""
    return f"{size / 1e6:.1f} MB"


MAX_TABLE_BYTES = 300_000_000
"""The largest table that is fetched from a link: bytes."""
