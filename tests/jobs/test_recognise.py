"""Columns are told by their names, by names like those, and by their cells; exporters by columns of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchedit.core.errors import ManifestError
from batchedit.core.model import InvalidLine
from batchedit.jobs.expand import Expander, expand_all
from batchedit.jobs.recipe import Recipe
from batchedit.jobs.recognise import recognise
from batchedit.manifest.read import open_manifest
from batchedit.manifest.shop_column_names import find_platform
from tests.manifest.test_excel import LINK, SCHEMA

AIRTABLE = '"mug.jpg (https://v5.airtableusercontent.com/v3/u/1/abc/m),b.jpg (https://v5.airtableusercontent.com/v3/u/1/def/b)"'


def recognised(path: Path, head: str, *rows: str) -> tuple[str, bool]:
    """The column that the picture is taken from, and whether that is certain."""
    path.write_text("\n".join([head, *rows]), encoding="utf-8")
    recipe = recognise(open_manifest(path), Recipe(model="m", schema=SCHEMA, prompt="an ad"))
    return recipe.mapping.get("image", ""), not recipe.guesses


@pytest.mark.parametrize(
    "column",
    ["Produktbilder", "Bild vorne", "Artikelfoto", "Photo principale", "Photos du produit (web)", "Imagen principal",
     "Fotos del artículo", "Front photo", "Listing pictures", "Hero_Image"],
)  # fmt: skip
def test_a_name_like_one_of_a_picture_is_enough(tmp_path: Path, column: str) -> None:
    head = f"sku,Datasheet,{column}"
    rows = [f"A-{n},https://shop.example.com/{n}.jpg.pdf,{LINK.format(n)}" for n in (1, 2)]
    assert recognised(tmp_path / "m.csv", head, *rows) == (column, True)


def test_a_column_named_like_pictures_that_holds_pages_is_none(tmp_path: Path) -> None:
    rows = ["A-1,https://shop.example.com/licence,x", "A-2,https://shop.example.com/licence,y"]
    assert recognised(tmp_path / "m.csv", "sku,Image rights,note", *rows) == ("", True)


def test_a_column_of_file_names_was_told_to_hold_links(tmp_path: Path) -> None:
    """Magento writes paths below its own folder of pictures; the plan called them links, and refused them as none."""
    (tmp_path / "m.csv").write_text("sku,name,base_image\nS,Mug,/m/u/mug.jpg\nT,Cap,\n")
    recipe = recognise(open_manifest(tmp_path / "m.csv"), Recipe(model="m", schema=SCHEMA, prompt="an ad"))
    assert recipe.notes[0] == "image: column 'base_image', 1 of 2 cells name pictures (an export of Magento)"


def test_one_link_among_file_names_made_all_of_them_links(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("sku,Photo\nA,a.jpg\nB,b.jpg\nC,http://e.com/c.jpg\n")
    recipe = recognise(open_manifest(tmp_path / "m.csv"), Recipe(model="m", schema=SCHEMA, prompt="an ad"))
    assert recipe.notes[0] == "image: column 'Photo', 3 of 3 cells name pictures (1 link, 2 files)"


def test_of_two_columns_named_like_pictures_the_first_is_a_guess(tmp_path: Path) -> None:
    row = f"A-1,{LINK.format(1)},{LINK.format(2)}"
    assert recognised(tmp_path / "m.csv", "sku,Front photo,Back photo", row) == ("Front photo", False)


@pytest.mark.parametrize(("column", "certain"), [("Attachments", True), ("Attachment", True), ("Anhang", False)])
def test_airtables_attachments_are_pictures_whatever_their_column_is_called(
    tmp_path: Path, column: str, certain: bool
) -> None:
    assert recognised(tmp_path / "m.csv", f"Name,{column}", f"Mug,{AIRTABLE}") == (column, certain)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        (("fb_product_category",), "Meta"),
        (("quantity_to_sell_on_facebook",), "Meta"),
        (("identifier exists",), "Google Merchant"),
        (("mobile link", "brand"), "Google Merchant"),
        (("brand", "price"), "Google Merchant or Meta"),
    ],
)
def test_googles_and_metas_catalogues_are_told_apart_by_columns_of_their_own(more: tuple[str, ...], name: str) -> None:
    platform = find_platform(("id", "title", "image_link", *more))
    assert platform is not None
    assert platform.name == name


def test_a_variation_of_woocommerce_without_a_picture_is_a_variant(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    own = [f"1,variable,M,Mug,,{LINK.format(1)}", f"4,simple,C,Cap,,{LINK.format(3)}"]
    path.write_text(
        "\n".join(["ID,Type,SKU,Name,Parent,Images", *own, "2,variation,M-R,Mug - Red,M,", "5,simple,D,Hat,,"])
    )
    manifest = open_manifest(path)
    recipe = recognise(manifest, Recipe(model="m", schema=SCHEMA))
    reasons = [line.problems[0].reason for line in expand_all(manifest, recipe) if isinstance(line, InvalidLine)]
    assert reasons == ["is a variant without a picture of its own", "is a product without a picture"]


SIZED = {**SCHEMA, "properties": {**SCHEMA["properties"], "size": {"enum": ["3:2", "1:1", "2:3"]}}}
GERMAN = "sku,Titel,Bild,Format,Preis (€),Menge,Datenblatt,Idee,Anzeigentext"
GERMAN_ROWS = [
    f'A-{n},Tasse blau,{LINK.format(n)},quadratisch,"{n}2,50 €",{n},https://shop.example.com/{n}.pdf,Picknick,'
    "Eine Werbung für ein Picknick im Regen"
    for n in (1, 2)
]


def test_a_column_of_prices_was_offered_as_the_prompt_before_one_of_sentences(tmp_path: Path) -> None:
    hint = hint_for(tmp_path / "m.csv", GERMAN, *GERMAN_ROWS)
    assert hint.startswith('Say which one it is: --map prompt="Anzeigentext" or --map prompt="Idee"; or one for all:')


def test_a_sheet_without_any_text_was_offered_its_format_and_its_price_as_the_prompt(tmp_path: Path) -> None:
    rows = [row.rsplit(",", 3)[0] for row in GERMAN_ROWS]
    hint = hint_for(tmp_path / "m.csv", GERMAN.rsplit(",", 3)[0], *rows)
    assert hint == "Add a column prompt, or write --prompt 'make an ad for {Titel}'."


def hint_for(path: Path, head: str, *rows: str) -> str:
    path.write_text("\n".join([head, *rows]), encoding="utf-8")
    manifest = open_manifest(path)
    with pytest.raises(ManifestError) as refused:
        Expander(recognise(manifest, Recipe(model="m", schema=SCHEMA)), manifest.columns)
    return refused.value.hint


@pytest.mark.parametrize("more", [{}, {"sizes": ("1:1",)}, {"sets": {"size": "1:1"}}, {"mapping": {"size": "Format"}}])
def test_a_column_of_sizes_was_left_out_without_a_word(tmp_path: Path, more: dict[str, Any]) -> None:
    (tmp_path / "m.csv").write_text("\n".join([GERMAN, *GERMAN_ROWS]), encoding="utf-8")
    manifest = open_manifest(tmp_path / "m.csv")
    recipe = recognise(manifest, Recipe(model="m", schema=SIZED, prompt="an ad for {Titel}", **more))
    note = "column 'Format' is not used; if it says the size of the picture: --map size=Format"
    assert (note in Expander(recipe, manifest.columns).notes) is not bool(more)
