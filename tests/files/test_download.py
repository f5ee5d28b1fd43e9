"""Downloads against scripted sockets and a real disk."""

from __future__ import annotations

import errno
import gc
import gzip
import hashlib
import io
import os
import random
import sys
import threading
import time
import zlib
from typing import Any

import anyio
import brotli
import httpx
import pytest
from PIL import Image, ImageFile

from batchedit.core.errors import OutputError
from batchedit.core.inline_pictures import InlinePictures
from batchedit.core.model import Job, JobKey, Kind, Output, Record, SavedFile, State
from batchedit.files import download as module
from batchedit.files import writer as landing
from batchedit.files.download import ATTEMPTS, Downloader
from batchedit.files.writer import AtomicDownload
from batchedit.images.thumbnails_and_features import Album, FeatureRequest, to_thumb_name
from batchedit.ports import Broken

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    made = io.BytesIO()
    noise = Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3))
    noise.save(made, kind)
    return made.getvalue()


PNG = picture()
JPEG = picture("JPEG")
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + b"\x00\x00\x00\x08free" * 20
HTML = b"<!DOCTYPE html><html><title>Sign in</title></html>"


def record(name: str = "sku-1-1x1-1") -> Record:
    return Record(7, Job(JobKey(bytes(16)), "m", "{}", name), State.FETCHED)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_backoff", lambda _: 0.001)
    monkeypatch.setattr(module, "_TIMES", httpx.Timeout(0.3))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def downloader(folder, *hosts: str, **changes: Any) -> Downloader:
    values: dict[str, Any] = {"allow_hosts": hosts or ["127.0.0.1"], "rng": random.Random(1)}
    return Downloader(folder, **(values | changes))


async def fetch(folder, server, name: str = "sku-1-1x1-1", index: int = 0, path: str = "/a.png") -> Any:
    async with downloader(folder) as files:
        return await files.save(record(name), Output(f"{server.url}{path}"), index)


def on_disk(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_picture_becomes_a_verified_file(server, folder):
    server.script = [server.http(200, PNG, content_type="image/png")]
    saved = await fetch(folder, server)
    digest = hashlib.sha256(PNG).hexdigest()
    assert saved == SavedFile("files/sku-1-1x1-1.png", digest, len(PNG), 64, 48, f"{server.url}/a.png")
    assert (folder / saved.path).read_bytes() == PNG
    assert on_disk(folder) == ["files/sku-1-1x1-1.png"]
    [request] = server.requests
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (picture("JPEG"), ".jpg"),
        (picture("WEBP"), ".webp"),
        (picture("GIF"), ".gif"),
        (MP4, ".mp4"),
        (b"\x00\x00\x00\x14ftypqt  " + bytes(300), ".mov"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04"
         b"\x42\xf3\x81\x08\x42\x82\x84webm" + bytes(300), ".webm"),
    ],
    ids=["jpeg", "webp", "gif", "mp4", "mov", "webm"],
)  # fmt: skip
async def test_the_ending_is_what_the_bytes_are(server, folder, data, ending):
    server.script = [server.http(200, data, content_type="image/png")]
    saved = await fetch(folder, server)
    assert saved.path == f"files/sku-1-1x1-1{ending}"
    assert (saved.width > 0) is (ending in {".jpg", ".webp", ".gif"})


async def test_names_of_folders_and_of_further_outputs(server, folder):
    server.script = [server.http(200, PNG)]
    paths = [(await fetch(folder, server, "Brand Ä/sku 1", index)).path for index in range(3)]
    assert paths == [f"files/Brand Ä/sku 1{tail}.png" for tail in ("", "-2", "-3")]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "", "a\0b", "a\\..\\b"], ids=repr)
async def test_a_name_never_leaves_the_folder(server, folder, name):
    server.script = [server.http(200, PNG)]
    with pytest.raises(OutputError):
        await fetch(folder, server, name)
    assert server.requests == []


async def test_a_link_in_the_tree_never_leads_out_of_it(server, folder, tmp_path):
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "out").symlink_to(tmp_path)
    server.script = [server.http(200, PNG)]
    with pytest.raises(OutputError):
        await fetch(folder, server, "out/x")


async def test_leftovers_of_a_kill_are_overwritten(server, folder):
    (folder / "files").mkdir(parents=True)
    (folder / "files" / f"sku-1-1x1-1.{record('sku-1-1x1-1').id}.part").write_bytes(b"x" * 100_000)
    (folder / "files" / "sku-1-1x1-1.png").write_bytes(b"an earlier one, renamed and not committed")
    server.script = [server.http(200, PNG)]
    await fetch(folder, server)
    assert on_disk(folder) == ["files/sku-1-1x1-1.png"]
    assert (folder / "files" / "sku-1-1x1-1.png").read_bytes() == PNG


@pytest.mark.parametrize("word", ["aws-chunked", "utf-8", "binary", "none", "identity", ""])
async def test_a_content_encoding_that_is_no_compression_is_ignored(server, folder, word):
    """A picture that every browser opens was asked for 21 times, then uncollected."""
    server.script = [server.http(200, PNG, content_encoding=word)]
    saved = await fetch(folder, server)
    assert (folder / saved.path).read_bytes() == PNG


@pytest.mark.parametrize(
    ("word", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("aws-chunked, gzip", gzip.compress),
     ("br", brotli.compress), ("zstd", zstd.compress)],
)  # fmt: skip
async def test_a_compressed_picture_is_unpacked(server, folder, word, pack):
    server.script = [server.http(200, pack(PNG), content_encoding=word)]
    saved = await fetch(folder, server)
    assert (folder / saved.path).read_bytes() == PNG
    assert saved.sha256 == hashlib.sha256(PNG).hexdigest()


@pytest.mark.parametrize("word", ["br", "zstd", "gzip"])
async def test_a_picture_that_is_only_called_compressed_stays_as_it_is(server, folder, word):
    server.script = [server.http(200, PNG, content_encoding=word)]
    saved = await fetch(folder, server)
    assert (folder / saved.path).read_bytes() == PNG


@pytest.mark.parametrize(
    ("word", "pack", "hurt"),
    [("gzip", gzip.compress, 1000), ("br", brotli.compress, 10**6), ("zstd", zstd.compress, 10**6)],
)
async def test_a_compressed_picture_that_is_broken_in_the_middle_is_asked_for_again(
    server, folder, word, pack, hurt, recwarn
):
    """Under trio the body's generator was left halfway, and its collector warned."""
    packed = pack(random.Random(1).randbytes(300_000).hex().encode())
    broken = packed[:150_000] + b"\xff" * len(packed[150_000:][:hurt]) + packed[150_000 + hurt :]
    server.script = [server.http(200, broken, content_encoding=word)]
    flaw = await fetch(folder, server)
    gc.collect()
    assert isinstance(flaw, Broken)
    assert len(server.requests) == module.ATTEMPTS
    assert on_disk(folder) == []
    assert [str(warning.message) for warning in recwarn] == []


async def test_a_large_file_in_many_blocks(server, folder):
    data = picture("PNG", (1300, 1000))
    assert len(data) > 3 * module._BLOCK
    server.script = [server.http(200, data)]
    saved = await fetch(folder, server)
    assert (saved.bytes, saved.sha256) == (len(data), hashlib.sha256(data).hexdigest())


# --- what the next try may mend -------------------------------------------------------------------

PASSING = {
    "closed": lambda s: s.close,
    "reset": lambda s: s.reset,
    "stalled": lambda s: s.http(200, PNG[:100], content_length=str(len(PNG))),
    "truncated": lambda s: s.then_close(s.http(200, PNG[:-20], content_length=str(len(PNG)))),
    "truncated without a length": lambda s: s.then_close(s.http(200, PNG[: len(PNG) // 2], content_length="none")),
    "a PNG torn at the source": lambda s: s.http(200, PNG[:-30]),
    "a JPEG torn at the source": lambda s: s.http(200, JPEG[: len(JPEG) // 2]),
    "a broken chunk": lambda s: s.then_close(
        s.http(200, b"5\r\nab", content_length="none", transfer_encoding="chunked")
    ),
    "500": lambda s: s.http(500),
    "503": lambda s: s.http(503),
    "429": lambda s: s.http(429),
}


@pytest.mark.parametrize("name", PASSING)
async def test_a_passing_fault_is_tried_again(server, folder, name):
    server.script = [PASSING[name](server), server.http(200, PNG)]
    saved = await fetch(folder, server)
    assert isinstance(saved, SavedFile), saved
    assert len(server.requests) == 2
    assert on_disk(folder) == ["files/sku-1-1x1-1.png"]


@pytest.mark.parametrize("name", PASSING)
async def test_a_fault_that_stays_is_broken_and_leaves_nothing(server, folder, name):
    server.script = [PASSING[name](server)]
    reply = await fetch(folder, server)
    assert isinstance(reply, Broken)
    assert reply.problem.kind is Kind.DOWNLOAD
    assert len(server.requests) == ATTEMPTS, reply
    assert on_disk(folder) == []


# --- what it can't mend ---------------------------------------------------------------------------

FOR_GOOD = {
    "403": (lambda s: s.http(403), "expired"),
    "404": (lambda s: s.http(404), "expired"),
    "410": (lambda s: s.http(410), "expired"),
    "206": (lambda s: s.http(206, PNG), "206"),
    "304": (lambda s: s.http(304), "304"),
    "html": (lambda s: s.http(200, HTML, content_type="image/png"), "a web page"),
    "json": (lambda s: s.http(200, b'{"error":"expired"}', content_type="image/png"), "a JSON text"),
    "xml": (lambda s: s.http(200, b'<?xml version="1.0"?><Error/>'), "an XML text"),
    "svg": (lambda s: s.http(200, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "an XML text"),
    "eps": (lambda s: s.http(200, b"%!PS-Adobe-3.0 EPSF-3.0\n"), "not a picture"),
    "text": (lambda s: s.http(200, b"hello"), "not a picture"),
    "nothing": (lambda s: s.http(200), "empty"),
    "too large": (lambda s: s.http(200, b"", content_length=str(2**31 + 1)), "larger than 2 GiB"),
    "a redirect to nowhere": (lambda s: s.http(302), "302"),
    "redirects without end": (lambda s: s.http(302, location="/again"), "redirects"),
    "a redirect out": (lambda s: s.http(302, location="https://example.com/a.png"), "example.com is not allowed"),
    "a redirect to a file": (lambda s: s.http(302, location="file:///etc/passwd"), "no https link"),
}


@pytest.mark.parametrize("name", FOR_GOOD)
async def test_a_broken_link_is_told_at_once(server, folder, name):
    reply, words = FOR_GOOD[name]
    server.script = [reply(server)]
    seen = await fetch(folder, server)
    assert isinstance(seen, Broken)
    assert seen.problem.kind is Kind.DOWNLOAD
    assert words in seen.problem.message
    assert len(server.requests) == (6 if name == "redirects without end" else 1)
    assert on_disk(folder) == []


# httpx leaves its generators to the collector when a body is left half read, and trio says so.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_cap_holds_without_a_content_length(server, folder, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    server.script = [server.then_close(server.http(200, PNG, content_length="none"))]
    async with downloader(folder) as files:
        seen = await files.save(record(), Output(f"{server.url}/a"), 0)
    assert isinstance(seen, Broken)
    assert len(server.requests) == 1


async def test_the_length_is_checked_whatever_the_transport_does(folder):
    """h11 checks it too; another transport may not."""

    def short(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-length": str(len(MP4) + 1)}, stream=httpx.ByteStream(MP4))

    async with downloader(folder, transport=httpx.MockTransport(short)) as files:
        seen = await files.save(record(), Output("https://files.runcomfy.net/v.mp4"), 0)
    assert isinstance(seen, Broken)
    assert "cut off" in seen.problem.message


async def test_redirects_inside_the_list_are_followed(server, other_server, folder):
    server.script = [server.http(302, location=f"{other_server.url}/b?x=1")]
    other_server.script = [other_server.http(200, PNG)]
    saved = await fetch(folder, server)
    assert isinstance(saved, SavedFile)
    assert [r.target for r in other_server.requests] == ["/b?x=1"]
    assert "authorization" not in other_server.requests[0].headers


async def test_a_host_that_is_not_allowed_is_never_asked(server, other_server, folder):
    server.script = [server.http(302, location=f"{other_server.url}/b")]
    other_server.script = [other_server.http(200, PNG)]
    async with downloader(folder, f"127.0.0.1:{server.port}") as files:
        inside = await files.save(record(), Output(f"{server.url}/a"), 0)
        outside = await files.save(record(), Output(f"{other_server.url}/a"), 0)
    assert isinstance(inside, Broken)
    assert isinstance(outside, Broken)
    assert other_server.requests == []


# --- the disk -------------------------------------------------------------------------------------


DISK = {errno.ENOSPC: 74, errno.EDQUOT: 74, errno.EIO: 74, errno.EROFS: 73, errno.EACCES: 73}


@pytest.mark.parametrize("number", DISK, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
async def test_a_disk_that_fails_ends_the_run(server, folder, monkeypatch, number, place):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "x.part")

    if place == "write":
        monkeypatch.setattr(AtomicDownload, "take", fail)
    else:
        monkeypatch.setattr(module.os, "fsync", fail) if place == "fsync" else monkeypatch.setattr(
            "pathlib.Path.replace", fail
        )
    server.script = [server.http(200, PNG)]
    with pytest.raises(OutputError) as caught:
        await fetch(folder, server)
    assert caught.value.code == DISK[number]
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_may_not_be_written(server, folder):
    folder.mkdir(mode=0o500)
    server.script = [server.http(200, PNG)]
    with pytest.raises(OutputError) as caught:
        await fetch(folder, server)
    assert caught.value.code == 73


async def test_a_file_in_the_way_of_a_folder(server, folder):
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "Brand").write_bytes(b"")
    server.script = [server.http(200, PNG)]
    with pytest.raises(OutputError):
        await fetch(folder, server, "Brand/x")


async def test_a_name_too_long_for_the_disk(server, folder):
    server.script = [server.http(200, PNG)]
    with pytest.raises(OutputError) as caught:
        await fetch(folder, server, "x" * 300)
    assert caught.value.code == 73


@pytest.mark.parametrize("size", [(64, 48), (1300, 1000)], ids=["small", "large"])
async def test_no_picture_is_decoded_on_the_event_loop(server, folder, monkeypatch, size):
    """A photograph takes 20 to 60 ms: so long no timer and no other answer would be heard."""
    threads = []
    examine = landing.examine
    monkeypatch.setattr(
        landing, "examine", lambda *given: (threads.append(threading.current_thread()), examine(*given))[1]
    )
    server.script = [server.http(200, picture("PNG", size))]
    async with downloader(folder) as files:
        for number in range(3):
            await files.save(record(f"job-{number}"), Output(f"{server.url}/a"), 0)
    assert len(threads) == 3
    assert threading.main_thread() not in threads


async def test_a_picture_is_decoded_once_for_proof_thumbnail_and_features(server, folder, monkeypatch):
    decoded = []
    load = ImageFile.ImageFile.load

    def counting(self):
        if self.tile:  # still to be decoded
            decoded.append(self.format)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counting)
    server.script = [server.http(200, picture("PNG", (1300, 1000)))]
    album = Album(folder / "thumbs")
    async with downloader(folder, album=album) as files:
        saved = await files.save(record(), Output(f"{server.url}/a"), 0)
    features = album.load_features([FeatureRequest(folder / saved.path, saved.sha256)])[saved.sha256]
    assert decoded == ["PNG"]
    assert (features.width, features.height, features.problem) == (1300, 1000, "")
    with Image.open(folder / "thumbs" / to_thumb_name(saved.sha256)) as thumb:
        assert thumb.size == (512, 394)


async def test_a_picture_whose_thumbnail_a_crash_prevented_gets_it_from_the_gallery(server, folder):
    """The album that the download has is a file, so nothing can be written: as if the process ended after the rename."""
    server.script = [server.http(200, PNG)]
    folder.mkdir(exist_ok=True)
    (folder / "thumbs").write_bytes(b"")
    async with downloader(folder, album=Album(folder / "thumbs")) as files:
        saved = await files.save(record(), Output(f"{server.url}/a"), 0)
    assert (folder / saved.path).read_bytes() == PNG
    (folder / "thumbs").unlink()
    features = Album(folder / "thumbs").load_features([FeatureRequest(folder / saved.path, saved.sha256)])
    assert features[saved.sha256].problem == ""
    assert (folder / "thumbs" / to_thumb_name(saved.sha256)).is_file()


async def test_a_thumbnail_that_can_not_be_made_costs_no_picture(server, folder, monkeypatch):
    monkeypatch.setattr(landing, "derive", lambda _picture: 1 / 0)
    server.script = [server.http(200, PNG)]
    async with downloader(folder, album=Album(folder / "thumbs")) as files:
        saved = await files.save(record(), Output(f"{server.url}/a"), 0)
    assert on_disk(folder) == [saved.path]


async def test_no_more_than_the_limit_at_once(server, folder):
    def slowly(connection, request):
        time.sleep(0.02)
        connection.sendall(server.http(200, PNG))

    server.script = [slowly]
    async with downloader(folder, limit=3) as files, anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(files.save, record(f"job-{number}"), Output(f"{server.url}/a"), 0)
    assert len(on_disk(folder)) == 12
    assert server.most_at_once <= 3


async def test_cancellation_leaves_no_part(server, folder):
    server.script = [server.http(200, PNG[:100], content_length=str(len(PNG)))]
    with anyio.move_on_after(0.2) as scope:
        await fetch(folder, server)
    assert scope.cancelled_caught
    assert on_disk(folder) == []


# --- pictures inside the service's answer ---------------------------------------------------------


async def test_a_picture_from_the_answer_is_verified_like_any_other(folder):
    held = InlinePictures()
    good, bad, cut = (held.keep("r1", index, data) for index, data in enumerate((PNG, HTML, PNG[:-200])))
    async with downloader(folder, inline_pictures=held) as files:
        saved = await files.save(record(), Output(good), 0)
        assert saved == SavedFile("files/sku-1-1x1-1.png", hashlib.sha256(PNG).hexdigest(), len(PNG), 64, 48, "")
        assert isinstance(await files.save(record(), Output(bad), 1), Broken)
        assert isinstance(await files.save(record(), Output(cut), 2), Broken)
    assert on_disk(folder) == ["files/sku-1-1x1-1.png"]
    assert held.get(good) is None


async def test_a_picture_from_the_answer_of_a_killed_process_is_asked_for_again(folder):
    """What was in memory is gone: the address leads to nothing, and never to another job's picture."""
    held = InlinePictures()
    held.keep("r2", 0, PNG)
    async with downloader(folder, inline_pictures=held) as files:
        broken = await files.save(record(), Output("in-answer:r1/0"), 0)
    assert isinstance(broken, Broken)
    assert "asked for again" in broken.problem.message
    assert on_disk(folder) == []
