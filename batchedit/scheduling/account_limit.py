"""How many of an account's jobs the service lets run or queue at once, learned from its refusals.

A decision only: it keeps a few numbers, and each event is passed to it with ``now`` (seconds, any monotonic clock).
"""

from __future__ import annotations

import math

from ..core.pace import AccountPace


class AccountLimit:
    """An account's limit of jobs at once, where there is one: a POST beyond it gets a 429, at any rate of POSTs.

    The number of jobs in flight distinguishes it from a limit of speed, and from chance. A refusal sets a candidate: the
    jobs that were in flight. It is believed once refusals of POSTs that went out after the first refusal came, come at
    about the same number (``_SURE`` in two such episodes, or ``_EPISODES`` of them), and hardly any POST was accepted beyond
    it meanwhile (the ends of jobs are noticed late, so a few may be). A token bucket has filled again by then and accepts
    more; chance refuses at any number.

    From then on no POST goes out beyond the limit. After a time that doubles with each refused probe, one POST is sent
    beyond it as a probe, and each that is accepted there lets another one out, until one is refused. A refused probe costs
    the pause that the refusal asks for: so the time is ``_LEAST_COST`` to ``_MOST_COST`` times that pause, and
    ``_PROBE_SECONDS`` to ``_LONGEST_PROBE`` where it is short. A raised limit is noticed as soon as a hundredth of the time
    is worth it. One or two acceptances show only that jobs have ended unnoticed: until more are accepted than that explains
    (a tenth of the limit and one), or until the next probe is due, a refusal at the old limit still means the old limit.

    **Several workers** learn it each for itself. In flight are this worker's jobs, and those that the others reported last,
    which may be two seconds old. Jobs of theirs beyond a candidate speak against it as an acceptance does, and a limit that
    is passed by half is none. Where POSTs of others wait as well, a free place beyond this worker's share is left to them.

    A single refusal a little below it means that a job has ended since the POST went out; a second one lowers it. Far below
    it the limit has fallen, which is believed as the first one was.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        """Jobs in flight; None while none is known."""
        self.believed_at: float | None = None
        """When refusals alone last established it: earlier refusals showed no limit of speed."""
        self._sure = 0  # the limit that refusals have established
        self._raised_at = 0.0
        self._short = False  # did the last refusal come a little below it?
        self._candidate: int | None = None
        self._episodes = self._refused = self._beyond = 0
        self._most = 0  # jobs in flight at an acceptance since the candidate's first refusal
        self._refused_at: float | None = None  # when the first refusal of the latest episode came
        self._probe_due = 0.0
        self._probe_sent: float | None = None  # when the one that is under way went out
        self._probe_gap = _PROBE_SECONDS
        self._others = AccountPace(leads=True, workers=1)

    def apply_account_pace(self, pace: AccountPace, in_flight: int) -> None:
        """Take over the report of the other workers; ``in_flight`` of this worker's jobs are accepted and not over."""
        if pace.workers != self._others.workers:
            self.restart()
        self._others = pace
        total = in_flight + pace.in_flight
        if self._candidate is not None:
            self._beyond += max(0, total - self._candidate)
        if self.limit is not None and pace.in_flight and total >= _REFUTED * self.limit + 2:
            self.limit = None
            self._probe_gap = _PROBE_SECONDS

    def admits(self, in_flight: int, now: float) -> bool:
        """May one more POST go out, with ``in_flight`` jobs accepted and not over, or on their way there?"""
        if self.limit is None:
            return True
        total = in_flight + self._others.in_flight
        if total < self.limit:
            return not self._others.waiting or in_flight < self._compute_share(self.limit)
        return total == self.limit and now >= self._probe_due

    def compute_time_to_probe(self, in_flight: int, now: float) -> float:
        """Seconds until one POST may go out beyond the limit although no job ends; infinite where too many are in flight."""
        if self.limit is None or in_flight + self._others.in_flight != self.limit:
            return math.inf
        return max(0.0, self._probe_due - now)

    def count_allowed(self, wanted: int, now: float) -> int:
        """Of ``wanted`` jobs in flight, as many as the account allows; one more where a probe is due."""
        if self.limit is None:
            return wanted
        free = max(self._compute_share(self.limit), self.limit - self._others.in_flight)
        return min(wanted, free + (now >= self._probe_due))

    def _compute_share(self, limit: int) -> int:
        """This worker's share of ``limit``, where others wait as well."""
        return -(-limit // self._others.workers)

    def note_sent(self, in_flight: int, now: float) -> None:
        """A POST goes out, ``in_flight`` as for ``admits``: no second probe before the first is answered."""
        if self.limit is not None and in_flight + self._others.in_flight >= self.limit:
            self._probe_due, self._probe_sent = now + self._probe_gap, now
            if now - self._raised_at >= _PROBE_SECONDS:
                self._sure = self.limit

    def note_accepted(self, in_flight: int, now: float, sent_at: float) -> None:
        """A POST that went out at ``sent_at`` was accepted; ``in_flight`` counts it."""
        in_flight += self._others.in_flight
        if self._probe_sent is not None and sent_at >= self._probe_sent:
            # Also where a job has ended meanwhile, so that nothing is beyond the limit: the next POST shows it.
            self._probe_due, self._probe_sent = now, None
        self._most = max(self._most, in_flight)
        if self._candidate is not None and in_flight > self._candidate:
            self._beyond += 1
        self._short = self._short and in_flight < self._sure
        if self.limit is not None and in_flight > self.limit:
            self.limit = in_flight
            self._probe_due = self._raised_at = now
            if in_flight > self._sure + _allow_unnoticed(self._sure):
                self.limit = self._sure = in_flight + in_flight // 10
                self._probe_gap = _PROBE_SECONDS

    def note_refused(self, in_flight: int, now: float, sent_at: float, pause: float = 0.0) -> bool:
        """A 429 that asks for a ``pause`` (seconds), with ``in_flight`` jobs accepted and not over. True if the account's
        limit explains it.
        """
        in_flight += self._others.in_flight
        together = self._refused_at is not None and sent_at <= self._refused_at
        if self.limit is not None and in_flight >= self._sure - _allow_unnoticed(self._sure):
            self._apply_refusal(in_flight, now, pause, together=together)
            return True
        if together:
            self._refused += 1
            self._candidate = max(in_flight, self._candidate or 0)
        else:
            self._refused_at = now
            self._weigh_candidate(in_flight)
        sure = self._episodes >= _EPISODES or (self._episodes >= 2 and self._refused >= _SURE)
        if self._candidate and sure and 2 * self._beyond < self._refused:
            self.limit = self._sure = self._candidate
            self.believed_at = now
            self._candidate = None
            self._probe_due = now + self._probe_gap
            return True
        return False

    def restart(self) -> None:
        """The process was suspended: how many jobs are in flight is not known now."""
        self._candidate, self._refused_at = None, None

    def _apply_refusal(self, in_flight: int, now: float, pause: float, *, together: bool) -> None:
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
            longer = max(2 * self._probe_gap, _LEAST_COST * pause)
            self._probe_gap = min(longer, max(_LONGEST_PROBE, _MOST_COST * pause))
            self._refused_at = now
        self._probe_due, self._probe_sent = now + self._probe_gap, None

    def _weigh_candidate(self, in_flight: int) -> None:
        """The first refusal of an episode: of the same limit as those before?"""
        candidate = self._candidate
        if candidate is not None and abs(in_flight - candidate) <= _allow_unnoticed(candidate):
            self._episodes += 1
            self._refused += 1
            self._candidate = min(candidate, in_flight)
            return
        # Before the first jobs have ended their lifetime is not known, and many that are over count as in flight. So many
        # that were refused together, and none accepted beyond what is in flight now, show the same limit. Where other
        # workers send, their acceptances are not known well enough for that.
        alone = self._others.workers == 1
        fewer = alone and candidate is not None and self._most <= in_flight < candidate
        same = fewer and self._episodes == 1 and self._refused >= _TOGETHER
        self._candidate, self._episodes, self._refused = in_flight, 1, 1 + self._refused * same
        self._beyond = self._most = 0


def _allow_unnoticed(limit: int) -> int:
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
