"""Pictures on this machine: sent as data URIs, made to fit, known by content, in no file that we keep."""

from __future__ import annotations

import base64
import io
import os
import random
import shutil
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from PIL import Image

from batchedit.core.lifecycle import Refused
from batchedit.core.limits import FILE_MOST, REQUEST_MOST, URI_MOST
from batchedit.core.model import Kind, State
from batchedit.images.data_uri import LocalPictures
from batchedit.images.shrink import shrink
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.client import Client
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import inside as batchedit
from tests.support.cli import on, rows
from tests.support.factories import make_job, make_record


def picture(path: Path, seed: int = 1, size: tuple[int, int] = (60, 40), **save: object) -> Path:
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
        self.told: list[str] = []

    def saw(self, record, event):
        """Nothing."""

    def note(self, name, message, **details):
        self.told.append(message)


def local(path: Path) -> dict[str, str]:
    return {"$file": str(path), "$sha256": sha256(path.read_bytes()).hexdigest()}


def decoded(uri: str) -> tuple[str, bytes]:
    head, data = uri.split(",", 1)
    return head, base64.b64decode(data)


# --- end to end -----------------------------------------------------------------------------------


def test_a_folder_of_pictures_is_bought_and_never_kept(tmp_path: Path, sandbox) -> None:
    picture(tmp_path / "photos" / "a.png")
    picture(tmp_path / "photos" / "b.jpg", 2)
    (tmp_path / "m.csv").write_text('sku,image,prompt\n1,photos/a.png,x\n2,"photos/a.png\nphotos/b.jpg",y\n')
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert [row["result_status"] for row in rows(tmp_path / "outputs" / "m")] == ["done", "done"]
    kept = b"".join(p.read_bytes() for p in (tmp_path / "outputs" / "m").glob("*") if p.is_file())
    assert b";base64," not in kept
    assert base64.b64encode((tmp_path / "photos" / "a.png").read_bytes())[:60] not in kept


def test_equal_content_is_one_job_and_new_content_a_new_one(tmp_path: Path, sandbox) -> None:
    picture(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "copy.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,a.png,x\n2,copy.png,x\n")
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1
    picture(tmp_path / "copy.png", 9)
    told = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
    assert "1 done" in told
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 2


def test_too_large_a_picture_is_made_to_fit_with_a_note_or_refused(tmp_path: Path, sandbox) -> None:
    path = picture(tmp_path / "big.png", size=LARGE)
    assert path.stat().st_size > FILE_MOST
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,big.png,x\n")
    refused = batchedit("plan", "m.csv", "--no-shrink", "--base-url", sandbox.url, cwd=tmp_path, code=65)
    assert "row 1  image  'big.png' is 5.4 MB" in refused.stdout
    assert "leave --no-shrink out" in refused.stdout
    assert "1 local picture is larger" in batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path).stdout
    done = batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert "big.png: 5.4 MB re-encoded as JPEG" in done.stderr
    assert sandbox.ledger()["accepted"] == 1


def test_what_is_missing_or_no_picture_is_a_row_error(tmp_path: Path, sandbox) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "huge.gif").write_bytes(b"GIF89a" + bytes(FILE_MOST))
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,gone.png,x\n2,text.png,x\n3,huge.gif,x\n4,.,x\n")
    told = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65).stdout
    assert "row 1  image  'gone.png' is neither an https:// link nor a file in" in told
    assert "row 2  image  'text.png' is a file, but no picture" in told
    assert "only JPEG, PNG and WebP can be re-encoded" in told
    assert "row 4  image  '.' is a folder" in told


def test_image_root(tmp_path: Path, sandbox) -> None:
    picture(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,a.png,x\n")
    batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65)
    batchedit("run", "m.csv", *on(sandbox, "--image-root", "elsewhere"), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1


def test_pictures_that_moved_are_the_same_and_are_found(tmp_path: Path, sandbox) -> None:
    """The job was planned with the old path; its content is what counts, and it is read at the new one."""
    picture(tmp_path / "old" / "a.png")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,old/a.png,x\n")
    stopped = ["--max-cost", "0.01", "--price", "0.04"]
    batchedit("run", "m.csv", *on(sandbox, *stopped), cwd=tmp_path, code=75)
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,new/a.png,x\n")
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    assert sandbox.ledger()["accepted"] == 1


@pytest.mark.anyio
async def test_a_picture_changed_since_the_plan_is_named_and_nothing_is_bought(tmp_path: Path, sandbox) -> None:
    path = picture(tmp_path / "a.png")
    inputs = orjson.dumps({"image": [local(path)], "prompt": "p"}).decode()
    picture(path, 2)
    model = load_model("openai/gpt-4o-image/edit")
    send = LocalPictures(Notes())
    async with Client(
        sandbox.url, "test-token", model.id, model.schema, observer=Notes(), resolve_pictures=send
    ) as client:
        record = make_record(State.SUBMITTING, job=make_job(inputs=inputs))
        await client.prepare(record)
        event = await client.submit(record)
    assert isinstance(event, Refused)
    assert event.problem.kind is Kind.INPUT_FILE
    assert "a.png has changed since the manifest was read; run the same command again" in event.problem.message
    assert sandbox.ledger()["submits_seen"] == 0


# --- the parts ------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_bytes_go_out_as_they_are(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    inputs = {"image": [local(path), "https://x.example/1.png"], "prompt": "p"}
    sent = await LocalPictures(Notes())(inputs)
    head, data = decoded(sent["image"][0])
    assert (head, data) == ("data:image/jpeg;base64", path.read_bytes())
    assert sent["image"][1:] == ["https://x.example/1.png"]
    assert sent["prompt"] == "p"
    assert inputs["image"][0]["$file"] == str(path)


@pytest.mark.anyio
@pytest.mark.parametrize("change", ["edited", "gone"])
async def test_another_or_no_file_is_refused_by_name(tmp_path: Path, change: str) -> None:
    path = picture(tmp_path / "a.png")
    item = local(path)
    if change == "edited":
        picture(path, 2)
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"a\.png .*run the same command again"):
        await LocalPictures(Notes())({"image": [item]})


@pytest.mark.anyio
async def test_many_pictures_share_the_request(tmp_path: Path) -> None:
    """Twelve of 5.9 MiB each would be 71 MiB: all of them get less room."""
    path = picture(tmp_path / "a.png", size=(1200, 1220))
    assert FILE_MOST - 600_000 < path.stat().st_size < FILE_MOST
    notes = Notes()
    sent = await LocalPictures(notes)({"image": [local(path) | {"n": str(n)} for n in range(12)]})
    assert len(orjson.dumps(sent)) <= REQUEST_MOST
    assert all(len(uri) <= URI_MOST for uri in sent["image"])
    assert len(notes.told) == 1
    with pytest.raises(ValueError, match="more than fits into one request"):
        await LocalPictures(notes, shrinks=False)({"image": [local(path)] * 12})


@pytest.mark.anyio
async def test_only_a_few_notes_are_told_one_by_one(tmp_path: Path) -> None:
    notes = Notes()
    send = LocalPictures(notes)
    send._told = 5
    await send({"image": [local(picture(tmp_path / "a.png", size=LARGE))]})
    assert "run.jsonl names them all" in notes.told[0]


def encoded(image: Image.Image, kind: str, **save: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **save)
    return out.getvalue()


NOISE = Image.frombytes("RGB", (400, 300), random.Random(3).randbytes(360_000))


@pytest.mark.parametrize("most", [100_000, 30_000, 8_000])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_shrink_fits_and_keeps_the_proportions(kind: str, most: int) -> None:
    data, media = shrink(encoded(NOISE, kind, quality=100), most)
    assert len(data) <= most
    assert media == "image/jpeg"
    with Image.open(io.BytesIO(data)) as made:
        assert made.width / made.height == pytest.approx(4 / 3, rel=0.02)


def test_shrink_writes_the_orientation_into_the_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data, _ = shrink(encoded(NOISE, "JPEG", quality=100, exif=exif), 60_000)
    with Image.open(io.BytesIO(data)) as made:
        assert made.height > made.width
        assert made.getexif().get(0x0112, 1) == 1


def test_shrink_keeps_what_is_transparent() -> None:
    clear = NOISE.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(NOISE.size))
    data, media = shrink(encoded(clear, "PNG"), 60_000)
    assert media == "image/webp"
    with Image.open(io.BytesIO(data)) as made:
        assert made.convert("RGBA").getchannel("A").getextrema()[0] < 20


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "I;16", "CMYK"])
def test_shrink_takes_every_mode(mode: str) -> None:
    image = Image.effect_noise((300, 300), 90)
    image = image.convert("I").point(lambda v: v * 256).convert("I;16") if mode == "I;16" else image.convert(mode)
    data, _ = shrink(encoded(image, "TIFF"), 20_000)
    assert len(data) <= 20_000


def test_shrink_of_what_is_broken_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="can't be decoded"):
        shrink(encoded(NOISE, "JPEG")[:3000], 1000)
    with pytest.raises(ValueError, match="does not fit"):
        shrink(encoded(NOISE, "PNG"), 300)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_row_error(tmp_path: Path, sandbox) -> None:
    picture(tmp_path / "a.png").chmod(0)
    (tmp_path / "m.csv").write_text("sku,image,prompt\n1,a.png,x\n")
    told = batchedit("plan", "m.csv", "--base-url", sandbox.url, cwd=tmp_path, code=65).stdout
    assert "Permission denied" in told
