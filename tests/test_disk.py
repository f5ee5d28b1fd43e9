"""What is written is the run's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from batchedit.disk import (
    ForeignFileError,
    append_to,
    check_own,
    create,
    is_plain_file,
    make_folders,
    replace_atomically,
    write_atomically,
)


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """Somebody's file, outside."""
    path = tmp_path / "letter.txt"
    path.write_text("dear")
    return path


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_new_file_is_never_written_through_a_link(tmp_path: Path, letter: Path, link: Callable[..., None]) -> None:
    for number, write in enumerate((_created, _whole)):
        path = tmp_path / f"planted-{number}"
        link(letter, path)
        write(path)
        assert (letter.read_text(), path.read_text(), path.is_symlink()) == ("dear", "ours", False)


def _created(path: Path) -> None:
    with create(path) as file:
        file.write(b"ours")


def _whole(path: Path) -> None:
    """The name for the time until it is whole is planted too."""
    path.with_name(f"{path.name}.part").symlink_to(path.parent / "letter.txt")
    write_atomically(path, b"ours")


@pytest.mark.parametrize(
    "plant", [os.symlink, os.link, lambda _, path: os.mkfifo(path)], ids=["symbolic", "hard", "pipe"]
)
def test_nothing_is_appended_to_what_is_not_our_own(tmp_path: Path, letter: Path, plant: Callable[..., None]) -> None:
    path = tmp_path / "run.jsonl"
    plant(letter, path)
    with pytest.raises(ForeignFileError, match=r"run\.jsonl"):
        append_to(path)
    with pytest.raises(ForeignFileError, match=r"run\.jsonl"):
        check_own(path)
    assert letter.read_text() == "dear"


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        with append_to(tmp_path / "run.jsonl") as file:
            file.write(line)
    assert (tmp_path / "run.jsonl").read_text() == "one\ntwo\n"


def test_a_whole_file_is_left_as_it_was_where_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("before")
    with suppress(ZeroDivisionError), replace_atomically(tmp_path / "report.json") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.json", "before")]


def test_no_folder_is_made_where_a_link_leads_out(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    (run / "files").symlink_to(other)
    with pytest.raises(ForeignFileError, match="leads out of the folder"):
        make_folders(run / "files" / "de", run)
    assert not list(other.iterdir())
    make_folders(run / "thumbs" / "de", run)
    assert (run / "thumbs" / "de").is_dir()
    linked = tmp_path / "the same run"
    linked.symlink_to(run)
    make_folders(linked / "thumbs" / "fr", linked)
    assert (run / "thumbs" / "fr").is_dir()


def test_only_plain_files_of_the_folder_are_handed_out(tmp_path: Path, letter: Path) -> None:
    run = tmp_path / "run"
    (run / "files").mkdir(parents=True)
    (run / "files" / "a.png").write_bytes(b"a")
    (run / "files" / "b.png").symlink_to(letter)
    (run / "out").symlink_to(tmp_path)
    results = [
        is_plain_file(run / name, run) for name in ("files/a.png", "files/b.png", "out/letter.txt", "files", "\0")
    ]
    assert results == [True, False, False, False, False]
