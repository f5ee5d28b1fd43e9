"""A run's folder that somebody else made: its links change nothing outside it, and show nothing from there."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import manifest, on
from tests.support.fork_server import ForkServer

LINKS = {"symbolic": os.symlink, "hard": os.link}
REPLACED = (
    *(".spare", "settings.toml", "settings.toml.part", "settings.part", "report.json", "report.json.part"),
    *(
        "results.csv",
        "results.csv.part",
        "results.jsonl.part",
        "failed.csv.part",
        "in_doubt.csv.part",
        "results.xlsx.part",
    ),
    *("checkpoint.sqlite.part", "gallery.html", "gallery.html.part"),
    *("files/sku-1-1x1-1.png", "files/sku-1-1x1-1.1.part", "thumbs/x.webp.part"),
)
"""Names that a run and the gallery make anew, whatever is there."""
REFUSED = (".lock", ".buying.lock", ".results.lock", "run.jsonl", "links.sqlite", "accepted.jsonl", "staged.csv")
"""Names that are gone on with, or that the person's own manifest may have."""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=4_000, faults=("job:failed=first:1",))) as running:
        yield running


def make_outside_folder(place: Path) -> Path:
    """A folder of somebody's, with a letter in it."""
    folder = place / "private"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    return folder


def is_untouched(folder: Path) -> bool:
    return [(path.name, path.read_text()) for path in folder.iterdir()] == [("letter.txt", "dear")]


def plant(link: Callable[..., None], letter: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    link(letter, path)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_planted_file_is_never_written_through(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, link: Callable[..., None]
) -> None:
    """Every one of these names overwrote the file that a link under it led to."""
    private, run = make_outside_folder(tmp_path), tmp_path / "outputs" / "m"
    for name in REPLACED:
        plant(link, private / "letter.txt", run / name)
    manifest(tmp_path / "m.csv", 2)
    fork_server.run("run", "m.csv", *on(sandbox, "--format", "xlsx"), cwd=tmp_path, code=1)
    assert is_untouched(private)
    fork_server.run("gallery", "outputs/m", cwd=tmp_path)
    assert is_untouched(private)
    assert not [path for path in run.glob("*") if path.is_symlink() and path.suffix != ".part"]
    assert [path for path in run.glob("files/*.png") if not path.is_symlink()]  # of the job that did not fail


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_planted_file_that_would_be_gone_on_with_is_refused_before_anything_is_bought(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, name: str, link: Callable[..., None]
) -> None:
    private = make_outside_folder(tmp_path)
    plant(link, private / "letter.txt", tmp_path / "outputs" / "m" / name)
    manifest(tmp_path / "m.csv", 2)
    refused = fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path, code=64 if name == "staged.csv" else 73)
    assert (name in refused.stderr, sandbox.ledger()["submits_seen"], is_untouched(private)) == (True, 0, True)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_what_the_gallery_remembers_is_not_written_through(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, link: Callable[..., None]
) -> None:
    private, run = make_outside_folder(tmp_path), tmp_path / "outputs" / "m"
    manifest(tmp_path / "m.csv", 2)
    fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
    (run / "thumbs" / "seen.jsonl").unlink()
    plant(link, private / "letter.txt", run / "thumbs" / "seen.jsonl")
    assert "seen.jsonl" in fork_server.run("gallery", "outputs/m", cwd=tmp_path, code=73).stderr
    assert is_untouched(private)


@pytest.mark.parametrize("name", ["files", "thumbs"])
def test_a_folder_that_leads_out_is_refused_before_anything_is_bought(
    tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox, name: str
) -> None:
    private, run = make_outside_folder(tmp_path), tmp_path / "outputs" / "m"
    run.mkdir(parents=True)
    (run / name).symlink_to(private)
    manifest(tmp_path / "m.csv", 2)
    refused = fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path, code=73)
    assert "leads out of the folder" in refused.stderr
    assert sandbox.ledger()["submits_seen"] == 0
    assert is_untouched(private)


# --- a finished run that was received -------------------------------------------------------------


@pytest.fixture
def received(tmp_path: Path, fork_server: ForkServer, sandbox: RunningSandbox) -> Path:
    """A run's folder in which every picture is approved; what was changed in it since is each test's own."""
    manifest(tmp_path / "m.csv", 2)
    fork_server.run("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
    fork_server.run("retry", "outputs/m", *on(sandbox), cwd=tmp_path)
    run = tmp_path / "outputs" / "m"
    decisions = "\n".join(["job,decision,note,when", *(f"k{key.hex()},approve,," for key in list_keys(run))])
    (tmp_path / "decisions.csv").write_text(decisions)
    fork_server.run("review", "outputs/m", "--import", "decisions.csv", cwd=tmp_path)
    return run


def list_keys(run: Path) -> list[bytes]:
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db:
        return [key for (key,) in db.execute("SELECT key FROM jobs ORDER BY id")]


def change_files(run: Path, old: str, new: str) -> None:
    """Change the paths that the checkpoint has of its finished pictures."""
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db, db:
        changed = db.execute("UPDATE jobs SET files = replace(files, ?, ?) WHERE instr(files, ?)", (old, new, old))
        assert changed.rowcount


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("deliver --to out", "../../private/letter.txt"),
        ("deliver --to out", "files/../../../private/letter.txt"),
        ("deliver --to out", "/etc/hostname"),
        ("gallery", "../../private/letter.txt"),
        ("results", "../../private/letter.txt"),
        ("audit", "../../private/letter.txt"),
    ],
)
def test_a_record_that_names_a_file_elsewhere_is_refused(
    tmp_path: Path, fork_server: ForkServer, received: Path, path: str, command: str
) -> None:
    """``deliver`` wrote ``../../`` of its target, and the gallery showed what it was told to."""
    private = make_outside_folder(tmp_path)
    change_files(received, "files/sku-1-1x1-1.png", path)
    name, *more = command.split()
    completed = fork_server.run(name, "outputs/m", *more, cwd=tmp_path, code=None)
    assert completed.returncode == (1 if name == "audit" else 74), completed.stderr
    assert "not in the run's folder files/" in completed.stdout + completed.stderr
    assert is_untouched(private)
    assert not (tmp_path / "out").exists()


def test_a_record_without_a_digest_is_refused(tmp_path: Path, fork_server: ForkServer, received: Path) -> None:
    """Without one, ``deliver`` handed on whatever lay there."""
    picture = received / "files" / "sku-2-1x1-1.png"
    with closing(sqlite3.connect(received / "checkpoint.sqlite")) as db:
        (files,) = db.execute("SELECT files FROM jobs WHERE instr(files, 'sku-2')").fetchone()
    change_files(received, files.split('"')[3], "")
    picture.write_bytes(b"another one")
    refused = fork_server.run("deliver", "outputs/m", "--to", "out", cwd=tmp_path, code=74)
    assert "has no sha256 of files/sku-2-1x1-1.png" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_picture_that_became_a_link_is_neither_shown_nor_delivered(
    tmp_path: Path, fork_server: ForkServer, received: Path
) -> None:
    picture = received / "files" / "sku-2-1x1-1.png"
    shutil.move(picture, tmp_path / "elsewhere.png")
    picture.symlink_to(tmp_path / "elsewhere.png")
    refused = fork_server.run("deliver", "outputs/m", "--to", "out", cwd=tmp_path, code=65)
    assert "sku-2-1x1-1.png is a link" in refused.stderr
    assert "is a link" in fork_server.run("audit", "outputs/m", cwd=tmp_path, code=1).stdout
    fork_server.run("gallery", "outputs/m", cwd=tmp_path)
    assert "is a link, not the picture that was bought" in (received / "gallery.html").read_text()


def test_a_manifest_that_is_a_link_is_not_read(tmp_path: Path, fork_server: ForkServer, received: Path) -> None:
    """``results`` copied what it led to into a file that is sent on."""
    (tmp_path / "secret.csv").write_bytes((received / "manifest.csv").read_bytes())
    (received / "manifest.csv").unlink()
    (received / "manifest.csv").symlink_to(tmp_path / "secret.csv")
    refused = fork_server.run("results", "outputs/m", cwd=tmp_path, code=73)
    assert "manifest.csv is a link" in refused.stderr
