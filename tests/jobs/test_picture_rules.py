"""``validations`` of a model's schema: what breaks one is told before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchedit.images.verify import check_picture
from batchedit.jobs.image_cells import Pictures
from batchedit.jobs.picture_rules import Rule, read_rules
from batchedit.jobs.schema import find_link_limit
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import run_cli


def rule(condition: str, value: Any) -> dict[str, Any]:
    return {"validation_rule": condition, "validation_value": value, "validation_error": "not told"}


def test_rules_are_read_from_the_field_and_its_items_and_others_are_left_to_the_service() -> None:
    strange = [
        rule("duration_seconds<", 5),
        rule("width_pixels", 5),
        rule("width_pixels>", "5"),
        rule("file_size_mb<", True),
    ]
    items = {"type": "string", "validations": [rule("width / height >=", 0.5)]}
    spec = {"type": "array", "items": items, "validations": [rule("file_size_mb<", 10), *strange, "odd"]}
    assert read_rules(spec) == (Rule("file_size_mb", "<", 10.0), Rule("width/height", ">=", 0.5))
    assert read_rules({"validations": {"maxItems": 4}}) == ()


@pytest.mark.parametrize(
    ("condition", "value", "words"),
    [
        ("width_pixels>", 300, "a width of more than 300 pixels"),
        ("width_pixels>=", 300, ""),
        ("height_pixels<", 200, "a height of less than 200 pixels"),
        ("height_pixels<=", 200, ""),
        ("width/height<", 1.5, "a width of less than 1.5 times the height"),
        ("width/height>", 1.4, ""),
        ("file_size_mb<", 0.0001, "less than 0.0001 MB"),
        ("file_size_mb<", 25, ""),
    ],
)
def test_a_local_picture_that_breaks_a_rule_is_told_and_not_refused(
    tmp_path: Path, condition: str, value: float, words: str
) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    pictures = Pictures((tmp_path,))
    pictures.row = 4
    assert len(pictures.make_reader(read_rules({"validations": [rule(condition, value)]}))("a.png")) == 1
    assert {taken: rows.count for taken, rows in pictures.beyond_rules.items()} == ({words: 1} if words else {})
    assert len(pictures.read("a.png")) == 1  # another field, without a rule
    assert sum(rows.count for rows in pictures.beyond_rules.values()) == bool(words)


def test_a_photograph_on_its_side_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (300, 200)).save(tmp_path / "a.jpg", exif=exif)
    assert check_picture(tmp_path / "a.jpg") == (200, 300)


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
def test_a_sound_picture_with_an_odd_exif_block_was_called_damaged(tmp_path: Path, form: str) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "a", form, exif=b"Exif\x00\x00" + b"\x00" * 20)
    assert check_picture(tmp_path / "a") == (300, 200)


def test_a_picture_that_is_re_encoded_is_held_against_no_rule(tmp_path: Path) -> None:
    Image.effect_noise((3000, 2500), 90).convert("RGB").save(tmp_path / "a.png", compress_level=0)
    assert (tmp_path / "a.png").stat().st_size > 8_000_000
    pictures = Pictures((tmp_path,))
    assert len(pictures.make_reader((Rule("file_size_mb", "<", 4.0),))("a.png")) == 1
    assert pictures.beyond_rules == {}


def test_a_link_is_refused_for_its_size_only_where_no_field_takes_it() -> None:
    def picture(*rules: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "format": "image_uri", "validations": list(rules)}

    small, large = picture(rule("file_size_mb<=", 4)), picture(rule("file_size_mb<", 10), rule("file_size_mb>", 1))
    assert find_link_limit({"properties": {"image": large, "mask": small}}) == 10_000_000
    assert find_link_limit({"properties": {"image": small}}) == 4_000_000
    assert find_link_limit({"properties": {"image": picture(), "mask": small}}) == 25_000_000
    assert find_link_limit({"properties": {"image": picture(rule("file_size_mb<", 900))}}) == 25_000_000
    sound = {"type": "string", "format": "audio_uri", "validations": [rule("file_size_mb<", 1)]}
    assert find_link_limit({"properties": {"image": picture(), "sound": sound}}) == 25_000_000
    assert find_link_limit({}) == 25_000_000


def test_the_plan_warns_of_what_a_model_may_refuse(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "required": ["image_url", "prompt"],
        "properties": {
            "image_url": {"type": "string", "format": "image_uri", "validations": [rule("width_pixels>=", 256)]},
            "prompt": {"type": "string"},
        },
    }
    (tmp_path / "wide.json").write_text(json.dumps(schema))
    Image.new("RGB", (256, 200)).save(tmp_path / "wide.png")
    Image.new("RGB", (255, 200)).save(tmp_path / "narrow.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\nA,wide.png,an ad\nB,narrow.png,an ad\n")
    with serve(SandboxConfig(latency="0", models={"lab/wide": schema})) as it:
        options = ("--base-url", it.url, "--model", "lab/wide")
        output = run_cli("models", "show", "lab/wide", "--base-url", it.url, cwd=tmp_path).stdout
        assert "Pictures: a width of at least 256 pixels." in " ".join(output.split())
        plan = " ".join(run_cli("plan", "m.csv", *options, cwd=tmp_path).stdout.split())
        assert "pictures of a width of at least 256 pixels: row 3 (B) may be refused, which costs nothing" in plan
        assert it.ledger()["submits_seen"] == 0
