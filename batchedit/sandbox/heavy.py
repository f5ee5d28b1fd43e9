"""Pictures as heavy to decode as a photograph, for benchmarks: one drawn picture, with the description of each job."""

import json
import struct
import zlib
from functools import cache
from io import BytesIO

from PIL import Image

from batchedit.sandbox.cheap_png import describe_order
from batchedit.sandbox.job_clock import Order

SIZE = (1024, 1536)  # pixels, width and height
_GRAIN = 40  # standard deviation of the noise, of which eight hundredths are mixed in


def draw_heavy_picture(order: Order, number: int, kind: str) -> bytes:
    """Soft gradients under a film's grain, 1024 by 1536: 2.4 MB of PNG or 0.4 of JPEG. `kind`: one of PHOTOS."""
    description = json.dumps(describe_order(order, number)).encode()[:60_000]
    data = draw_photograph(kind)
    if kind == "png":
        body = b"tEXtjob\0" + description
        return data[:-12] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[-12:]
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(description) + 2) + description + data[2:]


@cache
def draw_photograph(kind: str) -> bytes:
    """The picture without a job's description, drawn once."""
    pixels = bytes((37 * place * place + 11 * place) % 256 for place in range(8 * 12 * 3))
    gradient = Image.frombytes("RGB", (8, 12), pixels).resize(SIZE, Image.Resampling.BICUBIC)
    grain = Image.merge("RGB", [Image.effect_noise(SIZE, _GRAIN)] * 3)
    out = BytesIO()
    Image.blend(gradient, grain, 0.08).save(out, kind.upper(), **({"quality": 92} if kind == "jpeg" else {}))
    return out.getvalue()
