"""The features of a picture: its size, a perceptual hash, its colours; its thumbnail and its preview, from the same decode.

All are kept by the picture's sha256 in ``thumbs/``, which may be deleted at any time. A download stores them from the decode
that verifies it. The next gallery makes those that are missing (after a crash, on a full disk, for a picture that an earlier
edition bought). Both small pictures are JPEGs: WebP halves the bytes and takes five times the CPU (``benchmarks/LOG.md``).
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import file_digest
from io import BytesIO
from operator import mul
from pathlib import Path
from statistics import median

import orjson
from PIL import ExifTags, Image, ImageChops, ImageOps, ImageStat

from ..core.steps import ProgressCallback, no_progress
from ..disk import append_to, create, is_plain_file, make_folders
from .shrink import to_rgb
from .verify import PICTURE_ENDINGS, TURNED, load_readers

THUMB, LARGE = 512, 1536
"""Pixels of the longer side: a card's picture, and the preview in the lightbox. The sides that the model makes, 1024 and
1536, are whole multiples of the first: such a picture is reduced in one pass. None of them is larger than the second.
"""
FEATURES_FILE = "seen.jsonl"
HASH = "dct-64-of-64"
"""The kind of ``ImageFeatures.hash``. A hash of another kind is computed again."""
_SHOWN = frozenset({".png", ".jpg", ".webp", ".gif", ".avif"})
"""The endings that every browser shows."""
_LIGHT = 500_000
"""The most bytes of a picture that is shown itself: a slow line of 4 Mbit/s takes a second for them."""
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """A picture whose features are requested. ``large``: make a preview even of one that is light enough to be shown itself.
    ``proven``: its sha256 is known to be right. With ``root`` it must lie in that folder, and be no link.
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
    its 16 sixteenths as hex, ``flat`` whether it is nearly one colour, ``large`` whether it has a preview in ``thumbs/``.
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
    large: bool = False


@dataclass(frozen=True, slots=True)
class Derived:
    """What is made of one decode: the features, without a sha256 yet, the thumbnail and the preview, if any, as JPEGs."""

    features: ImageFeatures
    thumb: bytes
    preview: bytes | None


def to_thumb_name(sha256: str, *, large: bool = False) -> str:
    """The file name in ``thumbs/`` of the thumbnail or, with ``large``, of the preview."""
    return f"{sha256[:40]}{'-large' if large else ''}.jpg"


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

    def keep(self, sha256: str, derived: Derived) -> None:
        """Store what was made of a picture that has just been decoded, as far as the disk allows. What can't be stored now
        the next gallery makes, and ``refused`` says why. Never raises. Safe in many threads and processes.
        """
        with suppress(Exception):  # the picture itself is stored, and a thumbnail must not end a run
            try:
                make_folders(self.folder, self.folder.parent)
                self._store(sha256, derived)
            except OSError as error:
                self.refused = error

    def _find_stored(self, picture: FeatureRequest, stored: dict[str, ImageFeatures]) -> ImageFeatures | None:
        if not picture.path.is_file():
            return ImageFeatures(picture.sha256, problem="the file is missing")
        if picture.root is not None and not is_plain_file(picture.path, picture.root):
            return ImageFeatures(picture.sha256, problem="is a link, not the picture that was bought")
        if not picture.sha256.isalnum():  # it becomes a file's name
            return ImageFeatures(picture.sha256, problem="has no sha256")
        features = stored.get(picture.sha256)
        if features is None or picture.large > features.large:
            return None
        names = [to_thumb_name(picture.sha256)] + [to_thumb_name(picture.sha256, large=True)] * features.large
        return features if all(_is_there(self.folder / name) for name in names) else None

    def _compute(self, picture: FeatureRequest) -> ImageFeatures:
        try:
            if not picture.proven and _compute_digest(picture.path) != picture.sha256:
                return ImageFeatures(picture.sha256, problem="the file has changed since it was bought from")
            with Image.open(picture.path, formats=load_readers()) as image:
                derived = derive(image, picture.path.stat().st_size, large=picture.large)
            return self._store(picture.sha256, derived)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise anything, bombs included
            return ImageFeatures(picture.sha256, problem=f"can't be read: {str(error)[:120] or type(error).__name__}")

    def _store(self, sha256: str, derived: Derived) -> ImageFeatures:
        """The pictures first, then the line about them: a crash between the two costs a second computation."""
        if derived.preview is not None:
            self._write(derived.preview, to_thumb_name(sha256, large=True))
        self._write(derived.thumb, to_thumb_name(sha256))
        features = replace(derived.features, sha256=sha256)
        with append_to(self.folder / FEATURES_FILE) as file:
            file.write(orjson.dumps(asdict(features)) + b"\n")
        return features

    def _write(self, data: bytes, name: str) -> None:
        # A .part of its own: two jobs may have got the same picture at the same moment.
        part = self.folder / f"{name}.{os.getpid()}-{threading.get_ident()}.part"
        with create(part) as file:
            file.write(data)
        part.replace(self.folder / name)


def derive(image: Image.Image, size: int, *, large: bool = False) -> Derived:
    """Thumbnail, preview and features of a picture whose file has ``size`` bytes. A JPEG that is not decoded yet is decoded
    no larger than needed.

    One that needs no preview has one only with ``large``. Raises whatever Pillow's decoders raise.
    """
    width, height = image.size
    if image.getexif().get(ExifTags.Base.Orientation, 1) in TURNED:
        width, height = height, width
    large = large or needs_preview(PICTURE_ENDINGS.get(image.format or "", ""), size, width, height)
    side = LARGE if large else THUMB
    image.draft("RGB", (2 * side, 2 * side))
    profile = image.info.get("icc_profile") if image.mode != "CMYK" else None
    whole = to_rgb(image)
    ImageOps.exif_transpose(whole, in_place=True)
    preview = encode_jpeg(scale_down(whole, LARGE), profile) if large else None
    small = put_on_white(scale_down(whole, THUMB))
    return Derived(
        replace(measure_features("", width, height, small), large=large), encode_jpeg(small, profile), preview
    )


def needs_preview(ending: str, size: int, width: int, height: int) -> bool:
    """False for a picture that is shown itself: browsers show it, and it has few bytes and no side longer than ``LARGE``."""
    return ending not in _SHOWN or size > _LIGHT or max(width, height) > LARGE


def scale_down(image: Image.Image, side: int) -> Image.Image:
    """An RGB or RGBA picture with at most ``side`` pixels a side; the same object if it has no more."""
    if (factor := max(image.size) // side) > 1:
        image = image.reduce(factor)
    if (longer := max(image.size)) > side:
        width, height = (max(1, round(pixels * side / longer)) for pixels in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return image


def encode_jpeg(image: Image.Image, profile: bytes | None = None) -> bytes:
    """A JPEG for the screen; what is transparent is white. ``profile`` is the picture's ICC profile."""
    buffer = BytesIO()
    put_on_white(image).save(buffer, "JPEG", quality=_QUALITY, icc_profile=profile)
    return buffer.getvalue()


def measure_features(sha256: str, width: int, height: int, image: Image.Image) -> ImageFeatures:
    """Features of a reduced RGB picture. ``width`` and ``height`` are the whole picture's."""
    sample = image.resize(_SAMPLE, Image.Resampling.BOX)
    return ImageFeatures(
        sha256, width, height, _compute_hash(sample), _compute_colours(sample), is_flat(sample), kind=HASH
    )


_SAMPLE = (64, 64)
_SIDE, _FREQUENCIES = 32, 8
_COSINES = [[math.cos(math.pi * (2 * x + 1) * k / (2 * _SIDE)) for x in range(_SIDE)] for k in range(_FREQUENCIES)]


def _compute_hash(image: Image.Image) -> int:
    """The 64 lowest frequencies of the sample, each above their median or not. Equal bit for bit to ``phash`` of the package
    imagehash for the same sample; that package needs 150 MB of scipy for these sums. The sums are rounded so that zero is
    exactly zero: a picture that is its own mirror has no frequency at half of the places.

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
    sample = image.resize(_SAMPLE, Image.Resampling.BOX)
    statistics = ImageStat.Stat(sample)
    if max(statistics.stddev) < 5:
        return True
    median_colour = Image.new("RGB", sample.size, tuple(statistics.median))
    difference = ImageChops.difference(sample, median_colour).point(lambda tone: 255 * (tone > 12)).split()
    largest_difference = ImageChops.lighter(ImageChops.lighter(difference[0], difference[1]), difference[2])
    return largest_difference.histogram()[0] >= 0.99 * sample.width * sample.height


def put_on_white(image: Image.Image) -> Image.Image:
    """An RGBA picture on white, in RGB; an RGB picture as it is."""
    if image.mode != "RGBA":
        return image
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
