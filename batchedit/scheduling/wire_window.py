"""How many POSTs that buy may be under way at once.

A decision only: it keeps a few numbers, and each event is passed to it with ``now`` (seconds, any monotonic clock).
"""

from __future__ import annotations

START = 11
"""POSTs under way at once while nothing is known of the moment: an outage that begins makes a doubt of each."""
TOP = 14
"""POSTs under way at once at most."""


class WireWindow:
    """TCP's slow start (RFC 5681, section 3.1) for POSTs, from ``START`` up to ``TOP``.

    A burst is a time in which more than ``CALM`` are under way: after a Retry-After all places are free, and it lasts a few
    round trips. A POST of a burst that is accepted as quickly as usual is fresh proof that the service is well, and lets one
    more be under way. What was proved is forgotten

    - when at most ``CALM`` are under way: ``START`` may be, as in TCP after an idle time (RFC 5681, section 4.1);
    - while the oldest POST under way waits for longer than is quick, and after an acceptance that was not quick: ``START``;
    - after any other answer than an acceptance or a refusal of the input: ``CALM``, so that the next one waits for most of
      those under way, as TCP begins anew after a loss.

    So an outage that begins in a calm time meets ``START`` POSTs, and one that begins within a burst ``TOP`` at most.

    Quick is ``SLOW`` times the usual time or less. The usual time is a mean over the acceptances in which each has the
    weight of an eighth, as in RFC 6298, section 2. One that was not quick counts as the longest that is: a process that was
    stopped for a minute has not learned that a POST takes a minute.
    """

    def __init__(self) -> None:
        self._allowed = START
        self._sent: list[float] = []  # when each POST under way went out, the oldest first
        self._usual: float | None = None  # seconds from a POST to its acceptance

    def admits(self, now: float) -> bool:
        """May another POST go out?"""
        if len(self._sent) <= CALM:
            self._allowed = START
        elif not self._is_quick(now - self._sent[0]):
            self._allowed = min(self._allowed, START)
        return len(self._sent) < self._allowed

    def note_sent(self, now: float) -> None:
        """A POST goes out."""
        self._sent.append(now)

    def note_unsent(self, sent_at: float) -> None:
        """The POST that had its turn at ``sent_at`` was not sent."""
        self._sent.remove(sent_at)

    def note_answer(self, now: float, sent_at: float, *, well: bool) -> None:
        """The POST that went out at ``sent_at`` has its answer; ``well``: it was accepted, or its input was refused."""
        in_burst = len(self._sent) > CALM
        self._sent.remove(sent_at)
        if not well:
            self._allowed = CALM
            return
        seconds = max(0.0, now - sent_at)
        if not self._is_quick(seconds):
            self._allowed = min(self._allowed, START)
        elif in_burst:
            self._allowed = min(TOP, self._allowed + 1)
        self._learn(seconds)

    def _is_quick(self, seconds: float) -> bool:
        return self._usual is None or seconds <= SLOW * self._usual

    def _learn(self, seconds: float) -> None:
        if self._usual is None:
            self._usual = seconds
        else:
            self._usual += (min(seconds, SLOW * self._usual) - self._usual) / 8


CALM = 4
SLOW = 2.0
