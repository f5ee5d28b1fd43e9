"""How many POSTs that buy may be under way at once.

A decision only: it keeps a few numbers, and each event is passed to it with ``now`` (seconds, any monotonic clock).
"""

from __future__ import annotations

START = 8
"""POSTs under way at once while nothing is proved. An outage that begins makes a doubt of each POST under way."""
TOP = 20
"""POSTs under way at once at most."""


class WireWindow:
    """Additive increase, multiplicative decrease, as TCP's congestion avoidance (RFC 5681, section 3.1), of POSTs under way.

    Every ``_EACH`` POSTs that are accepted as quickly as usual let one more be under way, from ``START`` up to ``TOP``. A
    refusal (429) takes back what ``_REFUSAL`` acceptances proved: a service that refuses more than some four in a hundred
    stays at ``START``. So do one whose limit of speed is known, and a worker beside others. Of the first ``_FIRST``
    acceptances, in which a limit of speed shows, none counts.

    What is proved holds only while the service is seen to be well:

    - not before one of a burst is accepted: a burst begins where none was under way, for example after a pause that the
      service asked for (as TCP begins anew after an idle time, RFC 5681, section 4.1);
    - not while the oldest POST under way waits for longer than is quick;
    - not after any other answer than an acceptance or a 429, and not after a POST without an answer: all is taken back.

    So an outage that begins in a calm time, in which few are under way, or with a burst, meets ``START`` POSTs at most. One
    that begins within a burst, which lasts some round trips, meets ``TOP`` at most.

    Quick is ``_SLOW`` times the usual time or less. The usual time is a mean over the acceptances in which each has the
    weight of an eighth, as in RFC 6298, section 2. One that was not quick counts as the longest that is: a process that was
    stopped for a minute has not learned that a POST takes a minute.
    """

    def __init__(self) -> None:
        self._proved = 0  # acceptances
        self._sent: list[float] = []  # when each POST under way went out, the oldest first
        self._is_answered = False  # was one accepted quickly since the burst began?
        self._usual: float | None = None  # seconds from a POST to its acceptance

    def admits(self, now: float, *, is_free: bool) -> bool:
        """May another POST go out? ``is_free``: no limit of speed is known, and no other worker sends."""
        is_well = self._is_answered and (not self._sent or self._is_quick(now - self._sent[0]))
        more = max(0, self._proved - _FIRST) // _EACH if is_free and is_well else 0
        return len(self._sent) < START + more

    def note_sent(self, now: float) -> None:
        """A POST goes out."""
        self._is_answered = self._is_answered and bool(self._sent)
        self._sent.append(now)

    def note_unsent(self, sent_at: float) -> None:
        """The POST that had its turn at ``sent_at`` was not sent."""
        self._sent.remove(sent_at)

    def note_accepted(self, now: float, sent_at: float) -> None:
        """The POST that went out at ``sent_at`` was accepted."""
        self._sent.remove(sent_at)
        seconds = max(0.0, now - sent_at)
        if self._is_quick(seconds):
            self._is_answered = True
            self._proved = min(_FIRST + _EACH * (TOP - START), self._proved + 1)
        usual = seconds if self._usual is None else self._usual
        self._usual = usual + (min(seconds, _SLOW * usual) - usual) / 8

    def note_refused(self, sent_at: float) -> None:
        """The POST that went out at ``sent_at`` was refused with 429."""
        self._sent.remove(sent_at)
        self._proved = max(0, self._proved - _REFUSAL)

    def note_trouble(self, sent_at: float) -> None:
        """The POST that went out at ``sent_at`` had another answer, or none."""
        self._sent.remove(sent_at)
        self._proved = 0

    def _is_quick(self, seconds: float) -> bool:
        return self._usual is None or seconds <= _SLOW * self._usual


_FIRST = 20
_EACH = 2
_REFUSAL = 12
_SLOW = 2.0
