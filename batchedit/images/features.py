"""The features of a picture: its size, a perceptual hash, its colours; and its thumbnail, from the same decode.

Thumbnails and features are kept by the picture's sha256 in ``thumbs/``, which may be deleted at any time. A download
stores them from the decode that verifies it. The next gallery makes those that are missing (after a crash, on a full disk,
for a picture that an earlier edition bought).
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
FEATURES_FILE = "seen.jsonl"
HASH = "dct-64"
"""The kind of ``ImageFeatures.hash``. A hash of another kind is computed again."""


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """A picture whose features are requested. ``large``: make a second, larger thumbnail. ``proven``: its sha256 is known to
    be right. With ``root`` it must lie in that folder, and be no link.
    """

    path: Path
    sha256: str
    large: bool = False
    proven: bool = True
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Features of a picture. ``problem`` is why there are none, else ``""``.

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
    """The kind of the hash: ``HASH`` in this edition."""


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
    """The thumbnails of one run in ``folder``, which is made when the first one is stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: OSError | None = None
        """The disk's error for the last thumbnail that could not be stored."""

    def load_features(
        self, pictures: Iterable[FeatureRequest], on_progress: ProgressCallback = no_progress
    ) -> dict[str, ImageFeatures]:
        """Features by sha256, computed on all cores where the stored ones lack thumbnails. OSError if the disk refuses."""
        make_folders(self.folder, self.folder.parent)
        append_to(self.folder / FEATURES_FILE).close()  # refuses one that leads elsewhere
        stored = _read_stored(self.folder / FEATURES_FILE)
        requests = {picture.sha256: picture for picture in sorted(pictures, key=lambda picture: picture.large)}
        features = {
            sha: kept for sha, picture in requests.items() if (kept := self._find_stored(picture, stored)) is not None
        }
        missing = [picture for sha, picture in requests.items() if sha not in features]
        on_progress(len(features), len(requests))
        # Threads: Pillow lets go of the interpreter while it decodes, scales and encodes; processes are no faster.
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for computed in threads.map(self._compute, missing):
                features[computed.sha256] = computed
                on_progress(len(features), len(requests))
        return features

    def keep(self, sha256: str, reduced: Reduced) -> None:
        """Store thumbnail and features of a picture that has just been decoded, as far as the disk allows. What can't be
        stored now the next gallery makes, and ``refused`` says why. Never raises. Safe in many threads and processes.
        """
        with suppress(Exception):  # the picture itself is stored, and a thumbnail must not end a run
            try:
                make_folders(self.folder, self.folder.parent)
                self._store(sha256, reduced, large=False)
            except OSError as error:
                self.refused = error

    def _find_stored(self, picture: FeatureRequest, stored: dict[str, ImageFeatures]) -> ImageFeatures | None:
        if not picture.path.is_file():
            return ImageFeatures(picture.sha256, problem="the file is missing")
        if picture.root is not None and not is_plain_file(picture.path, picture.root):
            return ImageFeatures(picture.sha256, problem="is a link, not the picture that was bought")
        if not picture.sha256.isalnum():  # it becomes a file's name
            return ImageFeatures(picture.sha256, problem="has no sha256")
        names = [to_thumb_name(picture.sha256)] + [to_thumb_name(picture.sha256, large=True)] * picture.large
        return stored.get(picture.sha256) if all(_is_there(self.folder / name) for name in names) else None

    def _compute(self, picture: FeatureRequest) -> ImageFeatures:
        try:
            if not picture.proven and _compute_digest(picture.path) != picture.sha256:
                return ImageFeatures(picture.sha256, problem="the file has changed since it was bought from")
            with Image.open(picture.path, formats=load_readers()) as image:
                reduced = reduce(image, LARGE if picture.large else THUMB)
            return self._store(picture.sha256, reduced, large=picture.large)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise anything, bombs included
            return ImageFeatures(picture.sha256, problem=f"can't be read: {str(error)[:120] or type(error).__name__}")

    def _store(self, sha256: str, reduced: Reduced, *, large: bool) -> ImageFeatures:
        """Thumbnails first, then the line about them: a crash between the two costs a second computation."""
        if large:
            self._write(reduced.image, to_thumb_name(sha256, large=True))
            reduced.image.thumbnail((THUMB, THUMB))
        self._write(reduced.image, to_thumb_name(sha256))
        features = measure_features(sha256, reduced.width, reduced.height, put_on_white(reduced.image))
        with append_to(self.folder / FEATURES_FILE) as file:
            file.write(orjson.dumps(asdict(features)) + b"\n")
        return features

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
    larger than needed. Raises whatever Pillow's decoders raise.
    """
    width, height = image.size
    if image.getexif().get(0x0112, 1) in {5, 6, 7, 8}:  # turned by a quarter
        width, height = height, width
    image.draft("RGB", (2 * side, 2 * side))
    image.thumbnail((side, side), reducing_gap=1.0)
    upright = ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
    return Reduced(width, height, upright)


def measure_features(sha256: str, width: int, height: int, image: Image.Image) -> ImageFeatures:
    """Features of a reduced RGB picture. ``width`` and ``height`` are the whole picture's."""
    return ImageFeatures(
        sha256, width, height, _compute_hash(image), _compute_colours(image), is_flat(image), kind=HASH
    )


_SIDE, _FREQUENCIES = 32, 8
_COSINES = [[math.cos(math.pi * (2 * x + 1) * k / (2 * _SIDE)) for x in range(_SIDE)] for k in range(_FREQUENCIES)]


def _compute_hash(image: Image.Image) -> int:
    """The 64 lowest frequencies of the picture, each above their median or not. Equal bit for bit to ``phash`` of the package
    imagehash, which needs 150 MB of scipy for these sums. The sums are rounded so that zero is exactly zero: a picture that
    is its own mirror has no frequency at half of the places.

    Not ``dhash``: its bits are differences of neighbours, and on a white ground those are noise (figures:
    ``benchmarks/LOG.md``).
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[start : start + _SIDE] for start in range(0, len(grey), _SIDE)]
    across = [[sum(map(mul, wave, row)) for row in rows] for wave in _COSINES]
    coefficients = [round(sum(map(mul, wave, column)), 6) for wave in _COSINES for column in across]
    middle_value = median(coefficients)
    return sum(1 << (len(coefficients) - 1 - place) for place, size in enumerate(coefficients) if size > middle_value)


def _compute_colours(image: Image.Image) -> str:
    return image.resize((4, 4), Image.Resampling.BOX).tobytes().hex()


def is_flat(image: Image.Image) -> bool:
    """True if the picture is nearly one colour: hardly any spread, or 99 of 100 points close to the median colour."""
    sample = image.resize((64, 64), Image.Resampling.BOX)
    statistics = ImageStat.Stat(sample)
    if max(statistics.stddev) < 5:
        return True
    median_colour = Image.new("RGB", sample.size, tuple(statistics.median))
    difference = ImageChops.difference(sample, median_colour).point(lambda tone: 255 * (tone > 12)).split()
    largest_difference = ImageChops.lighter(ImageChops.lighter(difference[0], difference[1]), difference[2])
    return largest_difference.histogram()[0] >= 0.99 * sample.width * sample.height


def put_on_white(image: Image.Image) -> Image.Image:
    """A transparent picture on white, as a page shows it, in RGB."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    background = Image.new("RGB", image.size, "white")
    background.paste(image, mask=image.getchannel("A"))
    return background


def _compute_digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _is_there(thumbnail: Path) -> bool:
    """True for a file that is not empty. Thumbnails are not synced, so a power failure may leave an empty one."""
    try:
        return thumbnail.stat().st_size > 0
    except OSError:
        return False


def _read_stored(path: Path) -> dict[str, ImageFeatures]:
    """The features that the run and earlier galleries stored. Lines that are cut off or have a hash of another kind are
    skipped.
    """
    stored: dict[str, ImageFeatures] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            features = ImageFeatures(**orjson.loads(line))
        except (ValueError, TypeError):
            continue
        if features.kind == HASH:
            stored[features.sha256] = features
    return stored
