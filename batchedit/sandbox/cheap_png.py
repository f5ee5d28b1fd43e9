"""Cheap pictures for benchmarks: real PNGs of the size asked for, padded to a number of bytes at next to no CPU."""

import random
import struct
import zlib
from functools import cache
from hashlib import blake2b

from batchedit.sandbox.job_clock import Order

SIZES = {"1:1": (1024, 1024), "3:2": (1536, 1024), "2:3": (1024, 1536)}  # pixels, width and height


def plain_png(order: Order, number: int, size: int) -> bytes:
    """One-bit stripes in two colours of the job's own, its identity in text chunks, then padding up to `size` bytes."""
    width, height = SIZES.get(order.size, SIZES["1:1"])
    parts = [
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
        _chunk(b"PLTE", blake2b(f"{order.request_id}/{number}".encode(), digest_size=6).digest()),
        *(_text(name, value) for name, value in identity(order, number).items()),
        _stripes(width, height),
        _chunk(b"IEND", b""),
    ]
    # About the size, not exactly: the same padding serves every job, whatever the length of its prompt.
    return b"".join([*parts[:-1], _padding(max(0, size - 1000)), parts[-1]])


def identity(order: Order, number: int) -> dict[str, str]:
    """What the PNG's text chunks say about the job, for tests and for people who wonder where a file came from."""
    names = {"prompt": order.prompt, "size": order.size, "image": " ".join(order.images)}
    return {**names, "request_id": order.request_id, "number": str(number), "Software": "batchedit sandbox"}


def _text(name: str, value: str) -> bytes:
    return _chunk(b"iTXt", name.encode() + b"\0\0\0\0\0" + value.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def _stripes(width: int, height: int) -> bytes:
    row = b"\0" + (b"\xff" * 8 + b"\0" * 8) * (width // 128)
    return _chunk(b"IDAT", zlib.compress(row * height, 9))


@cache
def _padding(size: int) -> bytes:
    # A private chunk that readers skip; random bytes, so that nothing on the way compresses it away.
    return _chunk(b"paDd", random.Random(size).randbytes(size))
