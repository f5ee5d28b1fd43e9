"""How far a step is that takes more than two seconds: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import IO, Any

from tqdm import tqdm

from ..core.steps import ProgressCallback
from ..core.visible import one_line
from .bar import LINE_SECONDS, minutes

PATIENCE_SECONDS = 2.0
"""A step that is over by then is not shown."""


class StepBar:
    """One step at a time on a terminal. What is over leaves nothing behind."""

    def __init__(self, stream: IO[str], patience: float = PATIENCE_SECONDS) -> None:
        self._stream, self._patience = stream, patience
        self._bar: tqdm[Any] | None = None

    @contextmanager
    def step(self, what: str) -> Iterator[ProgressCallback]:
        """See ``Host.step``. A step that begins within another one takes its place."""
        self.close()
        bar: tqdm[Any] = tqdm(
            desc=one_line(what),
            file=self._stream,
            unit="",
            unit_scale=True,
            leave=False,
            delay=self._patience,
            dynamic_ncols=True,
            mininterval=0.2,
            miniters=1,
        )
        self._bar = bar

        def told(done: int, total: int) -> None:
            if bar is self._bar:
                bar.total = total or None
                bar.update(done - bar.n)

        try:
            yield told
        finally:
            if bar is self._bar:
                self.close()

    def say(self, text: str) -> bool:
        """Lines above the bar; False where there is none. ``text`` holds no control but line ends."""
        if (bar := self._bar) is None:
            return False
        bar.write(text, file=bar.fp)
        return True

    def close(self) -> None:
        """The step is over."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class StepLines:
    """The same as a line a minute, where there is no terminal. The first comes after a minute."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._say, self._clock = say, clock

    @contextmanager
    def step(self, what: str) -> Iterator[ProgressCallback]:
        """See ``Host.step``."""
        began = self._clock()
        due = began + LINE_SECONDS

        def told(done: int, total: int) -> None:
            nonlocal due
            now = self._clock()
            if now < due:
                return
            due = now + LINE_SECONDS
            self._say(f"{what}: {far(done, total, now - began)}")

        yield told


def far(done: int, total: int, seconds: float) -> str:
    """``450,000 of 1,000,000 · 12 min left``, after ``seconds``; without a total the number alone."""
    if not done < total:
        return f"{done:,}"
    left = f" · {minutes(seconds / done * (total - done))} left" if done else ""
    return f"{done:,} of {total:,}{left}"
