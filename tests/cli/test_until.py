"""``--until`` is a time on the wall, also through a night in which the clocks change."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchedit.cli import option_values
from tests.property.people import write_sheet
from tests.support.offline import URL, World


def set_time(monkeypatch: pytest.MonkeyPatch, at: Callable[[], float]) -> None:
    """The options are read at ``at()`` seconds since the epoch."""

    class Told(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.fromtimestamp(at(), tz)

    class Clock:
        time, timedelta, datetime = dt.time, dt.timedelta, Told

    monkeypatch.setattr(option_values, "dt", Clock)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system's zone can't be set for one process")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("started", "until", "stops"),
    [
        ("2026-03-28 22:00", "07:00", "2026-03-29 07:00"),
        ("2026-10-24 22:00", "07:00", "2026-10-25 07:00"),
        ("2026-06-01 22:00", "07:00", "2026-06-02 07:00"),
        ("2026-06-01 06:00", "07:00", "2026-06-01 07:00"),
        ("2026-06-01 07:00", "07:00", "2026-06-02 07:00"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_a_night_in_which_the_clocks_change_stopped_an_hour_off(
    monkeypatch: pytest.MonkeyPatch, started: str, until: str, stops: str
) -> None:
    at = dt.datetime.strptime(started, "%Y-%m-%d %H:%M").timestamp()  # noqa: DTZ007 - the wall's time
    set_time(monkeypatch, lambda: at)
    moment = option_values.parse_time_of_day(until)
    assert moment is not None
    assert dt.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M") == stops  # noqa: DTZ006 - the wall's time


def test_until_a_time_of_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was bought by then is collected; a later command forgets it; and a time that is past today is tomorrow's.

    On a clock of its own: on the wall's the three seconds were over before a loaded machine had bought anything.
    """
    world = World(tmp_path, latency="1")
    sheet, folder = world.folder / "s.csv", world.folder / "outputs" / "s"
    set_time(monkeypatch, lambda: world.now)

    def wall(seconds: float) -> str:
        return dt.datetime.fromtimestamp(world.now + seconds).strftime("%H:%M:%S")  # noqa: DTZ006 - the wall's time

    def run(target: Path, *more: object) -> str:
        ended = world.command("run", target, "-j", 4, "--base-url", URL, "--no-check-images", *more)
        assert ended.code == (75 if "has come" in ended.out else 0), ended.err
        return ended.out

    write_sheet(sheet, [f"an ad, number {n}x" for n in range(60)])
    assert "the time given with --until has come" in run(sheet, "--until", wall(6))
    jobs = world.service.ledger.jobs
    bought = len(jobs)
    assert 4 <= bought <= 30
    assert {job.state.value for job in jobs.values()} == {"done"}
    assert "60 done" in run(folder)
    write_sheet(sheet, ["an ad, number 99x"])
    run(sheet, "--until", wall(-300))
    assert len(jobs) == 61
