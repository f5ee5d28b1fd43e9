"""Delivery: what is approved, proven, all at once or not at all; its papers; what --force may replace."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from batchedit.commands.deliver import deliver, list_prints
from batchedit.commands.gallery import gallery
from batchedit.commands.local_session import open_locally
from batchedit.commands.redo import list_redo_lines
from batchedit.core.errors import ManifestError, OutputError, UsageError
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.repurchases import add_repurchases
from batchedit.review.contact import Print, write_contact_sheet
from batchedit.review.deliver import DeliveryFile, Picture
from batchedit.review.deliver import deliver as hand_on
from batchedit.review.package import open_package
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, picture

Say = Callable[[int, Verdict, str], None]


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    """Rows A to D done, A and C approved, B rejected; the manifest has a comma and a formula in its cells."""
    room = Showroom(RunFolder(tmp_path / "run"))
    for sku in ("A", "B", "C", "D"):
        room.row(sku, title=f"The, {sku}", market="=1+1")
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (300, 300)))
    marks = FolderDecisions(checkpoint)
    for job, verdict, note in ((1, "approve", "=nice"), (2, "reject", "dark"), (3, "approve", "")):
        marks.put(PictureDecision(job, Verdict(verdict), note, 0, "Dana", 1_790_000_000.0))
    checkpoint.close()
    return room


def where(room: Showroom) -> str:
    return str(room.folder.path)


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


PAPERS = {"manifest.csv", "manifest.jsonl", "approvals.csv", "contact-sheet.pdf", "SHA256SUMS"}


def test_the_approved_and_only_they(room: Showroom, tmp_path: Path) -> None:
    done = deliver(where(room), {}, tmp_path / "out")
    assert tree(done.to) == PAPERS | {"files/A-1x1-1.png", "files/C-1x1-1.png"}
    assert (done.pictures, done.progress.reviewed, done.progress.pictures) == (2, 3, 4)
    with (done.to / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["sku"], row["title"], row["market"], row["result_row"]) for row in rows] == [
        ("A", "The, A", "=1+1", "2"),
        ("C", "The, C", "=1+1", "4"),
    ]
    assert all((done.to / row["result_file"]).is_file() for row in rows)
    lines = [json.loads(line) for line in (done.to / "manifest.jsonl").read_text().splitlines()]
    assert [line["sku"] for line in lines] == ["A", "C"]


def test_a_delivered_row_did_not_say_that_it_is_approved(room: Showroom, tmp_path: Path) -> None:
    """The column of decisions was empty in the one sheet whose rows are all approved. Notes are not for the client."""
    to = deliver(where(room), {}, tmp_path / "out").to
    with (to / "manifest.csv").open(newline="") as file:
        assert [(row["result_decision"], row["result_note"]) for row in csv.DictReader(file)] == [("approve", "")] * 2
    lines = map(json.loads, (to / "manifest.jsonl").read_text().splitlines())
    assert [line["result_decision"] for line in lines] == ["approve"] * 2


def test_checksums_prove_every_file(room: Showroom, tmp_path: Path) -> None:
    to = deliver(where(room), {}, tmp_path / "out").to
    sums = dict(reversed(line.split("  ", 1)) for line in (to / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == tree(to) - {"SHA256SUMS"}
    assert all(hashlib.sha256((to / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())


def test_the_log_says_who_when_and_what(room: Showroom, tmp_path: Path) -> None:
    to = deliver(where(room), {}, tmp_path / "out").to
    with (to / "approvals.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["who"], first["decision"], first["note"], first["file"]) == (
        "Dana", "approve", "'=nice", "files/A-1x1-1.png",
    )  # fmt: skip
    assert first["when"] == "2026-09-21T14:13:20Z"
    assert second["row"] == "4"


def test_a_zip_holds_the_same(room: Showroom, tmp_path: Path) -> None:
    to = deliver(where(room), {}, tmp_path / "out.zip").to
    with zipfile.ZipFile(to) as archive:
        inside = PAPERS | {"files/A-1x1-1.png", "files/C-1x1-1.png"}
        assert set(archive.namelist()) == {f"out/{name}" for name in inside}
        assert archive.testzip() is None
        assert archive.read("out/files/A-1x1-1.png") == (room.folder.path / "files/A-1x1-1.png").read_bytes()


def test_a_client_gets_no_prices_and_no_signed_links(room: Showroom, tmp_path: Path) -> None:
    signed = "?X-Amz-Credential=me&X-Amz-Signature=abcdef&width=8"
    source = next(room.folder.path.glob("manifest.*"))
    source.write_text(source.read_text().replace("The, A", f"https://shop.example.com/a.jpg{signed}"))
    manifest_text = (deliver(where(room), {}, tmp_path / "out").to / "manifest.csv").read_text()
    own = (deliver(where(room), {}, tmp_path / "own", with_costs=True).to / "manifest.csv").read_text()
    assert "X-Amz" in own
    assert "X-Amz" not in manifest_text
    assert "https://shop.example.com/a.jpg?width=8" in manifest_text
    rows = list(csv.DictReader(manifest_text.splitlines()))
    assert all(row["result_cost_usd"] == "" and row["result_url"] == "" for row in rows)
    assert any(row["result_cost_usd"] for row in csv.DictReader(own.splitlines()))


def test_the_approved_version_is_delivered_even_if_a_newer_one_is_not(room: Showroom, tmp_path: Path) -> None:
    checkpoint = room.reopen()
    (new_id,) = add_repurchases(checkpoint, list_redo_lines(checkpoint))
    (record,) = checkpoint.records("id = ?", (new_id,))
    room.done(checkpoint, record, picture(50, (300, 300)))
    marks = FolderDecisions(checkpoint)
    marks.put(PictureDecision(2, Verdict.APPROVE, "after all", 1, "Dana", 1_790_000_100.0))
    checkpoint.close()
    assert "files/B-1x1-1.png" in tree(deliver(where(room), {}, tmp_path / "one").to)
    checkpoint = room.reopen()
    FolderDecisions(checkpoint).put(PictureDecision(new_id, Verdict.APPROVE, "", 0, "Dana", 1_790_000_200.0))
    checkpoint.close()
    second = deliver(where(room), {}, tmp_path / "two").to
    assert "files/B-1x1-1-v2.png" in tree(second)
    assert "files/B-1x1-1.png" not in tree(second)


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_nothing_is_overwritten_without_force(room: Showroom, tmp_path: Path, name: str) -> None:
    to = tmp_path / name
    deliver(where(room), {}, to)
    before = (to / "SHA256SUMS").read_bytes() if to.is_dir() else to.read_bytes()
    with pytest.raises(UsageError, match="there already"):
        deliver(where(room), {}, to)
    assert ((to / "SHA256SUMS").read_bytes() if to.is_dir() else to.read_bytes()) == before
    deliver(where(room), {}, to, force=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_force_replaces_no_folder_that_is_not_a_delivery(room: Showroom, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_text("dear")
    with pytest.raises(UsageError, match="no earlier delivery"):
        deliver(where(room), {}, tmp_path / "holiday", force=True)
    assert (tmp_path / "holiday" / "photo.jpg").read_text() == "dear"


@pytest.mark.parametrize("name", ["out", "out.zip"])
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_picture_that_is_not_what_was_bought_stops_all(room: Showroom, tmp_path: Path, name: str, harm: str) -> None:
    victim = room.folder.path / "files" / "C-1x1-1.png"
    victim.unlink() if harm == "missing" else victim.write_bytes(b"something else")
    with pytest.raises(ManifestError, match=r"C-1x1-1\.png"):
        deliver(where(room), {}, tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def break_off() -> None:
        with open_package(tmp_path / "out", force=False) as into:
            with into.create("a") as file:
                file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        break_off()
    assert list(tmp_path.iterdir()) == []


def test_papers_are_made_after_the_pictures_are_sound(tmp_path: Path) -> None:
    def papers() -> list[DeliveryFile]:
        raise AssertionError("too early")

    gone = Picture(tmp_path / "gone.png", "files/gone.png", "aa", tmp_path)
    with pytest.raises(ManifestError):
        hand_on([gone], (piece for make in [papers] for piece in make()), tmp_path / "out")


def test_nothing_approved_is_said_with_what_to_do(tmp_path: Path) -> None:
    room = Showroom(RunFolder(tmp_path / "run"))
    room.row("A")
    room.open().close()
    with pytest.raises(UsageError, match="none of the 0 pictures is approved") as caught:
        deliver(where(room), {}, tmp_path / "out")
    assert "batchedit review" in caught.value.hint


def test_a_run_that_is_going_on_is_looked_at_but_not_written(room: Showroom) -> None:
    from batchedit.ledger.lock import hold_run_lock

    with hold_run_lock(room.folder.path, "run"):
        made = gallery(where(room), {})
        assert (made.pictures, made.kept) == (4, False)
        assert deliver(where(room), {}, room.folder.path / "out").pictures == 2
    assert gallery(where(room), {}).kept


def test_the_contact_sheet_has_twelve_pictures_a_page(tmp_path: Path) -> None:
    thumb = tmp_path / "a.webp"
    picture(1).save(thumb)
    prints = [Print(thumb if n % 2 else None, f"Größe {n} — «name» " * 5, f"row {n}") for n in range(12 * 13 + 1)]
    assert write_contact_sheet(prints, tmp_path / "sheet.pdf", "Spring: 157 approved") == 14
    content = (tmp_path / "sheet.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") >= 14


def test_the_contact_sheet_names_the_rows_of_the_sheet(room: Showroom, tmp_path: Path) -> None:
    """The header is row 1 of this sheet, or row 3 where two lines stand above it."""
    with open_locally(where(room), {}, "deliver") as run:
        chosen = [(card, card.versions[0]) for card in run.checkpoint.read_gallery_rows()]
        form = run.open_manifest().form
        captions = [
            [printed.about for printed in list_prints(chosen, tmp_path, f)] for f in (form, replace(form, header_row=3))
        ]
    assert [about.split(" · ")[0] for about in captions[0]] == [f"row {n} ({sku})" for n, sku in enumerate("ABCD", 2)]
    assert captions[1][0].startswith("row 4 (A)")


def test_without_a_font_names_are_spelled_in_english_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    from batchedit.review import contact

    monkeypatch.setattr(contact, "find_system_font", lambda: "")
    assert contact.to_drawable("Größe · é 靴") == "Grosse - e ?"


def test_pages_are_white_paper() -> None:
    from batchedit.review.contact import draw_pages

    ((page,),) = draw_pages([Print(None, "a", "b")], "title", 1)
    assert isinstance(page, Image.Image)
    assert page.size == (1240, 1754)
    assert page.getpixel((5, 5)) == (255, 255, 255)
