"""``status --watch`` of a run of a store: what it does where the store itself is away for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchedit.cli import live_commands
from batchedit.commands.live import LiveState
from batchedit.core.errors import ServiceUnavailableError
from batchedit.run_folder import RunFolder

AWAY = ServiceUnavailableError("the store can't be reached")


def list_live_states(path: Path, monkeypatch: pytest.MonkeyPatch, *looks: LiveState | Exception) -> Iterator[LiveState]:
    """What is shown where one look after the other is answered so."""
    answers = iter(looks)

    def read_live_state(_folder: RunFolder, *, store: str | None) -> LiveState:
        assert store
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("batchedit.commands.live.read_live_state", read_live_state)
    monkeypatch.setattr(live_commands, "REDRAW_SECONDS", 0.0)
    return live_commands._poll_live_state(RunFolder(path), "postgresql://store")


def test_who_watched_was_sent_away_while_postgresql_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers wait a minute for it."""
    going, over = LiveState(folder=tmp_path, state="going", workers=2), LiveState(folder=tmp_path, state="finished")
    assert list(list_live_states(tmp_path, monkeypatch, going, AWAY, AWAY, going, over)) == [going, going]


def test_a_store_that_is_away_from_the_start_or_for_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServiceUnavailableError):
        next(list_live_states(tmp_path, monkeypatch, AWAY))
    monkeypatch.setattr(live_commands, "AWAY_SECONDS", -1.0)
    live_states = list_live_states(tmp_path, monkeypatch, LiveState(folder=tmp_path, state="going", workers=1), AWAY)
    next(live_states)
    with pytest.raises(ServiceUnavailableError):
        next(live_states)
