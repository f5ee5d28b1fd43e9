"""Links as people have them in sheets: what is split, mended, refused, or named as a page, from their text alone."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchedit.jobs.image_cells import CellError, Pictures
from batchedit.jobs.links import describe_page, split_links, to_direct_link
from tests.support.share import examples

A, B, C = (f"https://shop.example.com/p/{n}.jpg" for n in (1, 2, 3))


def read(cell: object) -> list[object]:
    return Pictures(()).read(cell)


@pytest.mark.parametrize(
    "cell",
    [
        f"{A},{B}",
        f"{A}, {B}",
        f"{A};{B}",
        f"{A} ; {B}",
        f"{A}|{B}",
        f"{A} | {B}",
        f"{A}\n{B}",
        f"{A} {B}",
        f"{A},\n{B}",
        f"{A}%20{B}",
        f"{A},%20{B}",
        f"{A}%0A{B}",
        f"{A}%2C{B}",
        f"{A}%3B%20{B}",
        f"{A}<br>{B}",
        f"{A}<br />\n{B}",
        f"{A}\\n{B}",
        f"{A}, {B},",
        f'["{A}", "{B}"]',
    ],
)
def test_two_links_in_one_cell_are_two_pictures(cell: str) -> None:
    """The first edition bought each of these as one broken link, or gave an advice that led to that."""
    assert read(cell) == [A, B]


def test_three_links_with_mixed_separators_are_three() -> None:
    assert read(f"{A},{B};{C}") == [A, B, C]


@pytest.mark.parametrize("cell", [f"{A} und {B}", f"{A} (front), {B} (back)", f"{A}{B}", f"{A} – {B}"])
def test_two_links_that_nothing_known_sets_apart_are_refused_with_how_to_write_them(cell: str) -> None:
    """The advice to write %20 for the space made one broken link of them; with nothing between they were bought as one."""
    with pytest.raises(CellError, match=r"names several links.* comma .* line break"):
        read(cell)


X, Y = (f"https://v5.airtableusercontent.com/v3/u/1/{name}.jpg" for name in "xy")


@pytest.mark.parametrize(
    ("cell", "links"),
    [
        (f"mug.jpg ({X})", [X]),
        (f"mug.jpg ({X}),cup (2).jpg ({Y})", [X, Y]),
        (f"mug.jpg ({X}), cup.jpg ({Y})", [X, Y]),
        (f"![]({A})", [A]),
        (f"[photo]({A})", [A]),
        (f'![mug]({A} "a mug")', [A]),
        (f"<{A}>", [A]),
        (f'=IMAGE("{A}")', [A]),
        (f'=HYPERLINK("{A}","view")', [A]),
        (f'=hyperlink("{A}"; "view")', [A]),
    ],
)
def test_a_link_in_another_programs_wrapping_is_taken_out(cell: str, links: list[str]) -> None:
    assert read(cell) == links


@pytest.mark.parametrize(
    "link",
    [
        "https://cdn.example.com/image/fetch/https://shop.example.com/1.jpg",
        "https://cdn.example.com/fetch?url=https://shop.example.com/1.jpg",
        "https://shop.example.com/a,b;c.jpg",
        "https://shop.example.com/w_200,h_300/1.jpg",
    ],
)
def test_a_link_with_commas_or_a_link_inside_stays_one(link: str) -> None:
    assert split_links(link) is None
    assert read(link) == [link]


def test_a_list_of_links_that_carry_links_says_how_to_write_it() -> None:
    one, two = (f"https://cdn.example.com/fetch?url=https://shop.example.com/{n}.jpg" for n in (1, 2))
    with pytest.raises(CellError, match="each on a line of its own"):
        read(f"{one},{two}")
    assert read(f"{one}\n{two}") == [one, two]
    assert read(f'["{one}", "{two}"]') == [one, two]


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("https://https://shop.example.com/1.jpg", "begins with https:// twice"),
        ("https:///https://shop.example.com/1.jpg", "no complete link"),
        ("https://http://shop.example.com/1.jpg", "begins with https:// twice"),
        ("https://localhost/1.jpg", "this machine or a private network"),
        ("https://localhost:8080/1.jpg", "this machine or a private network"),
        ("https://nas.local/1.jpg", "this machine or a private network"),
        ("https://127.0.0.1/1.jpg", "this machine or a private network"),
        ("https://10.1.2.3/1.jpg", "this machine or a private network"),
        ("https://192.168.0.7/1.jpg", "this machine or a private network"),
        ("https://172.16.9.9/1.jpg", "this machine or a private network"),
        ("https://169.254.169.254/latest/meta-data", "this machine or a private network"),
        ("https://100.64.0.1/1.jpg", "this machine or a private network"),
        ("https://[::1]/1.jpg", "this machine or a private network"),
        ("https://[fd00::1]/1.jpg", "this machine or a private network"),
        ("https://fileserver/1.jpg", "has no dot"),
        ("https://300.1.1.1/1.jpg", "no address"),
        ("https://2130706433/1.jpg", "has no dot"),
        ("https://0x7f.1/1.jpg", "no address"),
        ("https://shop..example.com/1.jpg", "no name of a host"),
        ("https://.example.com/1.jpg", "no name of a host"),
        ("https://shop.example.com:99999/1.jpg", "a port that can't be"),
        ("https://shop.example.com:80a/1.jpg", "a port that can't be"),
        ("https://shop.example.com:0/1.jpg", "the port 0"),
        ("https://shop.example.com\\1.jpg", "a backslash"),
        ("https://shop.example.com/1.jpg\u200b", "U+200B ZERO WIDTH SPACE"),
        ("https://shop.example.com/\u202e1.jpg", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("https://shop.example.com/1.jpg\ufeff", "U+FEFF"),
        ("\u200bhttps://shop.example.com/1.jpg", "U+200B ZERO WIDTH SPACE"),
        ("https//shop.example.com/1.jpg", "has no colon behind https; write https://shop.example.com/1.jpg"),
        ("HTTP//shop.example.com/1.jpg", "has no colon behind http; write https://shop.example.com/1.jpg"),
        ("https:/shop.example.com/1.jpg", "is no complete link"),
    ],
)
def test_a_link_that_nobody_can_fetch_is_refused(link: str, reason: str) -> None:
    with pytest.raises(CellError) as refused:
        read(link)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "link",
    [
        "https://8.8.8.8/1.jpg",
        "https://shop.example.com:8443/1.jpg",
        "https://möbel.example.com/stühle.jpg",
        "https://shop.example.com./1.jpg",
        "https://my_bucket.s3.example.com/1.jpg",
        "https://user:word@shop.example.com/1.jpg",
    ],
)
def test_an_unusual_link_that_works_goes_out_as_it_is(link: str) -> None:
    assert read(link) == [link]


@pytest.mark.parametrize(
    ("share", "file", "store"),
    [
        (
            "https://www.dropbox.com/scl/fi/abc/mug.png?rlkey=k1&dl=0",
            "https://www.dropbox.com/scl/fi/abc/mug.png?rlkey=k1&raw=1",
            "Dropbox",
        ),
        ("https://www.dropbox.com/s/abc/mug.png?dl=0", "https://www.dropbox.com/s/abc/mug.png?raw=1", "Dropbox"),
        ("https://www.dropbox.com/s/abc/mug.png", "https://www.dropbox.com/s/abc/mug.png?raw=1", "Dropbox"),
        (
            "https://drive.google.com/file/d/1AbC-_9/view?usp=sharing",
            "https://drive.google.com/uc?export=download&id=1AbC-_9",
            "Google Drive",
        ),
        (
            "https://drive.google.com/file/d/1AbC/view?resourcekey=0-x",
            "https://drive.google.com/uc?export=download&id=1AbC&resourcekey=0-x",
            "Google Drive",
        ),
        (
            "https://drive.google.com/open?id=1AbC",
            "https://drive.google.com/uc?export=download&id=1AbC",
            "Google Drive",
        ),
        (
            "https://1drv.ms/i/s!AkI",
            "https://api.onedrive.com/v1.0/shares/u!aHR0cHM6Ly8xZHJ2Lm1zL2kvcyFBa0k/root/content",
            "OneDrive",
        ),
        (
            "https://team.sharepoint.com/:i:/s/shop/Ea1?e=Xy",
            "https://team.sharepoint.com/:i:/s/shop/Ea1?e=Xy&download=1",
            "SharePoint",
        ),
        ("https://app.box.com/s/a1b2c3", "https://app.box.com/shared/static/a1b2c3", "Box"),
        (
            "https://github.com/shop/art/blob/main/a/mug.png",
            "https://github.com/shop/art/raw/main/a/mug.png",
            "GitHub",
        ),
    ],
)
def test_a_share_link_becomes_the_files_own_address(share: str, file: str, store: str) -> None:
    assert to_direct_link(share) == (file, store)
    assert to_direct_link(file) == (file, ""), "mending twice changes nothing"
    pictures = Pictures(())
    assert pictures.read(share) == [file]
    assert pictures.mended_links == {store: 1}
    assert not pictures.probable_pages


@pytest.mark.parametrize(
    ("link", "what"),
    [
        ("https://docs.google.com/document/d/1/edit", "a Google document"),
        ("https://drive.google.com/drive/folders/1AbC", "a Google Drive folder"),
        ("https://www.dropbox.com/scl/fo/abc/xyz?rlkey=k", "a Dropbox folder"),
        ("https://photos.app.goo.gl/abc", "Google Photos"),
        ("https://unsplash.com/photos/abc", "a page of Unsplash"),
        ("https://www.shutterstock.com/image-photo/mug-1", "a page of Shutterstock"),
        ("https://www.etsy.com/listing/123/mug", "a product page of Etsy"),
        ("https://shop.example.com/logo.svg", "a .svg file"),
        (
            "https://me:secret@shop.example.com/a.png",
            "an address with a name and a password",
        ),
        ("https://shop.example.com/clip.MP4?v=2", "a .mp4 file"),
    ],
)
def test_a_link_that_is_known_to_be_a_page_is_named(link: str, what: str) -> None:
    pictures = Pictures(())
    pictures.row, pictures.id = 7, "00413"
    assert pictures.read(link) == [link]
    assert {page: (summary.links, summary.rows.first) for page, summary in pictures.probable_pages.items()} == {
        what: (1, [(7, "00413")])
    }


@pytest.mark.parametrize(
    "link",
    [
        "https://images.unsplash.com/photo-1?w=800",
        "https://i.imgur.com/abc.png",
        "https://m.media-amazon.com/images/I/a.jpg",
        "https://i.etsystatic.com/1/il_fullxfull.jpg",
        "https://dl.dropboxusercontent.com/s/abc/mug.png",
        "https://lh3.googleusercontent.com/abc",
        "https://live.staticflickr.com/1/2.jpg",
    ],
)
def test_a_stores_own_picture_host_is_no_page(link: str) -> None:
    assert describe_page(link) == ""
    assert to_direct_link(link) == (link, "")


_LINK_PIECES = st.sampled_from(
    [
        *(
            "a",
            "front-large",
            "/",
            "//",
            ".jpg",
            ".PNG",
            ".webp",
            ".pdf",
            ".svg",
            "?",
            "?v=1",
            "&f=x.svg",
            "#top",
            "%20",
            "@",
        ),
        *(",", ";", "|", " ", "\\", "https://", "https:/", ":", "\u200b", "é", "[", "(", ")", "\n"),
    ]
)


@settings(max_examples=examples(300))
@given(
    st.sampled_from(["cdn.example.com", "www.dropbox.com", "localhost", "imgur.com"]),
    st.lists(_LINK_PIECES, max_size=6),
)
@example("cdn.example.com", ["/", "a", ".jpg", "?v=1", "&f=x.svg"])
@example("cdn.example.com", ["/", "a", ".jpg", ",", "https://", "localhost", "/", "a", ".jpg"])
@example("cdn.example.com", ["/", "a", ".pdf"])
@example("cdn.example.com", ["/", "a", "\\", "a", ".jpg"])
def test_a_link_reads_the_same_whether_its_host_was_met_before_or_not(host: str, pieces: list[str]) -> None:
    """The usual link of a known host is taken at one look, since a million of them are read; no other may slip through."""
    link = f"https://{host}{''.join(pieces)}"

    def describe(pictures: Pictures) -> object:
        try:
            result = pictures.read(link)
        except CellError as error:
            return str(error)
        return (
            result,
            dict(pictures.mended_links),
            {page: result.links for page, result in pictures.probable_pages.items()},
        )

    def met() -> Pictures:
        pictures = Pictures(())
        with suppress(CellError):
            pictures.read(f"https://{host}/front.jpg")
        pictures.mended_links.clear()
        pictures.probable_pages.clear()
        return pictures

    assert describe(met()) == describe(Pictures(()))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7:8123", "LOCALHOST:80", "[::1]:8123"])
def test_a_sandbox_gives_plain_links_to_this_machine(host: str) -> None:
    link = f"http://{host}/p/1.png"
    assert Pictures((), loopback=True).read(link) == [link]
    with pytest.raises(CellError):
        read(link)


@pytest.mark.parametrize("host", ["127.0.0.1.example.com", "10.0.0.1", "[::2]", "user@localhost"])
def test_no_other_host_is_taken_for_this_machine(host: str) -> None:
    with pytest.raises(CellError):
        Pictures((), loopback=True).read(f"http://{host}/p/1.png")
