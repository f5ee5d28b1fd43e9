"""What is made of a picture's one decode: thumbnail, preview, features."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms, ImageDraw

from batchedit.images.thumbnails_and_features import (
    LARGE,
    THUMB,
    Album,
    FeatureRequest,
    derive,
    needs_preview,
    scale_down,
    to_thumb_name,
)

HEAVY = 500_001


def draw(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill=(200, 30, 40))
    return image.convert(mode)


def reopen(image: Image.Image, form: str, **options: object) -> Image.Image:
    """The picture as it comes from a file that is not decoded yet."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def load(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("form", "size", "length", "preview"),
    [
        ("PNG", (1024, 1536), HEAVY, (1024, 1536)),
        ("PNG", (1024, 1536), 500_000, None),
        ("TIFF", (900, 600), 1000, (900, 600)),
        ("JPEG", (1024, 1536), HEAVY, (1024, 1536)),
        ("WEBP", (1536, 1024), 1000, None),
        ("JPEG", (2000, 1000), 1000, (1536, 768)),
        ("PNG", (3200, 1600), 1000, (1536, 768)),
    ],
)
def test_a_heavy_or_large_picture_has_a_preview(
    form: str, size: tuple[int, int], length: int, preview: tuple[int, int] | None
) -> None:
    derived = derive(reopen(draw(size), form), length)
    assert (derived.features.width, derived.features.height) == size
    assert derived.features.large is (preview is not None)
    assert (derived.preview and load(derived.preview).size) == preview
    thumb = load(derived.thumb)
    assert thumb.format == "JPEG"
    assert max(thumb.size) == min(THUMB, max(size))


def test_a_preview_that_is_asked_for_is_made_of_a_light_picture_too() -> None:
    derived = derive(reopen(draw((800, 400)), "JPEG"), 1000, large=True)
    assert load(derived.preview).size == (800, 400)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    source = draw((1100, 700), "L").convert("I").point(lambda tone: tone * 257) if mode in {"I;16", "I", "F"} else None
    image = draw((1100, 700), mode) if source is None else source.convert(mode)
    derived = derive(image, HEAVY)
    for data in (derived.thumb, derived.preview):
        corner, product = (load(data).convert("RGB").getpixel(place) for place in ((3, 3), (190, 120)))
        assert isinstance(corner, tuple)
        assert min(corner) > 245, mode
        assert isinstance(product, tuple)
    assert not derived.features.flat


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (1024, 1024), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((300, 300, 700, 700), fill=(20, 90, 200, 255))
    derived = derive(reopen(image, "PNG"), HEAVY)
    for data, place in ((derived.thumb, (9, 9)), (derived.preview, (20, 20))):
        pixel = load(data).getpixel(place)
        assert isinstance(pixel, tuple)
        assert min(pixel) > 250


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phones_picture_is_upright_in_each(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    derived = derive(reopen(draw((1800, 900)), "JPEG", exif=exif), HEAVY)
    turned = orientation > 4
    assert (derived.features.width, derived.features.height) == ((900, 1800) if turned else (1800, 900))
    for data in (derived.thumb, derived.preview):
        width, height = load(data).size
        assert (width < height) is turned
        assert load(data).getexif().get(0x0112, 1) == 1


def test_the_colour_profile_is_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    derived = derive(reopen(draw((1024, 1536)), "PNG", icc_profile=profile), HEAVY)
    assert load(derived.thumb).info["icc_profile"] == load(derived.preview).info["icc_profile"] == profile


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (513, 511), (1023, 40), (512, 512)])
def test_no_side_is_longer_than_asked_or_shorter_than_a_pixel(size: tuple[int, int]) -> None:
    small = scale_down(Image.new("RGB", size), THUMB)
    assert max(small.size) == min(max(size), THUMB)
    assert min(small.size) >= 1


def test_a_preview_that_is_gone_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    draw((700, 500)).save(path)
    folder = tmp_path / "thumbs"
    request = FeatureRequest(path, "aa" * 32)
    first = Album(folder).load_features([request])
    (folder / to_thumb_name("aa" * 32, large=True)).unlink()
    assert Album(folder).load_features([request]) == first
    assert (folder / to_thumb_name("aa" * 32, large=True)).is_file()


def test_a_source_that_was_bought_too_gets_the_preview_that_only_sources_need(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    draw((700, 500)).save(path)
    folder = tmp_path / "thumbs"
    bought = FeatureRequest(path, "aa" * 32)
    assert not Album(folder).load_features([bought])["aa" * 32].large
    assert Album(folder).load_features([bought, FeatureRequest(path, "aa" * 32, large=True)])["aa" * 32].large
    assert (folder / to_thumb_name("aa" * 32, large=True)).is_file()
    assert Album(folder).load_features([bought])["aa" * 32].large


def test_the_sizes_that_the_model_makes_need_no_second_pass() -> None:
    for size in ((1024, 1024), (1024, 1536), (1536, 1024)):
        factor = max(size) // THUMB
        assert max(size) == factor * THUMB
        assert not needs_preview(".png", 500_000, *size)
        assert max(size) <= LARGE
