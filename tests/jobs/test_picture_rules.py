"""``validations`` of a model's schema: what they refuse is refused before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchedit.jobs.image_cells import CellError, Pictures
from batchedit.jobs.picture_rules import Rule, most_bytes, read_rules
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import inside


def rule(told: str, value: Any) -> dict[str, Any]:
    return {"validation_rule": told, "validation_value": value, "validation_error": "not told"}


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
    ("told", "value", "wrong"),
    [
        ("width_pixels>", 300, "is 300 × 200 pixels; the model takes a width of more than 300 pixels"),
        ("width_pixels>=", 300, ""),
        ("height_pixels<", 200, "is 300 × 200 pixels; the model takes a height of less than 200 pixels"),
        ("height_pixels<=", 200, ""),
        ("width/height<", 1.5, "is 300 × 200 pixels; the model takes a width of less than 1.5 times the height"),
        ("width/height>", 1.4, ""),
        ("file_size_mb<", 0.0001, "MB; the model takes less than 0.0001 MB"),
        ("file_size_mb<", 25, ""),
    ],
)
def test_a_local_picture_that_a_rule_refuses(tmp_path: Path, told: str, value: float, wrong: str) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    read = Pictures((tmp_path,)).reader(read_rules({"validations": [rule(told, value)]}))
    if not wrong:
        assert read("a.png")[0]["$file"].endswith("a.png")
        return
    with pytest.raises(CellError) as found:
        read("a.png")
    assert str(found.value).endswith(wrong)


def test_a_photograph_on_its_side_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (300, 200)).save(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(CellError, match="is 200 × 300 pixels"):
        Pictures((tmp_path,)).reader((Rule("width/height", ">", 1.0),))("a.jpg")


def test_a_picture_that_is_re_encoded_is_not_refused_for_the_size_of_its_file(tmp_path: Path) -> None:
    Image.effect_noise((3000, 2500), 90).convert("RGB").save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 8_000_000
    assert len(Pictures((tmp_path,)).reader((Rule("file_size_mb", "<", 8.0),))("a.png")) == 1


def test_the_smallest_of_the_fields_is_what_a_link_may_lead_to() -> None:
    image = {"validations": [rule("file_size_mb<", 10), rule("file_size_mb>", 1)]}
    assert (
        most_bytes({"properties": {"image": image, "mask": {"validations": [rule("file_size_mb<=", 4)]}}}) == 4_000_000
    )
    assert most_bytes({"properties": {"image": {"validations": [rule("file_size_mb<", 900)]}}}) == 25_000_000
    assert most_bytes({}) == 25_000_000


def test_a_sheet_for_a_model_with_rules_is_refused_row_by_row_before_anything_is_sent(tmp_path: Path) -> None:
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
        told = ("--base-url", it.url, "--model", "lab/wide")
        shown = inside("models", "show", "lab/wide", "--base-url", it.url, cwd=tmp_path).stdout
        assert "Pictures: a width of at least 256 pixels." in " ".join(shown.split())
        refused = inside("run", "m.csv", "--yes", *told, cwd=tmp_path, code=65)
        assert "is 255 × 200 pixels; the model takes a width of at least 256 pixels" in refused.stdout + refused.stderr
        assert it.ledger()["submits_seen"] == 0
