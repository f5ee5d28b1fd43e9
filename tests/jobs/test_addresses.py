"""Sheets of shops that name pictures by their path on the shop's server: the address in front is said with ``--map``."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from batchedit.core.errors import UsageError
from batchedit.jobs.addresses import Address, parse_address
from tests.support.cli import rows, run_cli

MAGENTO = (
    "sku,name,base_image,additional_images,prompt\n"
    'MB-1,Bag,/m/b/mb01.jpg,"/m/b/a.jpg,/m/b/b c.jpg",make an ad for the bag\n'
    "MB-1-red,Bag,no_selection,,make an ad for the bag\n"
)
MEDIA = "https://shop.example.com/media/catalog/product"


def test_a_magento_export_says_where_its_pictures_are_to_be_found(tmp_path: Path) -> None:
    """`/m/b/mb01.jpg is neither a link nor a file` was all that its rows said, and no option helped."""
    (tmp_path / "m.csv").write_text(MAGENTO)
    output = run_cli("plan", "m.csv", "--sandbox", cwd=tmp_path, code=65).stdout
    assert (
        "warning: 1 row names a file that is not here (row 2 (MB-1)); if it is a web server's, say which: "
        "--map image='https://www.example.com/media/catalog/product{base_image}'"
    ) in output
    assert "left out        1 row: a product without a picture" in output
    plan = run_cli("plan", "m.csv", "--sandbox", "--map", f"image={MEDIA}{{base_image}}", cwd=tmp_path, code=65).stdout
    assert f"note: image: {MEDIA}{{base_image}}, with the column 'base_image'" in plan
    assert "to buy          1 picture" in plan
    run_cli(
        *("run", "m.csv", "--sandbox", "--yes", "--skip-invalid", "--out", "o"),
        *("--map", f"image={MEDIA}/{{additional_images}}"),
        cwd=tmp_path,
    )
    assert [row["result_status"] for row in rows(tmp_path / "o")] == ["done", "invalid"]


def test_the_shops_own_folder_of_pictures_is_taken_where_it_is_at_hand(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(MAGENTO)
    folder = tmp_path / "media" / "m" / "b"
    folder.mkdir(parents=True)
    Image.new("RGB", (20, 20), "red").save(folder / "mb01.jpg")
    output = run_cli("plan", "m.csv", "--sandbox", "--image-root", "media", cwd=tmp_path).stdout
    assert "to buy          1 picture" in output


@pytest.mark.parametrize(
    ("address", "cell", "links"),
    [
        (MEDIA, "/m/b/a.jpg", [f"{MEDIA}/m/b/a.jpg"]),
        (f"{MEDIA}/", "/m/b/a.jpg", [f"{MEDIA}/m/b/a.jpg"]),
        (f"{MEDIA}/", "m/b/a.jpg,m/b/b c.jpg", [f"{MEDIA}/m/b/a.jpg", f"{MEDIA}/m/b/b%20c.jpg"]),
        (f"{MEDIA}/", " a.jpg ;\n b.jpg ", [f"{MEDIA}/a.jpg", f"{MEDIA}/b.jpg"]),
        (f"{MEDIA}/", "50% off #1.png", [f"{MEDIA}/50%25%20off%20%231.png"]),
        (f"{MEDIA}/", "a%20b.png", [f"{MEDIA}/a%20b.png"]),
        (f"{MEDIA}/", "stühle.png?v=2", [f"{MEDIA}/st%C3%BChle.png?v=2"]),
        (f"{MEDIA}/", 413, [f"{MEDIA}/413"]),
        (f"{MEDIA}/", "https://cdn.example.com/a,b.jpg", "https://cdn.example.com/a,b.jpg"),
        (f"{MEDIA}/", '["a.jpg"]', '["a.jpg"]'),
    ],
)
def test_paths_become_links(address: str, cell: object, links: object) -> None:
    assert Address(address, "photo", "").make_reader(lambda given: given)(cell) == links


def test_an_address_may_go_on_behind_the_column() -> None:
    address = parse_address("https://cdn.example.com/{SKU}.jpg?w=800")
    assert address is not None
    assert address.make_reader(lambda given: given)("00413") == ["https://cdn.example.com/00413.jpg?w=800"]
    assert parse_address("SKU") is None
    assert parse_address("{SKU}") is None


def test_an_address_with_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(MAGENTO)
    errors = run_cli("plan", "m.csv", "--sandbox", "--map", f"image={MEDIA}{{base_imag}}", cwd=tmp_path, code=64).stderr
    assert "there is no column 'base_imag'" in errors
    assert "Did you mean 'base_image'?" in errors
    assert UsageError("").code == 64
