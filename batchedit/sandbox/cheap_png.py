"""Cheap pictures for benchmarks: real PNGs of the size asked for, padded to a number of bytes at next to no CPU."""

import random
import struct
import zlib
from functools import cache
from hashlib import blake2b

from batchedit.sandbox.job_clock import Order

SIZES = {"1:1": (1024, 1024), "3:2": (1536, 1024), "2:3": (1024, 1536)}  # pixels, width and height


def draw_cheap_png(order: Order, number: int, size: int) -> bytes:
    """One-bit stripes in two colours of the job's own, its description in text chunks, then padding up to `size` bytes."""
    width, height = SIZES.get(order.size, SIZES["1:1"])
    parts = [
        b"\x89PNG\r\n\x1a\n",
        _make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
        _make_chunk(b"PLTE", blake2b(f"{order.request_id}/{number}".encode(), digest_size=6).digest()),
        *(_make_text_chunk(name, value) for name, value in describe_order(order, number).items()),
        _make_stripes(width, height),
        _make_chunk(b"IEND", b""),
    ]
    # About the size, not exactly: the same padding serves every job, whatever the length of its prompt.
    return b"".join([*parts[:-1], _make_padding(max(0, size - 1000)), parts[-1]])


def describe_order(order: Order, number: int) -> dict[str, str]:
    """The description of the job in a PNG's text chunks, for tests and for tracing a file to its job."""
    inputs = {"prompt": order.prompt, "size": order.size, "image": " ".join(order.images)}
    return {**inputs, "request_id": order.request_id, "number": str(number), "Software": "batchedit sandbox"}


def _make_text_chunk(name: str, value: str) -> bytes:
    return _make_chunk(b"iTXt", name.encode() + b"\0\0\0\0\0" + value.encode())


def _make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def _make_stripes(width: int, height: int) -> bytes:
    row = b"\0" + (b"\xff" * 8 + b"\0" * 8) * (width // 128)
    return _make_chunk(b"IDAT", zlib.compress(row * height, 9))


@cache
def _make_padding(size: int) -> bytes:
    # A private chunk that readers skip, of random bytes, which can't be compressed.
    return _make_chunk(b"paDd", random.Random(size).randbytes(size))
