"""Pictures that stand inside the service's answer instead of a link, between the answer and the disk.

They stay in memory: a checkpoint holds no megabytes. The checkpoint holds an address with the request's id, which belongs to
one job for ever. After a crash the address leads to nothing, the download fails, and the service is polled again.
"""

from __future__ import annotations

_SCHEME = "in-answer:"


class InlinePictures:
    """Pictures from answers that are not on the disk yet. Each is kept until ``drop``."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}

    def keep(self, request_id: str, index: int, data: bytes) -> str:
        """Returns its address, which is the same for each answer to this request."""
        address = f"{_SCHEME}{request_id}/{index}"
        self._data[address] = data
        return address

    def get(self, address: str) -> bytes | None:
        """The bytes; None where another process received them."""
        return self._data.get(address)

    def drop(self, address: str) -> None:
        """Forget it: it is on the disk, or can't be used."""
        self._data.pop(address, None)


def is_inline_address(url: str) -> bool:
    """Is ``url`` such an address, and not a link?"""
    return url.startswith(_SCHEME)
