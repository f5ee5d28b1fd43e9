"""One picture, looked at by a machine: its size, a perceptual hash, its colours; and its thumbnail, in the same decode.

Thumbnails and what was seen are kept by the picture's sha256 in ``thumbs/``, which may be deleted at any time. A download
keeps them in the decode that verifies it; what is missing (a crash came between, the disk was full, an earlier edition
bought the picture) the next gallery makes.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest
from io import BytesIO
from operator import mul
from pathlib import Path
from statistics import median

import orjson
from PIL import Image, ImageChops, ImageOps, ImageStat

from ..core.steps import ProgressCallback, no_progress
from ..disk import append_to, create, is_plain_file, make_folders
from .verify import load_readers

THUMB, LARGE = 480, 1200  # pixels of the longer side: cards, and source pictures in the lightbox
SEEN = "seen.jsonl"
HASH = "dct-64"
"""The kind of ``ImageFeatures.hash``. A picture whose kept hash is of another kind is looked at again."""


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """A picture to look at. ``large`` asks for a second, larger thumbnail; ``proven`` that its sha256 is sure. With
    ``root`` it must lie in that folder, and be no link.
    """

    path: Path
    sha256: str
    large: bool = False
    proven: bool = True
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class ImageFeatures:
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
    kind: str = ""
    """Of the hash: ``HASH`` for what this edition made."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """A decoded picture, upright and small: what thumbnails and features are made of.

    ``width`` and ``height`` are the whole picture's pixels as shown, ``image`` has at most ``THUMB`` or ``LARGE`` a side.
    """

    width: int
    height: int
    image: Image.Image


def to_thumb_name(sha256: str, *, large: bool = False) -> str:
    """The thumbnail's file name in ``thumbs/``."""
    return f"{sha256[:40]}{'-large' if large else ''}.webp"


class Album:
    """The thumbnails of one run, in ``folder``, which is made when the first one is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: OSError | None = None
        """Why the last one that the disk did not take could not be kept."""

    def load_features(self, pictures: Iterable[FeatureRequest], told: ProgressCallback = no_progress) -> dict[str, ImageFeatures]:
        """By sha256: what is kept where the thumbnails are there, else made on all cores. OSError where the disk refuses."""
        make_folders(self.folder, self.folder.parent)
        append_to(self.folder / SEEN).close()  # refuses one that leads elsewhere
        seen = _read_seen(self.folder / SEEN)
        every = {picture.sha256: picture for picture in sorted(pictures, key=lambda picture: picture.large)}
        found = {sha: look for sha, picture in every.items() if (look := self._known(picture, seen)) is not None}
        new = [picture for sha, picture in every.items() if sha not in found]
        told(len(found), len(every))
        # Threads: Pillow lets go of the interpreter while it decodes, scales and encodes; processes are no faster.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for look in threads.map(self._look, new):
                found[look.sha256] = look
                told(len(found), len(every))
        return found

    def keep(self, sha256: str, small: Reduced) -> None:
        """The thumbnail and features of a picture that has just been decoded, as far as the disk allows: what can't be kept
        now the next gallery makes; ``refused`` says why. Never raises; many threads and processes may do it at once.
        """
        with suppress(Exception):  # the picture itself is safe, and no thumbnail is worth the end of a run
            try:
                make_folders(self.folder, self.folder.parent)
                self._made(sha256, small, large=False)
            except OSError as error:
                self.refused = error

    def _known(self, picture: FeatureRequest, seen: dict[str, ImageFeatures]) -> ImageFeatures | None:
        if not picture.path.is_file():
            return ImageFeatures(picture.sha256, problem="the file is missing")
        if picture.root is not None and not is_plain_file(picture.path, picture.root):
            return ImageFeatures(picture.sha256, problem="is a link, not the picture that was bought")
        if not picture.sha256.isalnum():  # it becomes a file's name
            return ImageFeatures(picture.sha256, problem="has no sha256")
        names = [to_thumb_name(picture.sha256)] + [to_thumb_name(picture.sha256, large=True)] * picture.large
        return seen.get(picture.sha256) if all(_is_there(self.folder / name) for name in names) else None

    def _look(self, picture: FeatureRequest) -> ImageFeatures:
        try:
            if not picture.proven and _digest(picture.path) != picture.sha256:
                return ImageFeatures(picture.sha256, problem="the file has changed since it was bought from")
            with Image.open(picture.path, formats=load_readers()) as image:
                small = reduce(image, LARGE if picture.large else THUMB)
            return self._made(picture.sha256, small, large=picture.large)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise anything, bombs included
            return ImageFeatures(picture.sha256, problem=f"can't be read: {str(error)[:120] or type(error).__name__}")

    def _made(self, sha256: str, small: Reduced, *, large: bool) -> ImageFeatures:
        """Thumbnails first, then the line that tells of them: a crash between the two costs a second look."""
        if large:
            self._write(small.image, to_thumb_name(sha256, large=True))
            small.image.thumbnail((THUMB, THUMB))
        self._write(small.image, to_thumb_name(sha256))
        look = measure_features(sha256, small.width, small.height, put_on_white(small.image))
        with append_to(self.folder / SEEN) as memory:
            memory.write(orjson.dumps(asdict(look)) + b"\n")
        return look

    def _write(self, image: Image.Image, name: str) -> None:
        buffer = BytesIO()
        image.save(buffer, "WEBP", quality=74, method=0)
        # A .part of its own: two jobs may have got the same picture at the same moment.
        part = self.folder / f"{name}.{os.getpid()}-{threading.get_ident()}.part"
        with create(part) as file:
            file.write(buffer.getbuffer())
        part.replace(self.folder / name)


def reduce(image: Image.Image, side: int = THUMB) -> Reduced:
    """The picture upright, in RGB or RGBA, with at most ``side`` pixels a side. A JPEG that is not decoded yet is decoded no
    larger than that needs. Whatever Pillow's decoders raise.
    """
    width, height = image.size
    if image.getexif().get(0x0112, 1) in {5, 6, 7, 8}:  # the camera lay on its side
        width, height = height, width
    image.draft("RGB", (2 * side, 2 * side))
    image.thumbnail((side, side), reducing_gap=1.0)
    shown = ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
    return Reduced(width, height, shown)


def measure_features(sha256: str, width: int, height: int, image: Image.Image) -> ImageFeatures:
    """Hash and colours of an RGB picture, small by now. ``width`` and ``height`` are the whole picture's."""
    return ImageFeatures(sha256, width, height, _hash(image), _colours(image), is_flat(image), kind=HASH)


_SIDE, _WAVES = 32, 8
_COSINES = [[math.cos(math.pi * (2 * x + 1) * k / (2 * _SIDE)) for x in range(_SIDE)] for k in range(_WAVES)]


def _hash(image: Image.Image) -> int:
    """The 64 lowest frequencies of the picture, each above their median or not: ``phash`` of the package imagehash bit for
    bit, which brings 150 MB of scipy for these sums. Rounded, so that what is nought is nought: a picture that is its own
    mirror has no frequency at half of the places.

    Why not ``dhash``: its bits are differences of neighbours, and on a white ground those are noise (figures:
    ``benchmarks/LOG.md``).
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[start : start + _SIDE] for start in range(0, len(grey), _SIDE)]
    across = [[sum(map(mul, wave, row)) for row in rows] for wave in _COSINES]
    waves = [round(sum(map(mul, wave, column)), 6) for wave in _COSINES for column in across]
    middle = median(waves)
    return sum(1 << (len(waves) - 1 - place) for place, size in enumerate(waves) if size > middle)


def _colours(image: Image.Image) -> str:
    return image.resize((4, 4), Image.Resampling.BOX).tobytes().hex()


def is_flat(image: Image.Image) -> bool:
    """Nearly one colour: hardly any spread, or 99 of 100 points close to the commonest colour."""
    points = image.resize((64, 64), Image.Resampling.BOX)
    figures = ImageStat.Stat(points)
    if max(figures.stddev) < 5:
        return True
    ground = Image.new("RGB", points.size, tuple(figures.median))
    far = ImageChops.difference(points, ground).point(lambda tone: 255 * (tone > 12)).split()
    anywhere = ImageChops.lighter(ImageChops.lighter(far[0], far[1]), far[2])
    return anywhere.histogram()[0] >= 0.99 * points.width * points.height


def put_on_white(image: Image.Image) -> Image.Image:
    """What a page shows of a transparent picture, as RGB."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _is_there(thumbnail: Path) -> bool:
    """Thumbnails are not synced: a failure of power may leave one that is empty."""
    try:
        return thumbnail.stat().st_size > 0
    except OSError:
        return False


def _read_seen(path: Path) -> dict[str, ImageFeatures]:
    """What the run and earlier galleries saw. A line that was cut off, or has a hash of another kind, tells nothing."""
    found: dict[str, ImageFeatures] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            look = ImageFeatures(**orjson.loads(line))
        except (ValueError, TypeError):
            continue
        if look.kind == HASH:
            found[look.sha256] = look
    return found
