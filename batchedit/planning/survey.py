"""Counts of a manifest, made while its lines pass on their way to the checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..core.model import InvalidLine, ResultLine, State
from ..ledger.book import Intake
from ..ports import HasElsewhere, StateOf

EXAMPLES = 3
EXAMPLES_WITHIN = 1000
"""The pictures to buy, from the first, among which examples are chosen."""
_STORED_COUNTS = ("rows", "twins", "invalid_rows", "beyond", "outputs")
MOST_REPORTED = 200
"""Invalid rows, and edits, that are kept to be reported one by one. The rest is counted."""


@dataclass
class Survey:
    """Counts of a manifest, made while its lines pass. Memory does not grow with the manifest.

    ``wanted`` counts distinct jobs within ``limit``. Of these, ``to_buy`` are not bought yet: ``left`` were planned by an
    earlier run, ``edited`` replace an older job, the rest is new. ``others`` counts jobs that were bought before and are not
    done, by state. ``odd_ids`` counts new jobs whose row's id has letters beyond ASCII. ``inputs`` counts the sheet's
    pictures that go into ``to_buy``; ``joins``: several of them go into one job. ``state_of`` gives the jobs' states before
    this manifest. ``elsewhere`` counts jobs that other runs have, ``known`` those that this run had. A job gives at most
    ``outputs`` pictures.
    """

    limit: int | None = None
    state_of: StateOf = lambda key: None  # noqa: ARG005 - nothing is known
    has_elsewhere: HasElsewhere = lambda key: False  # noqa: ARG005 - no other run has it
    rows: int = 0
    lines: int = 0
    twins: int = 0
    wanted: int = 0
    to_buy: int = 0
    left: int = 0
    edited: int = 0
    odd_ids: int = 0
    inputs: int = 0
    joins: bool = False
    beyond: int = 0
    known: int = 0
    elsewhere: int = 0
    invalid_rows: int = 0
    outputs: int = 1
    others: Counter[State] = field(default_factory=Counter)
    invalid: list[InvalidLine] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[ResultLine] = field(default_factory=list)
    edits: list[ResultLine] = field(default_factory=list)
    _row: int = 0
    _row_to_buy: int = 0

    def watch(self, lines: Iterable[ResultLine | InvalidLine]) -> Iterator[ResultLine | InvalidLine]:
        """Pass ``lines`` on, counting them."""
        for line in lines:
            if (row := line.row) != self._row:
                self._row = row
                self.rows += 1
            if isinstance(line, ResultLine):
                self._count(line)
            else:
                self._count_invalid(line)
            yield line

    def _count(self, line: ResultLine) -> None:
        self.lines += 1
        if line.duplicate:
            self.twins += 1
            return
        key = line.job.key
        state = self.state_of(key)
        if state is not None:
            self.known += 1
        if self.limit is not None and self.wanted >= self.limit:
            self.beyond += 1
            return
        self.wanted += 1
        if state is not None and state is not State.PLANNED:
            if state is not State.DONE:
                self.others[state] += 1
            return
        if self.has_elsewhere(key):
            self.elsewhere += 1
            return
        self._count_purchase(line, was_planned=state is not None)

    def _count_purchase(self, line: ResultLine, *, was_planned: bool) -> None:
        self.to_buy += 1
        if self._row != self._row_to_buy:
            self._row_to_buy = self._row
            self.inputs += line.pictures
            self.joins = self.joins or line.pictures > 1
        if len(self.examples) < EXAMPLES and self.to_buy <= EXAMPLES_WITHIN:
            self._keep_example(line)
        if was_planned:
            self.left += 1
        elif line.job.version > 1:
            self.edited += 1
            if len(self.edits) < MOST_REPORTED:
                self.edits.append(line)
        elif not line.id.isascii():
            self.odd_ids += 1

    def _keep_example(self, line: ResultLine) -> None:
        """Keep an example with a new prompt: two sizes of one row show nothing new."""
        prompt = orjson.loads(line.job.inputs).get("prompt")
        if all(orjson.loads(other.job.inputs).get("prompt") != prompt for other in self.examples):
            self.examples.append(line)

    def _count_invalid(self, line: InvalidLine) -> None:
        if line.left_out:
            self.left_out[line.left_out] += 1
            return
        self.invalid_rows += 1
        if len(self.invalid) < MOST_REPORTED:
            self.invalid.append(line)

    @property
    def reused(self) -> int:
        """Wanted jobs that were bought before, in this run."""
        return self.wanted - self.to_buy - self.elsewhere


def count_survey(lines: Iterable[ResultLine | InvalidLine], survey: Survey) -> Survey:
    """Count all ``lines``; store and send nothing."""
    for _ in survey.watch(lines):
        pass
    return survey


def take_in(intake: Intake, lines: Iterable[ResultLine | InvalidLine], survey: Survey) -> None:
    """Manifest → jobs → checkpoint. Nothing of it counts before ``commit``."""
    intake.add(survey.watch(lines))


def dump_survey(survey: Survey, guesses: Sequence[str]) -> str:
    """The part of a survey that the run stores, as JSON, for ``run RUN``, which reads no sheet."""
    counts = {name: getattr(survey, name) for name in _STORED_COUNTS}
    return orjson.dumps({**counts, "left_out": survey.left_out, "guesses": guesses}).decode()


def read_survey(text: str) -> dict[str, Any]:
    """The fields of a ``Plan`` that ``dump_survey`` kept. ValueError for what it can't have written."""
    fields = orjson.loads(text)
    if not (isinstance(fields, dict) and fields.keys() <= {*_STORED_COUNTS, "left_out", "guesses"}):
        raise ValueError(text)
    guesses, left_out = fields.get("guesses", []), fields.get("left_out", {})
    counts = [fields[name] for name in _STORED_COUNTS if name in fields]
    if not (isinstance(guesses, list) and all(isinstance(guess, str) for guess in guesses)):
        raise ValueError(text)
    if not (isinstance(left_out, dict) and all(type(count) is int for count in (*counts, *left_out.values()))):
        raise ValueError(text)
    return {"rows": 0, **fields}
