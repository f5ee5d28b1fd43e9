"""How many of an account's jobs the service lets run or queue at once, learned from what it refuses.

A decision only: it keeps a few numbers and is told what happened with ``now`` (seconds, any clock that doesn't go back).
"""

from __future__ import annotations

import math

from ..core.pace import AccountPace


class AtOnce:
    """An account's limit of jobs at once, where there is one: a POST beyond it gets a 429, however slowly it comes.

    The number that was in flight tells it from a limit of speed, and from chance. A refusal names a candidate: the jobs
    that were in flight. It is believed once refusals of POSTs that went out after the first was heard come at about the
    same number (``_SURE`` in two such episodes, or ``_EPISODES`` of them), and hardly any POST was accepted beyond it
    meanwhile (the ends of jobs are noticed late, so a few may be). A bucket has filled again by then and takes more;
    chance refuses at any number.

    From then on no POST goes out beyond the limit. After a time that doubles while it is in vain, one is sent beyond it, and
    each that is accepted there lets another one out, until one is refused. In vain it costs the pause that the refusal asks
    for: so the time is ``_LEAST_COST`` to ``_MOST_COST`` times that pause, and ``_PROBE_SECONDS`` to ``_LONGEST_PROBE`` where
    it is short. A limit that was raised is noticed as soon as a hundredth of the time is worth it. One or two that are
    accepted tell only that jobs have ended and nobody has noticed: until more are accepted than that explains (a tenth of
    the limit and one), or until the next probe is due, a refusal at the old limit still means the old limit.

    **Several workers** learn it each for itself. In flight is what this worker has, and what the others told last, which may
    be two seconds old. What they have beyond a candidate speaks against it as an acceptance does, and a limit that is passed
    by half is none. Where POSTs of others wait as well, a free place beyond this worker's part is left to them.

    A single refusal a little below it means that a job has ended since the POST went out; a second one lowers it. Far below
    it the limit has fallen, which is believed as the first one was.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        """Jobs in flight; None while none is known."""
        self.believed_at: float | None = None
        """When refusals alone last told it: those before that told of no limit of speed."""
        self._sure = 0  # the limit that refusals have told
        self._raised_at = 0.0
        self._short = False  # was the last one heard a little below it?
        self._candidate: int | None = None
        self._episodes = self._refused = self._beyond = 0
        self._most = 0  # jobs in flight at an acceptance since the candidate's first refusal
        self._heard_at: float | None = None  # when the first refusal of the latest episode came
        self._probe_due = 0.0
        self._probe_sent: float | None = None  # when the one that is under way went out
        self._patience = _PROBE_SECONDS
        self._others = AccountPace(leads=True, workers=1)

    def apply_account_pace(self, told: AccountPace, in_flight: int) -> None:
        """What the account's other workers told; ``in_flight`` of this worker's jobs are accepted and not over."""
        if told.workers != self._others.workers:
            self.restart()
        self._others = told
        total = in_flight + told.in_flight
        if self._candidate is not None:
            self._beyond += max(0, total - self._candidate)
        if self.limit is not None and told.in_flight and total >= _REFUTED * self.limit + 2:
            self.limit = None
            self._patience = _PROBE_SECONDS

    def admits(self, in_flight: int, now: float) -> bool:
        """May one more POST go out, with ``in_flight`` jobs accepted and not over, or on their way there?"""
        if self.limit is None:
            return True
        total = in_flight + self._others.in_flight
        if total < self.limit:
            return not self._others.waiting or in_flight < self._share(self.limit)
        return total == self.limit and now >= self._probe_due

    def until_probe(self, in_flight: int, now: float) -> float:
        """Seconds until one POST may go out beyond the limit although no job ends; infinite where too many are in flight."""
        if self.limit is None or in_flight + self._others.in_flight != self.limit:
            return math.inf
        return max(0.0, self._probe_due - now)

    def count_allowed(self, wanted: int, now: float) -> int:
        """Of ``wanted`` jobs in flight, as many as the account bears; one more where a probe is due."""
        if self.limit is None:
            return wanted
        left = max(self._share(self.limit), self.limit - self._others.in_flight)
        return min(wanted, left + (now >= self._probe_due))

    def _share(self, limit: int) -> int:
        """Of this worker, where others wait as well."""
        return -(-limit // self._others.workers)

    def sent(self, in_flight: int, now: float) -> None:
        """A POST goes out, ``in_flight`` as for ``admits``: no second probe before the first is answered."""
        if self.limit is not None and in_flight + self._others.in_flight >= self.limit:
            self._probe_due, self._probe_sent = now + self._patience, now
            if now - self._raised_at >= _PROBE_SECONDS:
                self._sure = self.limit

    def accepted(self, in_flight: int, now: float, sent_at: float) -> None:
        """A POST that went out at ``sent_at`` was accepted; ``in_flight`` counts it."""
        in_flight += self._others.in_flight
        if self._probe_sent is not None and sent_at >= self._probe_sent:
            # Also where a job has ended meanwhile, so that nothing is beyond the limit: the next one tells.
            self._probe_due, self._probe_sent = now, None
        self._most = max(self._most, in_flight)
        if self._candidate is not None and in_flight > self._candidate:
            self._beyond += 1
        self._short = self._short and in_flight < self._sure
        if self.limit is not None and in_flight > self.limit:
            self.limit = in_flight
            self._probe_due = self._raised_at = now
            if in_flight > self._sure + _unnoticed(self._sure):
                self.limit = self._sure = in_flight + in_flight // 10
                self._patience = _PROBE_SECONDS

    def refused(self, in_flight: int, now: float, sent_at: float, pause: float = 0.0) -> bool:
        """A 429 that asks for a ``pause`` (seconds), with ``in_flight`` jobs accepted and not over: does the account's limit
        explain it?
        """
        in_flight += self._others.in_flight
        together = self._heard_at is not None and sent_at <= self._heard_at
        if self.limit is not None and in_flight >= self._sure - _unnoticed(self._sure):
            self._settle(in_flight, now, pause, together=together)
            return True
        if together:
            self._refused += 1
            self._candidate = max(in_flight, self._candidate or 0)
        else:
            self._heard_at = now
            self._weigh(in_flight)
        sure = self._episodes >= _EPISODES or (self._episodes >= 2 and self._refused >= _SURE)
        if self._candidate and sure and 2 * self._beyond < self._refused:
            self.limit = self._sure = self._candidate
            self.believed_at = now
            self._candidate = None
            self._probe_due = now + self._patience
            return True
        return False

    def restart(self) -> None:
        """What is in flight is not known at the moment: the process was suspended."""
        self._candidate, self._heard_at = None, None

    def _settle(self, in_flight: int, now: float, pause: float, *, together: bool) -> None:
        """The limit is known, and explains a refusal; ``together`` with one that was counted."""
        assert self.limit is not None
        if in_flight >= self._sure:
            self.limit = min(self.limit, in_flight)
        elif self._short and not together:
            self.limit = self._sure = max(1, in_flight)
            self._short = False
        else:
            self.limit, self._short = self._sure, True
        if not together:
            longer = max(2 * self._patience, _LEAST_COST * pause)
            self._patience = min(longer, max(_LONGEST_PROBE, _MOST_COST * pause))
            self._heard_at = now
        self._probe_due, self._probe_sent = now + self._patience, None

    def _weigh(self, in_flight: int) -> None:
        """The first refusal of an episode: of the same limit as those before?"""
        candidate = self._candidate
        if candidate is not None and abs(in_flight - candidate) <= _unnoticed(candidate):
            self._episodes += 1
            self._refused += 1
            self._candidate = min(candidate, in_flight)
            return
        # Before the first jobs have ended nobody knows how long they take, and many that are over count as in flight. So many
        # that were refused together, and none accepted beyond what is in flight now, tell of the same limit. Where others
        # work, what was accepted of theirs is not known well enough for that.
        alone = self._others.workers == 1
        fewer = alone and candidate is not None and self._most <= in_flight < candidate
        same = fewer and self._episodes == 1 and self._refused >= _TOGETHER
        self._candidate, self._episodes, self._refused = in_flight, 1, 1 + self._refused * same
        self._beyond = self._most = 0


def _unnoticed(limit: int) -> int:
    """Jobs that may have ended at the service while we still count them."""
    return 1 + limit // 10


_REFUTED = 1.5
_SURE = 6
_EPISODES = 4
_TOGETHER = 3
_PROBE_SECONDS = 10.0
_LONGEST_PROBE = 100.0
_LEAST_COST = 10.0
_MOST_COST = 100.0
