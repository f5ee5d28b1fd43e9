"""What a machine flags, and what it leaves alone; near-duplicates without comparing each with each."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter

from batchedit.images.thumbnails_and_features import (
    HASH,
    Album,
    FeatureRequest,
    ImageFeatures,
    is_flat,
    measure_features,
    put_on_white,
)
from batchedit.review import alike as alike_module
from batchedit.review.alike import BITS, are_alike, group_alike
from batchedit.review.checks import Subject, flag_pictures, has_wrong_ratio
from tests.support.finished_run import picture

HASHES = [
    (0, 0xBCC39A4C633CCC93),
    (1, 0xDAC73158C3B58C4B),
    (2, 0xF69D1A3E8D428547),
    (3, 0x907926C5D6BA5966),
    (4, 0x96373DC86B19CC62),
    (5, 0xBC4386AC59B2CD39),
    (6, 0xBD79E08E9A92CE82),
    (7, 0x9D8E4363AC2A35B5),
]


def look(number: int, hash_: int, **changes: object) -> ImageFeatures:
    return ImageFeatures(f"{number:064x}", 1024, 1024, hash_, **({"colours": "40" * 48} | changes))  # type: ignore[arg-type]


def seen(image: Image.Image, name: str = "a") -> ImageFeatures:
    return measure_features(name, image.width, image.height, image)


@pytest.mark.parametrize(
    ("size", "width", "height", "wrong"),
    [
        ("1:1", 1024, 1024, False),
        ("3:2", 1536, 1024, False),
        ("3:2", 1540, 1024, False),
        ("3:2", 1024, 1536, True),
        ("2:3", 1024, 1024, True),
        ("1024x1536", 512, 768, False),
        ("1024*1536", 1536, 1024, True),
        ("auto", 1, 9, False),
        ("", 1, 9, False),
        ("0:0", 1, 9, False),
    ],
)
def test_wrong_ratio(size: str, width: int, height: int, wrong: bool) -> None:
    assert has_wrong_ratio(size, width, height) is wrong


def test_nearly_one_colour_is_flat_and_a_product_on_white_is_not() -> None:
    white = Image.new("RGB", (480, 480), "white")
    noisy = Image.effect_noise((480, 480), 6).convert("RGB")
    product = white.copy()
    ImageDraw.Draw(product).ellipse((160, 160, 320, 320), fill="navy")
    assert is_flat(white)
    assert is_flat(noisy)
    assert not is_flat(product)
    assert not is_flat(picture(1))


def test_the_same_picture_scaled_brightened_and_recompressed_is_alike_another_one_is_not(tmp_path: Path) -> None:
    one = picture(1, (960, 640))
    other = one.resize((512, 341)).filter(ImageFilter.GaussianBlur(1)).point(lambda tone: min(255, tone + 5))
    other.save(tmp_path / "b.jpg", quality=60)
    assert are_alike(seen(one), seen(Image.open(tmp_path / "b.jpg").convert("RGB"), "b"))
    assert not any(are_alike(seen(picture(a)), seen(picture(b), "b")) for a in range(8) for b in range(a))


@pytest.mark.parametrize(("number", "hash_"), HASHES)
def test_the_hash_is_the_one_of_imagehash(number: int, hash_: int) -> None:
    """Told by ``imagehash.phash`` 4.3.2 of these pictures."""
    assert seen(picture(number)).hash == hash_


@pytest.mark.parametrize("grain", range(6))
def test_a_product_on_white_is_alike_with_a_little_grain(grain: int) -> None:
    """Where a hash of differences between neighbours (``dhash``) fails: the white ground is most of the picture."""
    image = Image.new("RGB", (480, 480), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((100 + 20 * grain, 90, 300, 330 - 10 * grain), fill="navy")
    draw.rectangle((150, 300, 260 + 15 * grain, 420), fill="tan")
    grained = Image.blend(image, Image.effect_noise(image.size, 30).convert("RGB"), 0.04)
    assert are_alike(seen(image), seen(grained, "b"))


def test_a_hash_of_another_kind_is_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(1).save(path)
    fresh = Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])["aa"]
    kept = tmp_path / "thumbs" / "seen.jsonl"
    line = json.loads(kept.read_text())
    assert line["kind"] == HASH
    earlier = [
        {**line, "hash": 1, "kind": "another"},
        {name: line[name] for name in line if name != "kind"} | {"hash": 1},
    ]
    for entry in earlier:
        kept.write_text(json.dumps(entry) + "\n")
        assert Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])["aa"] == fresh


def test_equal_shapes_in_other_colours_are_not_alike() -> None:
    red, blue = (Image.new("RGB", (480, 480), tone) for tone in ("#d03030", "#3030d0"))
    for image in (red, blue):
        ImageDraw.Draw(image).rectangle((100, 60, 300, 420), fill="white")
    assert (seen(red).hash ^ seen(blue, "b").hash).bit_count() <= BITS
    assert not are_alike(seen(red), seen(blue, "b"))


def test_groups_find_every_pair_within_the_distance() -> None:
    rng = random.Random(5)
    looks = []
    for number in range(200):
        base = rng.getrandbits(64)
        looks.append(look(2 * number, base))
        for bit in rng.sample(range(64), BITS):
            base ^= 1 << bit
        looks.append(look(2 * number + 1, base))
    assert group_alike(looks) == [[2 * number, 2 * number + 1] for number in range(200)]


def test_ten_thousand_pictures_are_compared_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them one picture over and over with small changes, half all different."""
    rng = random.Random(7)
    counted = 0

    def counting(one: ImageFeatures, other: ImageFeatures) -> bool:
        nonlocal counted
        counted += 1
        return are_alike(one, other)

    monkeypatch.setattr(alike_module, "are_alike", counting)
    looks = [look(number, rng.getrandbits(64)) for number in range(5000)]
    looks += [look(5000 + number, 1 << rng.randrange(64)) for number in range(5000)]
    began = time.perf_counter()
    assert max(map(len, group_alike(looks))) >= 5000
    assert counted < 700_000  # of 50 million pairs
    assert time.perf_counter() - began < 20


def test_flags_of_a_run() -> None:
    looks = {
        name: ImageFeatures(name, *size, number, "40" * 48, flat, problem)
        for name, size, number, flat, problem in [
            ("good", (1024, 1024), 0x0123456789ABCDEF, False, ""),
            ("near", (1024, 1024), 0x0123456789ABCDEE, False, ""),
            ("wide", (1536, 1024), 0x5555AAAA5555AAAA, False, ""),
            ("tiny", (200, 200), 0x3333CCCC3333CCCC, False, ""),
            ("flat", (1024, 1024), 0, True, ""),
            ("torn", (0, 0), 0, False, "can't be read"),
            ("source", (800, 800), 0x3333CCCC3333CCCC, False, ""),
        ]
    }
    subjects = [
        Subject(1, 1, "1:1", "good"),
        Subject(2, 2, "1:1", "near"),
        Subject(3, 3, "1:1", "wide"),
        Subject(4, 4, "1:1", "tiny", ("source", "gone")),
        Subject(5, 5, "1:1", "flat"),
        Subject(6, 6, "1:1", "torn"),
        Subject(7, 7, "1:1", "never looked at"),
    ]
    assert flag_pictures(subjects, looks) == {
        1: "like_row_2",
        2: "like_row_1",
        3: "wrong_ratio",
        4: "tiny like_input",
        5: "one_colour",
        6: "unreadable",
    }


def test_variants_and_versions_of_one_row_may_look_alike() -> None:
    looks = {"a": look(1, 5), "b": look(2, 5)}
    assert flag_pictures([Subject(1, 1, "", "a"), Subject(2, 1, "", "b")], looks) == {}


def test_two_flat_pictures_are_no_twins() -> None:
    looks = {"a": look(1, 0, flat=True), "b": look(2, 0, flat=True)}
    assert flag_pictures([Subject(1, 1, "", "a"), Subject(2, 2, "", "b")], looks) == {1: "one_colour", 2: "one_colour"}


# --- the album ------------------------------------------------------------------------------------


def test_thumbnails_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(3, (900, 600)).save(path)
    wanted = [FeatureRequest(path, "aa" * 32)]
    first = Album(tmp_path / "thumbs").load_features(wanted)
    thumb = tmp_path / "thumbs" / f"{'aa' * 20}.jpg"
    stamp = thumb.stat().st_mtime_ns
    assert Album(tmp_path / "thumbs").load_features(wanted) == first
    assert thumb.stat().st_mtime_ns == stamp
    assert (first["aa" * 32].width, first["aa" * 32].height) == (900, 600)
    with Image.open(thumb) as made:
        assert made.size == (512, 341)


def test_a_thumbnail_that_is_gone_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(3).save(path)
    Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])
    (tmp_path / "thumbs" / "aa.jpg").unlink()
    Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])
    assert (tmp_path / "thumbs" / "aa.jpg").is_file()


def test_an_empty_thumbnail_is_made_again(tmp_path: Path) -> None:
    """As a failure of power leaves it."""
    path = tmp_path / "a.png"
    picture(3).save(path)
    Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])
    (tmp_path / "thumbs" / "aa.jpg").write_bytes(b"")
    Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])
    assert (tmp_path / "thumbs" / "aa.jpg").stat().st_size


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n and then nothing"])
def test_what_is_no_picture_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert "can't be read" in Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])["aa"].problem


def test_missing_and_changed_files_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(1).save(path)
    features = Album(tmp_path / "thumbs").load_features(
        [FeatureRequest(path, "aa", proven=False), FeatureRequest(tmp_path / "b.png", "bb")]
    )
    assert "changed" in features["aa"].problem
    assert "missing" in features["bb"].problem


def test_a_phone_picture_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, (800, 400)).save(path, exif=exif)
    features = Album(tmp_path / "thumbs").load_features([FeatureRequest(path, "aa")])["aa"]
    assert (features.width, features.height) == (400, 800)
    with Image.open(tmp_path / "thumbs" / "aa.jpg") as thumb:
        assert thumb.height > thumb.width


def test_transparency_is_white_for_the_checks() -> None:
    clear = Image.new("RGBA", (480, 480), (255, 0, 0, 0))
    assert put_on_white(clear).getpixel((9, 9)) == (255, 255, 255)
