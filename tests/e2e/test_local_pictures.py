"""Pictures on this machine: sent as data URIs, made to fit, known by content, in no file that we keep."""

from __future__ import annotations

import base64
import io
import os
import random
import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from PIL import Image

from batchedit.core.events import Refused
from batchedit.core.limits import MAX_FILE_BYTES, MAX_REQUEST_BYTES, MAX_URI_BYTES
from batchedit.core.model import Kind, State
from batchedit.images.data_uri import LocalPictures
from batchedit.images.shrink import shrink
from batchedit.ports import Permit
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.client import Client
from batchedit.sandbox import SandboxConfig, serve
from batchedit.settings.model import Settings
from tests.support.cli import make_env, on, rows
from tests.support.cli import run_cli as batchedit
from tests.support.factories import make_job, make_record


def write_picture(path: Path, seed: int = 1, size: tuple[int, int] = (60, 40), **save: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = random.Random(seed).randbytes(size[0] * size[1] * 3)
    Image.frombytes("RGB", size, noise).save(path, **save)
    return path


LARGE = (1500, 1200)  # of noise: 5.4 MB as PNG


@pytest.fixture
def sandbox():
    with serve(SandboxConfig(latency="0.05", plain_files=2_000)) as running:
        yield running


class Notes:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def saw(self, record, event):
        """Nothing."""

    def note(self, name, message, **details):
        self.messages.append(message)


def make_local_row(path: Path) -> dict[str, str]:
    return {"$file": str(path), "$sha256": sha256(path.read_bytes()).hexdigest()}


def decode_uri(uri: str) -> tuple[str, bytes]:
    head, data = uri.split(",", 1)
    return head, base64.b64decode(data)


# --- end to end -----------------------------------------------------------------------------------


def test_a_folder_of_pictures_is_bought_and_never_kept(tmp_path: Path, sandbox) -> None:
    write_picture(tmp_path / "photos" / "a.png")
    write_picture(tmp_path / "photos" / "b.jpg", 2)
    (tmp_path / "m.csv").write_text('sku,image,prompt\n1,photos/a.png,x\n2,"photos/a.png\nphotos/b.jpg",y\n')
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert [row["result_status"] for row in rows(tmp_path / "outputs" / "m")] == ["done", "done"]
    kept_bytes = b"".join(p.read_bytes() for p in (tmp_path / "outputs" / "m").glob("*") if p.is_file())
    assert b";base64," not in kept_bytes
    assert base64.b64encode((tmp_path / "photos" / "a.png").read_bytes())[:60] not in kept_bytes


def test_equal_content_is_one_job_and_new_content_a_new_one(tmp_path: Path, sandbox) -> None:
    write_picture(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "copy.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,a.png,x\n2,copy.png,x\n")
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1
    write_picture(tmp_path / "copy.png", 9)
    stdout = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
    assert "1 done" in stdout
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 2


def test_too_large_a_picture_is_made_to_fit_with_a_note_or_refused(tmp_path: Path, sandbox) -> None:
    path = write_picture(tmp_path / "big.png", size=LARGE)
    assert path.stat().st_size > MAX_FILE_BYTES
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,big.png,x\n")
    refused = batchedit("plan", "m.csv", "--no-shrink", "--base-url", sandbox.url, cwd=tmp_path, code=65)
    assert "row 2 (1)  image  'big.png' is 5.4 MB" in refused.stdout
    assert "leave --no-shrink out" in refused.stdout
    assert "1 local picture is larger" in batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
    completed = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert "big.png: 5.4 MB re-encoded as JPEG" in completed.stderr
    assert sandbox.ledger()["accepted"] == 1


def test_what_is_missing_or_no_picture_is_a_row_error(tmp_path: Path, sandbox) -> None:
    (tmp_path / "text.png").write_text("hello")
    write_picture(tmp_path / "huge.bmp", size=(1300, 1300))
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,gone.png,x\n2,text.png,x\n3,huge.bmp,x\n4,.,x\n")
    stdout = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65).stdout
    assert "row 2 (1)  image  'gone.png' is neither an https:// link nor a file in" in stdout
    assert "row 3 (2)  image  'text.png' is a file, but no picture" in stdout
    assert "only JPEG, PNG and WebP can be re-encoded" in stdout
    assert "row 5 (4)  image  '.' is a folder" in stdout


def test_pictures_on_disk_that_are_none_are_refused_before_they_are_bought(tmp_path: Path, sandbox) -> None:
    """The first edition looked at the first bytes alone, and bought all of these."""
    whole = {
        ending: write_picture(tmp_path / f"whole.{ending}", size=(300, 300)) for ending in ("jpg", "png", "gif", "webp")
    }
    for ending, path in whole.items():
        path.with_name(f"cut.{ending}").write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    (tmp_path / "head.png").write_bytes(whole["png"].read_bytes()[:8])
    (tmp_path / "three.jpg").write_bytes(whole["jpg"].read_bytes()[:3])
    (tmp_path / "camera.NEF").write_bytes(b"II*\0" + bytes(2000))
    (tmp_path / "car.txt").write_text("BMW X5 is a car that is sold in many colours, and this is no picture of it.")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12) + b"\0\x10\0\0mdat" + bytes(900))
    bad = ["cut.jpg", "cut.png", "cut.gif", "cut.webp", "head.png", "three.jpg", "camera.NEF", "car.txt", "phone.heic"]
    names = [*bad, *(path.name for path in whole.values())]
    (tmp_path / "m.csv").write_text("sku,image,prompt\n" + "".join(f"{name},{name},x\n" for name in names))
    stdout = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=65).stdout
    for row, name in enumerate(bad, 2):
        (line,) = (line for line in stdout.splitlines() if line.startswith(f"  row {row} ({name}) "))
        assert f"  image  {name!r} is " in line
    assert "export it as JPEG" in stdout
    assert sandbox.ledger()["submits_seen"] == 0
    batchedit("run", "m.csv", *on(sandbox, "--skip-invalid"), cwd=tmp_path, code=None)
    assert sandbox.ledger()["accepted"] == len(whole)


def test_a_name_with_an_accent_is_found_however_it_is_composed(tmp_path: Path, sandbox) -> None:
    write_picture(tmp_path / "cafe\u0301.png")
    write_picture(tmp_path / "th\u00e9.png", 2)
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,caf\u00e9.png,x\n2,the\u0301.png,x\n", encoding="utf-8")
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 2


def test_image_root(tmp_path: Path, sandbox) -> None:
    write_picture(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,a.png,x\n")
    batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65)
    batchedit("run", "m.csv", *on(sandbox, "--image-root", "elsewhere"), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1


def test_image_root_may_be_given_again_and_the_sheets_folder_comes_first(tmp_path: Path, sandbox) -> None:
    """The first edition took the last one alone, and no picture beside the sheet."""
    for folder, seed in (("one", 1), ("two", 2)):
        write_picture(tmp_path / folder / f"{folder}.png", seed)
        write_picture(tmp_path / folder / "same.png", seed + 10)
    write_picture(tmp_path / "sheets" / "beside.png", 3)
    sheet = tmp_path / "sheets" / "m.csv"
    names = ["one.png", "two.png", "beside.png", "same.png"]
    sheet.write_text("sku,image,prompt\n" + "".join(f"{name},{name},x {name}\n" for name in names))
    batchedit("run", sheet, *on(sandbox, "--image-root", "one", "--image-root", "two"), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 4
    settings = (tmp_path / "outputs" / "m" / "settings.toml").read_text()
    assert 'image-root = ["one", "two"]' in settings
    inputs = read_inputs(tmp_path / "outputs" / "m")
    assert sha256((tmp_path / "one" / "same.png").read_bytes()).hexdigest() in inputs
    assert sha256((tmp_path / "two" / "same.png").read_bytes()).hexdigest() not in inputs


def read_inputs(run: Path) -> str:
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db:
        return " ".join(str(row) for row in db.execute("SELECT * FROM jobs"))


def escape(kind: str, sheet_folder: Path, private: Path, home: Path) -> str:
    """A cell that names ``private``, a file outside ``sheet_folder``."""
    match kind:
        case "absolute":
            return str(private)
        case "home":
            return f"~/{private.relative_to(home)}"
        case "file link":
            return private.as_uri()
        case "parent":
            return os.path.relpath(private, sheet_folder)
        case "linked file":
            (sheet_folder / "linked.png").symlink_to(private)
            return "linked.png"
        case "linked folder":
            (sheet_folder / "photos").symlink_to(private.parent)
            return f"photos/{private.name}"
        case _:
            return str(os.path.relpath(private, sheet_folder)).replace("/", "\\")


@pytest.mark.parametrize(
    "kind", ["absolute", "home", "file link", "parent", "linked file", "linked folder", "backslashes"]
)
def test_a_cell_of_a_received_sheet_uploaded_a_private_picture(tmp_path: Path, sandbox, kind: str) -> None:
    home = tmp_path / "home"
    private = write_picture(home / "my pictures" / "passport.png")
    folder = home / "downloads"
    folder.mkdir()
    (folder / "m.csv").write_text(f"sku,image,prompt\n1,{escape(kind, folder, private, home)},x\n")
    env = make_env(HOME=str(home))
    for command in ("plan", "run"):
        more = on(sandbox) if command == "run" else ["--base-url", sandbox.url]
        completed = batchedit(command, "m.csv", *more, cwd=folder, env=env, code=65)
        assert "lies outside the sheet's folder" in completed.stdout
        assert sandbox.ledger()["submits_seen"] == 0
    typed_options = shlex.split(completed.stdout[completed.stdout.index("--image-root ") :].splitlines()[0])[:2]
    assert typed_options == ["--image-root", str(private.parent)]
    batchedit("run", "m.csv", *on(sandbox, *typed_options), cwd=folder, env=env)
    assert sandbox.ledger()["accepted"] == 1


def test_paths_that_stay_below_the_sheets_folder_are_read_however_they_are_written(tmp_path: Path, sandbox) -> None:
    real = tmp_path / "real"
    for n, name in enumerate(("a.png", "b.png", "sub/c.png")):
        write_picture(real / name, n)
    (real / "also.png").symlink_to(real / "sub" / "c.png")
    (tmp_path / "link").symlink_to(real)
    names = ["sub/../a.png", str(real / "b.png"), (real / "b.png").as_uri(), "also.png"]
    (real / "m.csv").write_text("sku,image,prompt\n" + "".join(f"{n},{name},x {n}\n" for n, name in enumerate(names)))
    batchedit("run", tmp_path / "link" / "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 4


def test_a_run_that_was_made_with_one_image_root_as_text_goes_on() -> None:
    """As the first edition kept it."""
    assert Settings.load('{"image_root": "pics"}').image_root == ("pics",)
    assert Settings.load('{"image_root": null}').image_root == ()
    assert Settings.load(Settings(image_root=("a", "b")).dump()).image_root == ("a", "b")


def test_pictures_that_moved_are_the_same_and_are_found(tmp_path: Path, sandbox) -> None:
    """The job was planned with the old path; its content is what counts, and it is read at the new one."""
    write_picture(tmp_path / "old" / "a.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,old/a.png,x\n")
    stopped = ["--max-cost", "0.01", "--price", "0.04"]
    batchedit("run", "m.csv", *on(sandbox, *stopped), cwd=tmp_path, code=75)
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,new/a.png,x\n")
    batchedit("run", "m.csv", *on(sandbox, "--max-cost", "none"), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1


@pytest.mark.anyio
async def test_a_picture_changed_since_the_plan_is_named_and_nothing_is_bought(tmp_path: Path, sandbox) -> None:
    path = write_picture(tmp_path / "a.png")
    inputs = orjson.dumps({"image": [make_local_row(path)], "prompt": "p"}).decode()
    write_picture(path, 2)
    model = load_model("openai/gpt-4o-image/edit")
    send = LocalPictures(Notes())
    async with Client(
        sandbox.url, "test-token", model.id, model.schema, observer=Notes(), resolve_pictures=send
    ) as client:
        record = make_record(State.SUBMITTING, job=make_job(inputs=inputs))
        await client.prepare(record)
        event = await client.submit(record, Permit())
    assert isinstance(event, Refused)
    assert event.problem.kind is Kind.INPUT_FILE
    assert "a.png has changed since the manifest was read; run the same command again" in event.problem.message
    assert sandbox.ledger()["submits_seen"] == 0


# --- the parts ------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_bytes_go_out_as_they_are(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.jpg")
    inputs = {"image": [make_local_row(path), "https://x.example/1.png"], "prompt": "p"}
    sent = await LocalPictures(Notes())(inputs)
    head, data = decode_uri(sent["image"][0])
    assert (head, data) == ("data:image/jpeg;base64", path.read_bytes())
    assert sent["image"][1:] == ["https://x.example/1.png"]
    assert sent["prompt"] == "p"
    assert inputs["image"][0]["$file"] == str(path)


@pytest.mark.anyio
@pytest.mark.parametrize("change", ["edited", "gone"])
async def test_another_or_no_file_is_refused_by_name(tmp_path: Path, change: str) -> None:
    path = write_picture(tmp_path / "a.png")
    item = make_local_row(path)
    if change == "edited":
        write_picture(path, 2)
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"a\.png .*run the same command again"):
        await LocalPictures(Notes())({"image": [item]})


@pytest.mark.anyio
async def test_many_pictures_share_the_request(tmp_path: Path) -> None:
    """Twelve of 5.9 MiB each would be 71 MiB: all of them get less room."""
    path = write_picture(tmp_path / "a.png", size=(1200, 1220))
    assert MAX_FILE_BYTES - 600_000 < path.stat().st_size < MAX_FILE_BYTES
    notes = Notes()
    sent = await LocalPictures(notes)({"image": [make_local_row(path) | {"n": str(n)} for n in range(12)]})
    assert len(orjson.dumps(sent)) <= MAX_REQUEST_BYTES
    assert all(len(uri) <= MAX_URI_BYTES for uri in sent["image"])
    assert len(notes.messages) == 1
    with pytest.raises(ValueError, match="more than fits into one request"):
        await LocalPictures(notes, shrinks=False)({"image": [make_local_row(path)] * 12})


@pytest.mark.anyio
async def test_only_a_few_notes_are_told_one_by_one(tmp_path: Path) -> None:
    notes = Notes()
    send = LocalPictures(notes)
    send._reported = 5
    await send({"image": [make_local_row(write_picture(tmp_path / "a.png", size=LARGE))]})
    assert "run.jsonl names them all" in notes.messages[0]


def encode_image(image: Image.Image, kind: str, **save: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **save)
    return out.getvalue()


NOISE = Image.frombytes("RGB", (400, 300), random.Random(3).randbytes(360_000))


@pytest.mark.parametrize("most", [100_000, 30_000, 8_000])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_shrink_fits_and_keeps_the_proportions(kind: str, most: int) -> None:
    data, media = shrink(encode_image(NOISE, kind, quality=100), most)
    assert len(data) <= most
    assert media == "image/jpeg"
    with Image.open(io.BytesIO(data)) as image:
        assert image.width / image.height == pytest.approx(4 / 3, rel=0.02)


def test_shrink_writes_the_orientation_into_the_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data, _ = shrink(encode_image(NOISE, "JPEG", quality=100, exif=exif), 60_000)
    with Image.open(io.BytesIO(data)) as image:
        assert image.height > image.width
        assert image.getexif().get(0x0112, 1) == 1


def test_shrink_keeps_what_is_transparent() -> None:
    clear = NOISE.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(NOISE.size))
    data, media = shrink(encode_image(clear, "PNG"), 60_000)
    assert media == "image/webp"
    with Image.open(io.BytesIO(data)) as image:
        assert image.convert("RGBA").getchannel("A").getextrema()[0] < 20


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "I;16", "CMYK"])
def test_shrink_takes_every_mode(mode: str) -> None:
    image = Image.effect_noise((300, 300), 90)
    image = image.convert("I").point(lambda v: v * 256).convert("I;16") if mode == "I;16" else image.convert(mode)
    data, _ = shrink(encode_image(image, "TIFF"), 20_000)
    assert len(data) <= 20_000


def test_shrink_of_what_is_broken_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="can't be decoded"):
        shrink(encode_image(NOISE, "JPEG")[:3000], 1000)
    with pytest.raises(ValueError, match="does not fit"):
        shrink(encode_image(NOISE, "PNG"), 300)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_row_error(tmp_path: Path, sandbox) -> None:
    write_picture(tmp_path / "a.png").chmod(0)
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,a.png,x\n")
    stdout = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65).stdout
    assert "Permission denied" in stdout


def test_a_sheet_that_names_files_of_a_folder_beside_it_says_which_option_reads_that_folder(tmp_path: Path) -> None:
    """It offered a web server's address alone, though each picture lay in ``Fotos``, one folder down."""
    write_picture(tmp_path / "Meine Fotos" / "Stühle" / "bild1.jpg")
    write_picture(tmp_path / "other" / "bild2.jpg", seed=2)
    names = ["bild1.jpg", "bild9.jpg", *[f"/bild{number}.jpg" for number in (1, 1)]]
    lines = [f"A-{number},{name},an ad for chair {number}" for number, name in enumerate(names)]
    (tmp_path / "stühle.csv").write_text("\n".join(["sku,image,prompt", *lines, ""]))
    stdout = batchedit("plan", "stühle.csv", "--sandbox", cwd=tmp_path, code=65).stdout
    [option] = re.findall(r"a folder beside the sheet has 2 of the first 3: (--image-root .*)", stdout)
    again = batchedit("plan", "stühle.csv", "--sandbox", *shlex.split(option), cwd=tmp_path, code=65).stdout
    assert "invalid         1 row" in again
    assert "row 3 (A-1)" in again
    assert "a folder beside" not in again


def test_pictures_that_lie_in_no_folder_beside_the_sheet_have_the_option_for_another_folder_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "m.csv").write_text("sku,image,prompt\nA,bild1.jpg,an ad for a chair\n")
    stdout = batchedit("plan", "m.csv", "--sandbox", cwd=tmp_path, code=65).stdout
    assert (
        "say which: --map image='https://www.example.com{image}'; if it lies in another folder: --image-root DIR"
        in stdout
    )
