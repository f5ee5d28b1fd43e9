"""A signed delivery, and every edit that one could make in it."""

from __future__ import annotations

import csv
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from minisign import KeyPair, PublicKey, SecretKey, Signature

from batchedit.core.errors import NotFoundError, UsageError
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.opening import open_checkpoint
from batchedit.review.signing import open_key
from batchedit.review.verify import verify
from batchedit.run_folder import RunFolder
from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import make_env, manifest, on, run_cli
from tests.support.finished_run import Showroom, picture


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two approved pictures, its signed delivery ``out``, and the keys."""
    place = tmp_path_factory.mktemp("signed")
    room = Showroom(RunFolder(place / "run"))
    for sku in ("A", "B"):
        room.row(sku, title=sku)
    checkpoint = room.open()
    for record in checkpoint.records("1 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (64, 64)))
    for job in (1, 2):
        FolderDecisions(checkpoint).put(PictureDecision(job, Verdict.APPROVE, "", 0, "Dana", 1_790_000_000.0))
    checkpoint.close()
    pair = KeyPair.generate()
    (place / "own.key").write_bytes(bytes(pair.secret_key))
    (place / "own.pub").write_bytes(bytes(pair.public_key))
    for to in ("out", "out.zip"):
        run_cli("deliver", "run", "--to", to, "--sign", "own.key", "--with-costs", cwd=place)
    return place


def test_a_delivery_is_proven_by_its_signature(place: Path) -> None:
    for name in ("out", "out.zip"):
        completed = run_cli("verify", name, "--key", "own.pub", cwd=place)
        assert completed.stdout.startswith(f"{name}: 6 files as delivered, signed by RW")
        assert completed.stderr == ""
    assert "that key came along with it" in run_cli("verify", "out", cwd=place).stderr
    PublicKey.from_file(place / "own.pub").verify_file(place / "out" / "SHA256SUMS")
    signature = Signature.from_file(place / "out" / "SHA256SUMS.minisig")
    assert signature.trusted_comment.endswith("file:SHA256SUMS\thashed")


def test_the_log_says_what_each_yes_was_about(place: Path) -> None:
    with (place / "out" / "approvals.csv").open(newline="") as file:
        first, _ = csv.DictReader(file)
    sums = (place / "out" / "SHA256SUMS").read_text()
    assert f"{first['sha256']}  {first['file']}\n" in sums
    assert len(first["inputs_sha256"]) == 64
    assert float(first["cost_usd"]) > 0


def test_the_log_named_one_picture_of_a_job_that_gave_three(tmp_path: Path) -> None:
    """The yes is about all three, and so are the digests; the job's cost is said once, so that the column adds up."""
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="0", plain_files=4_000, outputs="images", images_per_job=3)) as sandbox:
        run_cli("run", "m.csv", *on(sandbox, "--max-cost", "1"), cwd=tmp_path)
    checkpoint = open_checkpoint(tmp_path / "outputs/m/checkpoint.sqlite")
    FolderDecisions(checkpoint).put(PictureDecision(1, Verdict.APPROVE, "", 0, "Dana", 1_790_000_000.0))
    checkpoint.close()
    run_cli("deliver", "m.csv", "--to", "out", "--with-costs", cwd=tmp_path)
    with (tmp_path / "out/approvals.csv").open(newline="") as file:
        log = list(csv.DictReader(file))
    delivered = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out/files").iterdir()}
    assert {line["file"] for line in log} == delivered
    assert len({line["sha256"] for line in log}) == len(log) == 3
    assert [line["cost_usd"] for line in log] == ["0.04", "", ""]


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _respell(path: Path) -> None:
    """Base64 with its unused bits set: it reads as the same signature."""
    lines = path.read_bytes().split(b"\n")
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = lines[1].rstrip(b"=")[-1:]
    lines[1] = lines[1].replace(last + b"=", letters[letters.index(last) ^ 1 : (letters.index(last) ^ 1) + 1] + b"=")
    path.write_bytes(b"\n".join(lines))


def _resign(path: Path) -> None:
    """Somebody else signs, and puts their own key beside it."""
    other = KeyPair.generate()
    path.with_name("SHA256SUMS.minisig").write_bytes(bytes(other.secret_key.sign(path.read_bytes())))
    path.with_name("minisign.pub").write_bytes(bytes(other.public_key))


EDITS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a picture": ("files/A-1x1-1.png", _flip, "its sha256 differs"),
    "the log": ("approvals.csv", _append, "its sha256 differs"),
    "a file gone": ("contact-sheet.pdf", Path.unlink, "is missing"),
    "a file more": ("files/evil.png", lambda path: path.write_bytes(b"x"), "it was added"),
    "a link": ("files/more.png", lambda path: path.symlink_to("A-1x1-1.png"), "it was added"),
    "a sum": ("SHA256SUMS", lambda path: path.write_bytes(path.read_bytes().replace(b"a", b"b", 1)), "no signature"),
    "the signature": ("SHA256SUMS.minisig", lambda path: path.write_bytes(path.read_bytes()[:-30]), "no signature"),
    "its spelling": ("SHA256SUMS.minisig", _respell, "its text was changed"),
    "its comment": (
        "SHA256SUMS.minisig",
        lambda path: path.write_bytes(path.read_bytes().replace(b"batchedit", b"whoever")),
        "its text was changed",
    ),
    "the key's comment": (
        "minisign.pub",
        lambda path: path.write_bytes(path.read_bytes().replace(b"public", b"secret")),
        "not what was delivered",
    ),
    "no signature": ("SHA256SUMS.minisig", Path.unlink, "SHA256SUMS.minisig is missing"),
    "another signer": ("SHA256SUMS", _resign, "no signature"),
    "no sums": ("SHA256SUMS", Path.unlink, "nothing can be proven"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of(place: Path, tmp_path: Path, edit: str) -> None:
    name, change, message = EDITS[edit]
    shutil.copytree(place / "out", tmp_path / "out")
    change(tmp_path / "out" / name)
    output = run_cli("verify", "out", "--key", place / "own.pub", cwd=tmp_path, code=1).stdout
    assert message in output


def test_what_hides_in_a_zip_is_found(place: Path, tmp_path: Path) -> None:
    for name, message in (("out/files/A-1x1-1.png", "is there 2 times"), ("readme.txt", "does not belong")):
        copy = shutil.copy(place / "out.zip", tmp_path / "out.zip")
        with (
            zipfile.ZipFile(copy, "a") as archive,
            pytest.warns(UserWarning, match="Duplicate") if "A-1" in name else nullcontext(),
        ):
            archive.writestr(name, b"another picture")
        assert any(message in finding for finding in verify(Path(copy)).findings)
    cut = tmp_path / "cut.zip"
    cut.write_bytes((place / "out.zip").read_bytes()[:-40])
    assert "no whole zip file" in verify(cut).findings[0]


def test_a_key_with_a_password_signs_and_a_wrong_one_does_not(place: Path, tmp_path: Path) -> None:
    pair = KeyPair.generate()
    pair.secret_key.encrypt("right")
    (tmp_path / "locked.key").write_bytes(bytes(pair.secret_key))
    assert SecretKey.from_file(tmp_path / "locked.key").is_encrypted()
    words = ("deliver", "run", "--sign", tmp_path / "locked.key", "--to")
    right, wrong = (make_env(BATCHEDIT_SIGN_PASSWORD=word) for word in ("right", "wrong"))
    run_cli(*words, tmp_path / "out", cwd=place, env=right)
    assert not verify(tmp_path / "out", bytes(pair.public_key)).findings
    completed = run_cli(*words, tmp_path / "other", cwd=place, env=wrong, code=64)
    assert "wrong password" in completed.stderr
    assert not (tmp_path / "other").exists()


def test_what_is_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.key").write_text("hello")
    with pytest.raises(UsageError, match="can't be signed with"):
        open_key(tmp_path / "no.key", str)
    with pytest.raises(NotFoundError):
        open_key(tmp_path / "none.key", str)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFoundError):
        verify(tmp_path / "pipe")
