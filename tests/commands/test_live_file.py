"""What a run's process writes for those who watch."""

from __future__ import annotations

from pathlib import Path

import orjson

from batchedit.commands.live import LiveState
from batchedit.commands.live_file import NAME, LiveFile
from batchedit.core.events import Declined
from batchedit.core.model import Kind, Problem
from tests.support.factories import make_record


def test_the_last_pictures_outlive_the_process_that_fetched_them(tmp_path: Path) -> None:
    picture = {"job": 7, "name": "lamp", "file": "files/lamp.png", "at": 5.0}
    (tmp_path / NAME).write_bytes(orjson.dumps({"format": 1, "last_pictures": [picture]}))
    LiveFile(tmp_path, "offer").close()
    assert orjson.loads((tmp_path / NAME).read_bytes())["last_pictures"] == [picture]


def test_a_damaged_file_of_the_process_before_stops_nobody(tmp_path: Path) -> None:
    for text in (b"", b"[]", b'{"format": 1, "last_pictures": [3]}', b'{"format": 1, "last_pictures": null}'):
        (tmp_path / NAME).write_bytes(text)
        LiveFile(tmp_path, "run").close()
        assert orjson.loads((tmp_path / NAME).read_bytes())["last_pictures"] == []


def test_the_times_of_a_status_in_json_were_numbers() -> None:
    """The reference says that times are ISO 8601 in UTC."""
    word = {"kind": "busy", "message": "slow down", "http": 429, "at": 60.5}
    state = LiveState(
        folder=Path("m"),
        state="going",
        last_word=word,
        last_pictures=[{"job": 1, "name": "a", "file": "files/a.png", "at": 0.0}],
    )
    values = state.as_json()
    assert (values["last_word"]["at"], values["last_pictures"][0]["at"]) == ("1970-01-01T00:01:00+00:00", None)


def test_the_last_word_of_the_service_was_our_own(tmp_path: Path) -> None:
    """The account was empty (402), and the last trouble told was that a reserved job had not been sent."""
    live = LiveFile(tmp_path, "run")
    try:
        for kind, message, http in (
            (Kind.BALANCE, "top up", 402),
            (Kind.UNREACHABLE, "not sent: buying stopped", None),
        ):
            event = Declined(5.0, Problem(kind, message, http))
            live.saw(make_record(problem=event.problem), event)
    finally:
        live.close()
    assert orjson.loads((tmp_path / NAME).read_bytes())["last_word"]["http"] == 402
