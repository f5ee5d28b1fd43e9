"""Shows the progress of a long step: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import IO, Any

from tqdm import tqdm

from ..core.plurals_and_durations import format_duration
from ..core.safe_text import to_one_line
from ..core.steps import ProgressCallback
from .bar import LINE_SECONDS

PATIENCE_SECONDS = 0.5
"""Nothing is shown before a command has been silent for this long; loading its modules takes about a second before."""
MIN_STEP_SECONDS = 0.2
"""A step that is over by then is not shown, however long the command goes on."""
BEAT_SECONDS = 0.5
"""The bar is updated at least this often, also while a step reports nothing: its seconds go on."""

_UNCOUNTED_FORMAT = "{desc}: {elapsed}"
"""The format for a step that has reported no progress."""


class StepBar:
    """One step at a time on a terminal. A step that is over leaves no line.

    ``patience`` counts over all steps: five of them that take a second each would else be five seconds of silence.
    """

    def __init__(
        self,
        stream: IO[str],
        patience: float = PATIENCE_SECONDS,
        *,
        since: float | None = None,
        beat: float = BEAT_SECONDS,
    ) -> None:
        """``since`` is the monotonic time from which the command is silent, now if it is None."""
        self._stream, self._beat = stream, beat
        self._due = (monotonic() if since is None else since) + patience
        self._least = min(patience, MIN_STEP_SECONDS)
        self._bars: list[tqdm[Any]] = []

    @contextmanager
    def step(self, what: str) -> Iterator[ProgressCallback]:
        """See ``Host.step``. A step that begins within another one takes its place until it is over."""
        for outer in self._bars[-1:]:
            _wipe(outer)
        bar: tqdm[Any] = tqdm(
            desc=to_one_line(what),
            file=self._stream,
            unit="",
            unit_scale=True,
            leave=False,
            delay=max(self._least, self._due - monotonic()),
            dynamic_ncols=True,
            mininterval=0.2,
            miniters=0,
            position=0,
            bar_format=_UNCOUNTED_FORMAT,
        )
        self._bars.append(bar)

        def on_progress(done: int, total: int) -> None:
            bar.total, bar.bar_format = total or None, None
            if self._is_on_top(bar):
                bar.update(done - bar.n)
            else:
                bar.n = done

        over = Event()
        beats = Thread(target=self._keep_alive, args=(bar, over), daemon=True)
        beats.start()
        try:
            yield on_progress
        finally:
            over.set()
            beats.join()
            self._bars.pop()  # a step within this one is over before it
            bar.close()

    def _keep_alive(self, bar: tqdm[Any], over: Event) -> None:
        """Updates the bar from a thread of its own: a step that waits, such as for a query, reports nothing meanwhile."""
        while not over.wait(self._beat):
            if self._is_on_top(bar):
                bar.update(0)

    def _is_on_top(self, bar: tqdm[Any]) -> bool:
        """Is no other step within this one? Bars at one position compare equal, so identity is tested."""
        return bool(self._bars) and self._bars[-1] is bar

    def say(self, text: str) -> bool:
        """Lines above the bar; False where none is shown. ``text`` holds no control but line ends."""
        if not self._bars or not _is_shown(self._bars[-1]):
            return False
        bar = self._bars[-1]
        bar.write(text, file=bar.fp)
        return True


def _is_shown(bar: tqdm[Any]) -> bool:
    return bool(bar.last_print_t >= bar.start_t + (bar.delay or 0.0))


def _wipe(bar: tqdm[Any]) -> None:
    if _is_shown(bar):
        bar.clear()


class StepLines:
    """The same as a line a minute, where there is no terminal. The first comes after a minute."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._say, self._clock = say, clock

    @contextmanager
    def step(self, what: str) -> Iterator[ProgressCallback]:
        """See ``Host.step``."""
        began = self._clock()
        due = began + LINE_SECONDS

        def on_progress(done: int, total: int) -> None:
            nonlocal due
            now = self._clock()
            if now < due:
                return
            due = now + LINE_SECONDS
            self._say(f"{what}: {format_progress(done, total, now - began)}")

        yield on_progress


def format_progress(done: int, total: int, seconds: float) -> str:
    """``450,000 of 1,000,000 · 12 min left``, after ``seconds``; without a total the number alone."""
    if not done < total:
        return f"{done:,}"
    left = f" · {format_duration(seconds / done * (total - done))} left" if done else ""
    return f"{done:,} of {total:,}{left}"
