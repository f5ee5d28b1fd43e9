"""How fast POSTs may go out.

A decision only: it keeps a few numbers, each event is passed to it with ``now`` (seconds, any monotonic clock), and the
pool does the sleeping. ``wait`` is how long to wait if no answer comes in the meantime: ask again after every answer.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random

from ..core.backoff import backoff
from .stretch import Episode, Sample, Stretch

_ROUNDING = 1e-9
"""The rounding error of a token."""


class PostRate:
    """How fast POSTs may go out: a model of the service, after BBR (Cardwell et al., "BBR: Congestion-Based Congestion
    Control", ACM Queue 14(5), 2016; draft-ietf-ccwg-bbr).

    A refusal (429) alone says nothing about our speed; the rate that was *delivered* does. The model is a token bucket of
    ``burst`` that fills with ``rate`` a second, in one of two states.

    **Free** (``rate`` is None). No limit is known. POSTs clock themselves: every accepted one lets two more out.
    A limit is assumed if either
    - most of the POSTs that were under way after a refused one were refused too: chance refuses the same share
      everywhere, an empty bucket refuses nearly all (or ``_MANY`` were refused in a row); or
    - the last ``_AGREE`` stretches between refusals delivered the same rate within their error, each of them well beyond a
      burst, and none since delivered more without a refusal: a limit repeats itself, chance does not.

    **Paced**. ``rate`` is ``KEPT`` of the limit, the windowed maximum of what the last stretches delivered (``_WINDOW``
    of them for a deep fall, ``_AGREE`` for a small one), the first ``burst`` of each left out: one short stretch lowers
    nothing. While the limit is only a guess, each accepted POST that waited for the pace adds one a second (BBR's
    startup). Once it is known the rate stands, and short probes go ``_GAIN`` above it, for as long as it takes to overdraw
    the service's bucket: sooner where the rate is far below what was delivered within the last ten minutes or a probe has
    just passed, later where one was refused, never so often that the pauses asked for take more than a sixth of the time. A
    probe that passes removes the limit, and growth begins again. ``CHANCES`` refusals by chance free it.

    **By chance** a POST was refused for which no limit had an empty bucket: the slowest one that lets the stretch before it
    through (``stretch``) had tokens left, or fewer than a burst had gone out of a full one, or the pace is only a guess and
    the POST did not wait for it. Where slots and not the pace decide when POSTs go out, a steady demand looks like a limit
    in all but this.

    **Samples that were limited by us** are no samples: refusals by chance end none, and a new stretch begins after an idle
    time (the bucket was full and no POST was sent), after a hold, and when ``restart`` says that the process was suspended.
    They may raise the estimate, never lower it.

    **A service that accepts nothing** shows no speed: after ``_LEARNING_EPISODES`` episodes without an acceptance, refusals
    only hold. Taken for a limit, a minute of them would leave one POST in five minutes.

    ``Retry-After`` holds all POSTs in any state. A refusal without one holds them only where it is not alone: the second in
    a row, or under a limit. A ``rate`` given is the upper bound for good. Compared with a CUBIC like botocore's, AIMD and
    with the algorithm before this one: ``benchmarks/paces.py``.
    """

    def __init__(self, rate: float | None, burst: int = 5) -> None:
        self._most = rate
        self._burst = max(1, burst)
        self._tokens = float(self._burst if rate is None else self._bucket())
        self._at: float | None = None
        self.rate = rate
        """POSTs a second; None while there is no limit."""
        self._limit: float | None = None  # the service's limit; None while unknown
        self._known_limits: deque[tuple[float, float]] = deque(maxlen=32)  # limits that were known: when, what
        self._samples: deque[Sample] = deque(maxlen=_AGREE)
        self._votes: deque[bool] = deque(maxlen=4)  # of refusals under a limit: was it chance?
        self._stretch: Stretch | None = None
        self._episode: Episode | None = None
        self._taken_at = -math.inf
        self._paced_posts: deque[tuple[float, bool]] = deque(maxlen=32)  # POSTs: when, and did they wait for the pace?
        self._held_from = self._held_until = -math.inf
        self._unanswered = 0  # refusals since the last acceptance
        self._fruitless_episodes = 0  # episodes since the last acceptance
        self._probe_from: float | None = None
        self._probe_due = math.inf
        self._probe_gap = _PROBE_SECONDS

    # --- queries ---

    @property
    def held_until(self) -> float:
        """Until then no POST goes out."""
        return self._held_until

    @property
    def own(self) -> float | None:
        """POSTs a second that go out here; None while there is no limit."""
        return self.rate

    @property
    def learned(self) -> float | None:
        """``own``, where 429s and not the person set it; None where they didn't."""
        return None if self._most is not None and self.rate is not None and self.rate >= self._most else self.own

    @property
    def is_free(self) -> bool:
        """No limit is known, and no other worker sends POSTs of this account."""
        return self.own is None

    def wait(self, now: float) -> float:
        """Seconds until a POST may go out; 0 is now."""
        self._refill(now)
        if now < self._held_until:
            return self._held_until - now
        if self._tokens >= 1.0 - _ROUNDING:
            return 0.0
        return (1.0 - self._tokens) / self._refill_rate()

    # --- events ---

    def take(self, now: float) -> None:
        """A POST goes out."""
        self._refill(now)
        idle = (
            now - self._taken_at > _IDLE_SECONDS
            if self.rate is None
            else self._tokens >= self._bucket() - _ROUNDING
            and now - self._taken_at > self._bucket() / self._refill_rate() + 1.0
        )
        if self._stretch is None or idle:
            self._end_stretch()
            held = now - self._taken_at if idle else self._held_until - self._held_from
            self._stretch = self._make_stretch(now, held)
            self._probe_from = None
        self._paced_posts.append((now, self.rate is None or self._tokens < _PACED_TOKENS))
        self._tokens -= 1.0
        self._taken_at = now
        self._probe(now)

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:
        """The service accepted a POST, which went out at ``sent_at``."""
        sent_at = now if sent_at is None else sent_at
        self._unanswered = 0
        self._fruitless_episodes = 0
        if self._stretch is not None and sent_at >= self._stretch.began:
            self._stretch.accept(sent_at)
        episode = self._episode
        if episode is not None and episode.sent_at < sent_at <= episode.refused_at:
            episode.accepted += 1
        if self.rate is None:
            self._tokens += 2.0
        elif self._limit is None and now >= self._held_until and self._was_paced(sent_at):
            self._set_rate(self.rate + self._compute_growth())

    def throttled(self, now: float, retry_after: float | None, rng: Random, *, sent_at: float | None = None) -> None:
        """A 429, or a 503 that names a time. ``retry_after`` in seconds; ``sent_at`` is when its POST went out.

        All that were under way when the first one came belong to its episode, whatever their number.
        """
        sent_at = now if sent_at is None else sent_at
        self._unanswered += 1
        episode = self._episode
        if episode is not None and (sent_at <= episode.refused_at or now < self._held_until):
            episode.refused += sent_at > episode.sent_at
            same_episode = True
        else:
            self._episode = episode = Episode(sent_at, now)
            same_episode = False
            self._fruitless_episodes += 1
            if self._fruitless_episodes <= _LEARNING_EPISODES:
                self._judge(now, sent_at)
        is_alone = episode.refused < _MANY or episode.refused < episode.accepted
        if self.rate is None and (not is_alone or self._unanswered >= _MANY):
            self._believe(now, None)
        self._hold(now, retry_after, rng, same_episode=same_episode)

    def held(self, now: float, retry_after: float | None, rng: Random) -> None:
        """A refusal that has another cause than our speed: only the pause that it asks for is kept."""
        self._stretch = None
        self._hold(now, retry_after, rng, same_episode=False)

    def restart(self) -> None:
        """The process was suspended, or waited for a person: measuring restarts, and nothing measured before is lost."""
        self._stretch = None
        self._episode = None
        self._probe_from = None

    def forget(self, now: float) -> None:
        """Another cause explains the refusals so far: drop the limit of speed."""
        self.restart()
        self._drop_limit(now)

    def adopt_limit(self, now: float, limit: float) -> None:
        """Take over a limit that another worker has learned, in POSTs a second. Measuring goes on from there."""
        self.restart()
        self._samples.clear()
        self._known_limits.clear()
        self._votes.clear()
        self._set_limit(now, limit)

    # --- the bucket ---

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            begin = max(self._at, min(now, self._held_until)) if self.rate is None else self._at
            self._tokens += (now - begin) * self._refill_rate()
        self._at = now if self._at is None else max(self._at, now)
        if self.rate is not None:
            self._tokens = min(self._tokens, float(self._bucket()))

    def _bucket(self) -> int:
        """Not all of the burst where there is a limit: POSTs that arrive unevenly, and a rate measured a little too high,
        would be refused after the first burst, and again after each hold.
        """
        return max(1, self._burst - SPARE)

    def _refill_rate(self) -> float:
        # Without a limit, accepted POSTs let the next ones out; the trickle is for those whose answer never comes.
        return _TRICKLE if self.rate is None else self.rate

    def _is_sufficient(self, sample: Sample) -> bool:  # noqa: ARG002 - for one of several workers it may not be enough
        """Does ``sample``, at which growth met the limit, determine the limit?"""
        return True

    def _count_needed_chances(self) -> int:
        """If so many of the last four refusals under a limit were chance, there is no limit."""
        return CHANCES

    def _compute_growth(self) -> float:
        """POSTs a second that an accepted one adds while the limit is sought."""
        return 1.0

    def _set_rate(self, rate: float) -> None:
        self.rate = max(_SLOWEST, rate if self._most is None else min(rate, self._most))

    def _hold(self, now: float, retry_after: float | None, rng: Random, *, same_episode: bool) -> None:
        if retry_after is not None and math.isfinite(retry_after):
            pause = min(_LONGEST_HOLD, max(0.0, retry_after)) * rng.uniform(1.0, 1.05)
        elif same_episode or (self.rate is None and self._unanswered < 2):
            return
        else:
            pause = 0.25 + backoff(min(self._unanswered - 1, 30), rng, base=1.0, cap=60.0)
        if now >= self._held_until:
            self._held_from = now
        self._held_until = max(self._held_until, now + pause)
        limit = self._limit or self.rate
        # A refusal says that the bucket is empty. If the pause is too short to fill it, measuring goes on from there.
        spent = limit is not None and (self._held_until - self._held_from) * limit < self._burst
        old = self._stretch
        if not spent:
            self._end_stretch()
        elif old is None or not old.spent or now - old.began > _LONG_SECONDS:
            self._end_stretch()
            self._stretch = Stretch(now, self._burst, self._burst, spent=True)

    def _make_stretch(self, now: float, held: float) -> Stretch:
        """One that begins now, after ``held`` seconds in which nothing was sent."""
        return Stretch(now, self._burst, bare=self._is_bucket_full_after(held))

    def _is_bucket_full_after(self, held: float) -> bool:
        """Is a hold so long that the bucket of the service must be full after it?"""
        return self._limit is not None and held * self._limit >= self._burst

    # --- learning ---

    def _was_paced(self, sent_at: float) -> bool:
        """Did the POST that went out at ``sent_at`` wait for the pace, and not for a slot or a job to buy?"""
        return next((paced for taken_at, paced in reversed(self._paced_posts) if taken_at <= sent_at), True)

    def _end_stretch(self) -> None:
        """POSTs delivered without a refusal count too: samples of a lower rate were no limit."""
        if self._samples and self._stretch is not None:
            most = max(sample.most for sample in self._samples)
            if self.rate is None and self._stretch.find_slowest_limit() > _MORE * most:
                self._samples.clear()
        self._stretch = None

    def _judge(self, now: float, sent_at: float) -> None:
        """Learn from the first refusal of an episode."""
        gap = 1.0 / self.rate if self.rate else 0.0
        measured = self._stretch.measure(sent_at, gap) if self._stretch is not None else None
        by_chance = measured is not None and self._stretch is not None and not self._stretch.explains(sent_at)
        if measured is not None and not by_chance:
            self._samples.append(measured)
        if self.rate is None:
            if (agreed := self._find_agreed_rate(now)) is not None:
                self._believe(now, agreed)
            return
        by_chance = by_chance or self._is_too_soon(sent_at)
        self._votes.append(by_chance)
        if sum(self._votes) >= self._count_needed_chances():
            self._drop_limit(now)
        elif self._limit is not None:
            if self._probe_from is not None:
                self._probe_gap = min(_LONGEST_PATIENCE, 2 * self._probe_gap)
            if measured is not None and not by_chance:
                self._follow(now, self._limit)
            self._return_to_limit(now)
        elif not by_chance:  # growth has met the limit
            self._believe(now, measured.likely if measured and self._is_sufficient(measured) else None)

    def _is_too_soon(self, sent_at: float) -> bool:
        """Was a POST refused before a full bucket could be spent, or without waiting for a pace that is a guess?"""
        if self._limit is None:
            return not self._was_paced(sent_at)
        return self._stretch is not None and self._stretch.bare and self._stretch.answered < self._burst - 1

    def _follow(self, now: float, limit: float) -> None:
        """Lower a known ``limit`` where the last samples are below it."""
        recent = [sample.middle for sample in self._samples]
        if len(recent) >= _WINDOW and max(recent[-_WINDOW:]) < _FALLEN * limit:
            self._set_limit(now, max(recent[-_WINDOW:]))
        elif len(recent) == _AGREE and (at_least := max(sample.least for sample in self._samples)) < limit:
            self._set_limit(now, at_least)

    def _find_agreed_rate(self, now: float) -> float | None:
        """The rate that the last stretches delivered, if they agree and each determines a rate."""
        samples = [sample for sample in self._samples if now - sample.at < _MEMORY_SECONDS and sample.is_precise]
        if len(samples) < _AGREE or max(sample.least for sample in samples) > min(sample.most for sample in samples):
            return None
        return sum(sample.middle for sample in samples) / len(samples)

    def _believe(self, now: float, measured: float | None) -> None:
        """Assume a limit: ``measured``, or to be sought from below."""
        if measured is not None:
            self._set_limit(now, measured)
        else:
            self._limit = None
            self._set_rate(_FIRST_GUESS if self.rate is None else 0.5 * self.rate)
        self._votes.clear()
        self._tokens = min(self._tokens, float(self._bucket()))

    def _set_limit(self, now: float, limit: float) -> None:
        limit = max(_SLOWEST, limit)  # stretches in which nothing was delivered yield 0
        self._limit = limit
        self._known_limits.append((now, limit))
        self._return_to_limit(now)

    def _return_to_limit(self, now: float) -> None:
        """Back to the known limit; the next probe is due later."""
        assert self._limit is not None
        self._set_rate(KEPT * self._limit)
        self._probe_from = None
        held = max(0.0, self._held_until - max(now, self._held_from))
        highest = max(
            (limit for known_at, limit in self._known_limits if now - known_at < _MEMORY_SECONDS), default=self._limit
        )
        low = self._limit < 0.7 * highest
        usual = max(self._probe_gap, _PROBE_POSTS / self._limit)
        self._probe_due = now + max(PROBE_LOW_SECONDS if low else usual, _PROBE_COST * held)

    def _probe(self, now: float) -> None:
        """Called at each POST: begin a probe, or end one that has passed."""
        if self.rate is None or self._limit is None or self._stretch is None:
            return
        if self._probe_from is None:
            if now >= self._probe_due:
                self._probe_from = now
                self._set_rate(_GAIN * self._limit)
        elif now - self._probe_from >= (self._burst + 2) / ((_GAIN - 1.0) * self._limit) + _PROBE_TRIP:
            self._limit = None  # the service accepts more: learn how much
            self._probe_gap = PROBE_LOW_SECONDS  # the limit has changed, and growth finds one a little too low
            self._probe_from = None

    def _drop_limit(self, now: float) -> None:  # noqa: ARG002 - the signature of the other changes
        self._votes.clear()
        self._samples.clear()
        self._limit = None
        self._probe_from = None
        self.rate = self._most
        if self.rate is None:
            self._tokens = max(self._tokens, float(self._burst))


SPARE = 1
"""Tokens of a learned rate's burst that stay unused."""
KEPT = 0.97  # of the limit that was measured
_LONGEST_HOLD = 300.0
_TRICKLE = 10.0
_FIRST_GUESS = 10.0
_SLOWEST = 1.0 / 300.0
_IDLE_SECONDS = 2.0
_LONG_SECONDS = 20.0
_MANY = 4
_LEARNING_EPISODES = 3
_AGREE = 4
_WINDOW = 2
_FALLEN = 0.6
CHANCES = 2
_PACED_TOKENS = 2.0
_MORE = 1.25
_GAIN = 1.25
_PROBE_SECONDS = 20.0
_PROBE_POSTS = 60
PROBE_LOW_SECONDS = 5.0
_PROBE_COST = 5.0
_PROBE_TRIP = 0.2
_LONGEST_PATIENCE = 300.0
_MEMORY_SECONDS = 600.0
