"""One picture, looked at by a machine: its size, a perceptual hash, its colours; and its thumbnail, in the same decode.

Thumbnails and what was seen are kept by the picture's sha256 in ``thumbs/``, which may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import file_digest
from io import BytesIO
from pathlib import Path

import numpy as np
import orjson
from PIL import Image, ImageOps

THUMB, LARGE = 480, 1200  # pixels of the longer side: cards, and source pictures in the lightbox
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "AVIF", "TIFF", "BMP")  # never one that hands files to other programs
SEEN = "seen.jsonl"

Told = Callable[[int, int], None]
"""Called with ``(pictures done, pictures in all)``."""


def untold(_done: int, _all: int) -> None:
    """Nobody wants to know how far it is."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture to look at. ``large`` asks for a second, larger thumbnail; ``proven`` that its sha256 is sure."""

    path: Path
    sha256: str
    large: bool = False
    proven: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. ``problem`` is why nothing was, else ``""``.

    ``width`` and ``height`` are pixels as shown, ``hash`` 64 bits of the picture's shapes, ``colours`` the mean RGB of
    its 16 sixteenths as hex, ``flat`` whether it is nearly one colour.
    """

    sha256: str
    width: int = 0
    height: int = 0
    hash: int = 0
    colours: str = ""
    flat: bool = False
    problem: str = ""


def thumb_name(sha256: str, *, large: bool = False) -> str:
    """The thumbnail's file name in ``thumbs/``."""
    return f"{sha256[:40]}{'-large' if large else ''}.webp"


class Album:
    """The thumbnails of one run, in ``folder``. OSError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._seen = _read_seen(folder / SEEN)

    def look(self, pictures: Iterable[Wanted], told: Told = untold) -> dict[str, Look]:
        """A Look a sha256: from memory where the thumbnails are there, else made on all cores."""
        every = {picture.sha256: picture for picture in sorted(pictures, key=lambda picture: picture.large)}
        found = {sha: look for sha, picture in every.items() if (look := self._known(picture)) is not None}
        new = [picture for sha, picture in every.items() if sha not in found]
        told(len(found), len(every))
        # Threads: Pillow lets go of the interpreter while it decodes, scales and encodes; processes are no faster.
        with ThreadPoolExecutor(os.cpu_count()) as threads, (self.folder / SEEN).open("ab") as memory:
            for look in threads.map(self._look, new):
                found[look.sha256] = look
                told(len(found), len(every))
                if not look.problem:
                    memory.write(orjson.dumps(asdict(look)) + b"\n")
        return found

    def _known(self, picture: Wanted) -> Look | None:
        if not picture.path.is_file():
            return Look(picture.sha256, problem="the file is missing")
        names = [thumb_name(picture.sha256)] + [thumb_name(picture.sha256, large=True)] * picture.large
        thumbs_there = all((self.folder / name).is_file() for name in names)
        return self._seen.get(picture.sha256) if thumbs_there else None

    def _look(self, picture: Wanted) -> Look:
        try:
            if not picture.proven and _digest(picture.path) != picture.sha256:
                return Look(picture.sha256, problem="the file has changed since it was bought from")
            with Image.open(picture.path, formats=_readers()) as image:
                return self._examine(picture, image)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise anything, bombs included
            return Look(picture.sha256, problem=f"can't be read: {str(error)[:120] or type(error).__name__}")

    def _examine(self, picture: Wanted, image: Image.Image) -> Look:
        width, height = image.size
        if image.getexif().get(0x0112, 1) in {5, 6, 7, 8}:  # the camera lay on its side
            width, height = height, width
        side = LARGE if picture.large else THUMB
        image.draft("RGB", (2 * side, 2 * side))
        image.thumbnail((side, side), reducing_gap=1.5)
        shown = ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
        if picture.large:
            self._keep(shown, thumb_name(picture.sha256, large=True))
            shown.thumbnail((THUMB, THUMB))
        self._keep(shown, thumb_name(picture.sha256))
        return measured(picture.sha256, width, height, on_white(shown))

    def _keep(self, image: Image.Image, name: str) -> None:
        buffer = BytesIO()
        image.save(buffer, "WEBP", quality=74, method=2)
        part = self.folder / f"{name}.part"
        part.write_bytes(buffer.getbuffer())
        part.replace(self.folder / name)


def measured(sha256: str, width: int, height: int, image: Image.Image) -> Look:
    """Hash and colours of an RGB picture, small by now. ``width`` and ``height`` are the whole picture's."""
    import imagehash  # noqa: PLC0415 - brings scipy: only where a picture is new

    bits = imagehash.phash(image).hash.flatten()
    number = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return Look(sha256, width, height, number, _colours(image), is_flat(image))


def _colours(image: Image.Image) -> str:
    return image.resize((4, 4), Image.Resampling.BOX).tobytes().hex()


def is_flat(image: Image.Image) -> bool:
    """Nearly one colour: hardly any spread, or 99 of 100 points close to the commonest colour."""
    points = np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.int16).reshape(-1, 3)
    if float(points.std(axis=0).max()) < 5:
        return True
    near = (np.abs(points - np.median(points, axis=0)) <= 12).all(axis=1)
    return bool(near.mean() >= 0.99)


def on_white(image: Image.Image) -> Image.Image:
    """What a page shows of a transparent picture, as RGB."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _readers() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _read_seen(path: Path) -> dict[str, Look]:
    """What earlier galleries saw. A line that was cut off is looked at again."""
    found: dict[str, Look] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            look = Look(**orjson.loads(line))
        except (ValueError, TypeError):
            continue
        found[look.sha256] = look
    return found
