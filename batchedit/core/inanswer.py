"""Pictures that stand inside the service's answer instead of a link, between the answer and the disk.

They stay in memory: a checkpoint holds no megabytes. What is written down is an address with the request's id, which
is one job's for ever. After a crash the address leads to nothing, the download says so, and the service is asked again.
"""

from __future__ import annotations

_SCHEME = "in-answer:"


class InlinePictures:
    """What was found in answers and is not on the disk yet. Each is handed out until it is ``dropped``."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}

    def keep(self, request_id: str, index: int, data: bytes) -> str:
        """Its address, the same each time that this answer comes."""
        address = f"{_SCHEME}{request_id}/{index}"
        self._data[address] = data
        return address

    def get(self, address: str) -> bytes | None:
        """The bytes; None where another process had them."""
        return self._data.get(address)

    def drop(self, address: str) -> None:
        """It is on the disk, or of no use."""
        self._data.pop(address, None)


def is_inline_address(url: str) -> bool:
    """Is it such an address, and no link?"""
    return url.startswith(_SCHEME)
