"""The run's own copy of the manifest: whole, of the manifest that was taken in, and nobody else's file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from batchedit import run_folder as runfolder
from batchedit.core.errors import UsageError
from batchedit.disk import Steady
from batchedit.run_folder import STAGED, RunFolder, open_run
from batchedit.settings.model import Settings

TEXT = b"sku,image,prompt\n" + b"1,https://a.example/1.png,an ad\n" * 5_000


class Bit(Steady):
    """A disk that takes a little at a time, as one that is nearly full does."""

    def write(self, data: Any, /) -> int:
        return super().write(bytes(data)[:1000])


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.make()
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_bytes(TEXT)
    return path


@pytest.mark.parametrize("disk", [Steady, Bit])
def test_the_copy_is_whole_and_its_digest_is_what_was_copied(
    folder: RunFolder, source: Path, monkeypatch: pytest.MonkeyPatch, disk: type[Steady]
) -> None:
    monkeypatch.setattr(runfolder, "Steady", disk)
    [(staged, digest)] = folder.stage_snapshot(source).items()
    assert staged.read_bytes() == TEXT
    assert digest == hashlib.sha256(TEXT).hexdigest()


def test_only_the_copy_of_the_manifest_that_was_taken_in_becomes_the_snapshot(
    folder: RunFolder, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digest_of = runfolder.digest_of
    monkeypatch.setattr(runfolder, "digest_of", lambda path: (read.append(path.name), digest_of(path))[1])
    (folder.path / "manifest.jsonl").write_bytes(b"{}\n")  # of the intake before
    (folder.path / f"{STAGED}.tsv").write_bytes(b"left by a crash")
    digests = folder.stage_snapshot(source)
    folder.settle_snapshot(f"1:{hashlib.sha256(TEXT).hexdigest()}:x", digests)
    assert [path.name for path in folder.path.iterdir()] == ["manifest.csv"]
    assert folder.snapshot() == folder.path / "manifest.csv"
    assert read == [f"{STAGED}.tsv"]


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.xlsx", f"{STAGED}.csv"])
def test_a_new_run_replaces_nobody_elses_file(folder: RunFolder, name: str) -> None:
    other = folder.path / name
    other.write_bytes(TEXT)
    with pytest.raises(UsageError, match=name) as caught:
        open_run(folder, Settings(base_url="http://127.0.0.1:9"))
    assert "--out" in str(caught.value.hint)
    assert other.read_bytes() == TEXT
    assert not folder.checkpoint.exists()
