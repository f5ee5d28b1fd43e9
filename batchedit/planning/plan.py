"""The plan of a run: what would be bought, what was bought before, which rows are invalid. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.budget import GivenCap, choose_cap
from ..core.errors import BatcheditError, ManifestError, UsageError
from ..core.model import InvalidLine, ResultLine, State
from ..core.money import format_usd, label_play
from ..core.shell_commands import format_command, quote_word
from ..images.link_sample import NOT_SAMPLED, Sample
from ..ledger.book import Book
from ..ledger.run_facts import read_fact
from ..manifest.read import Form
from ..manifest.rownames import find_row_id, to_sheet_row
from ..run_folder import RunFolder
from ..settings.model import Settings
from .edits import Edit
from .other_runs import ElsewhereTotals
from .survey import read_survey

_COUNTED_APART = frozenset({State.PLANNED, State.DONE})


@dataclass(frozen=True)
class Plan:
    """What a run would do, shown before anything is bought. ``price`` is micro-dollars a job, 0 if unknown. ``max_cost`` is
    the cap after a yes, None for none; ``max_cost_before`` is the one that holds until then.

    ``matrix`` lists the factors that each row is multiplied by. Of ``to_buy``, ``left`` were planned before and ``edited``
    replace an older picture. Of ``reused``, ``others`` counts those that are not done, by state. ``again`` are in doubt and
    bought once more. ``inputs`` counts the sheet's pictures that go into ``to_buy`` if several go into one, else 0.

    If the source is a run and not a manifest, ``parts`` says what ``to_buy`` consists of, and ``not_meant`` what might be
    meant and is not bought. ``balance`` is the account's balance in micro-dollars, None if unknown. ``other_runs`` counts
    jobs that other runs have and that are not bought here. Rows in ``invalid``, ``examples`` and ``edits`` have the sheet's
    own numbers; ``row_word`` is the word for what is numbered. ``strange``: a run that is not known to be this person's.
    ``forgotten`` jobs were bought after its checkpoint, an older copy, was made. ``gone`` are folders of runs of this sheet
    that are gone. A job gives at most ``outputs`` pictures, which its ``price`` includes. ``own_sandbox``: the service is a
    sandbox that this person started.
    """

    source: str
    folder: Path
    model: str
    rows: int
    to_buy: int
    reused: int
    lines: int = 0
    matrix: Sequence[tuple[str, int]] = ()
    inputs: int = 0
    again: int = 0
    twins: int = 0
    left: int = 0
    edited: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    beyond: int = 0
    invalid_rows: int = 0
    invalid: Sequence[InvalidLine] = ()
    examples: Sequence[ResultLine] = ()
    edits: Sequence[Edit] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    price: int = 0
    price_source: str = ""
    other_price: str = ""  #: the catalogue's price of something that is no picture
    max_cost: int | None = None
    max_cost_given: GivenCap = None
    max_cost_before: int | None = None
    unchanged: bool = False
    parts: Sequence[tuple[str, int]] = ()
    not_meant: Sequence[tuple[str, int]] = ()
    balance: int | None = None
    sample: Sample = NOT_SAMPLED
    guesses: Sequence[str] = ()
    is_rehearsal: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    other_runs: ElsewhereTotals = field(default_factory=ElsewhereTotals)
    row_word: str = "row"
    strange: bool = False
    forgotten: int = 0
    gone: Sequence[str] = ()
    outputs: int = 1
    own_sandbox: bool = False

    @property
    def play(self) -> bool:
        """True if its money is play money. Used only for the label after a sum."""
        return self.is_rehearsal or self.own_sandbox

    def find_objection(self) -> BatcheditError | None:
        """Why a yes in advance (``--yes``, a program's call) does not hold for this plan; None if it holds."""
        if self.strange and not self.is_rehearsal:
            return UsageError(
                f"the run in {self.folder} is not known to be yours, so a yes in advance does not hold for it; nothing was "
                "bought",
                hint="leave --yes out and answer the question; or, if it is yours, say so once: the same command with "
                "--mine",
            )
        if self.forgotten and not self.is_rehearsal:
            return UsageError(
                f"{describe_forgotten(self)}, so a yes in advance does not hold for it; nothing was bought",
                hint=f"put its newest copy back; or look at {quote_word(self.folder / 'run.jsonl')}, leave --yes out and "
                "answer the question",
            )
        if self.gone and not self.is_rehearsal:
            return UsageError(
                f"{describe_gone(self.gone)}, so a yes in advance does not hold for it; nothing was bought",
                details=["  → to buy all of it anew: the same command with --fresh"],
                hint=f"to go on in it where it is now: {_format_continue_command(self)}",
            )
        if self.guesses and not self.is_rehearsal:
            return ManifestError(
                f"{self.source}: {'; '.join(self.guesses)} is a guess, which a yes in advance does not hold for; nothing was "
                "bought",
                hint=f"say it, or say what it is: {' '.join(self.guesses)}",
            )
        if self.sample.asked and self.sample.is_mostly_bad:
            return ManifestError(
                f"{self.source}: {self.sample.format_warning()}; nothing was bought",
                hint="name the column of the pictures with --map image=COLUMN, or leave the check out: --no-check-images",
            )
        return None

    @property
    def estimate(self) -> int:
        """Micro-dollars for ``to_buy``; 0 if the price is unknown."""
        return self.price * self.to_buy

    @property
    def every_warning(self) -> tuple[str, ...]:
        """All warnings, each a sentence, with one if the account's balance is too low."""
        if self.balance is None or not self.to_buy or self.balance >= max(1, self.estimate):
            return tuple(self.warnings)
        total_text = f"; what is to be bought comes to {format_usd(self.estimate)}" if self.price else ""
        unpayable = f"the account's balance is {format_usd(self.balance)}{total_text}{label_play(self.play)}"
        return (*self.warnings, unpayable)


def plan_the_rest(checkpoint: Book, folder: RunFolder, settings: Settings, source: str) -> Plan:
    """The plan for the rest of the manifest that the run took in last."""
    survey: dict[str, Any] = read_fact(checkpoint, "survey", read_survey, {"rows": 0})
    counts = checkpoint.counts()
    return Plan(
        source=source,
        folder=folder.path,
        model=settings.model,
        to_buy=counts.of(State.PLANNED),
        left=counts.of(State.PLANNED),
        reused=sum(counts.by_state.values()) - counts.of(State.PLANNED),
        others={
            state.value: count for state, count in counts.by_state.items() if count and state not in _COUNTED_APART
        },
        unchanged=True,
        is_rehearsal=settings.sandbox,
        **build_cap_fields(settings, checkpoint.cap),
        **survey,
    )


def read_output_count(checkpoint: Book) -> int:
    """The most pictures that a job of the run gives."""
    survey: dict[str, Any] = read_fact(checkpoint, "survey", read_survey, {})
    return int(survey.get("outputs", 1))


def describe_gone(folders: Sequence[str]) -> str:
    """That runs of the sheet are gone from ``folders``, and what this means."""
    return (
        f"a run of this sheet was in {' and in '.join(folders)} and is not there: it was moved or removed, or its disk is "
        "not there now. What it bought is not known here, and would be bought again"
    )


def add_gone_warning(plan: Plan, folders: Sequence[str]) -> Plan:
    """``plan`` with a warning if runs of its sheet are gone from ``folders``."""
    if not folders:
        return plan
    changed = replace(plan, gone=folders)
    warning = f"{describe_gone(folders)}. To go on in it where it is now: {_format_continue_command(changed)}"
    return replace(changed, warnings=(*plan.warnings, warning))


def _format_continue_command(plan: Plan) -> str:
    return format_command("run", plan.source, "--out", "FOLDER")


def describe_forgotten(plan: Plan) -> str:
    """That the plan's run has forgotten purchases, and what this means."""
    subject = "job was" if plan.forgotten == 1 else "jobs were"
    return (
        f"the checkpoint in {plan.folder} is an older copy: {plan.forgotten:,} {subject} bought after it was made, may be "
        "among what is to be bought, and would be paid for twice"
    )


def add_forgotten_warning(plan: Plan, forgotten: int) -> Plan:
    """``plan`` with a warning if its run has forgotten purchases."""
    if not forgotten:
        return plan
    changed = replace(plan, forgotten=forgotten)
    return replace(changed, warnings=(*plan.warnings, describe_forgotten(changed)))


def subtract_others(plan: Plan, checkpoint: Book, totals: ElsewhereTotals) -> Plan:
    """``plan`` without the pictures that were taken over from other runs or left to them."""
    to_buy = checkpoint.count_to_buy()
    left = min(plan.left, to_buy)
    inputs = plan.inputs if to_buy == plan.to_buy else 0
    return replace(
        plan, to_buy=to_buy, left=left, edited=min(plan.edited, to_buy - left), inputs=inputs, other_runs=totals
    )


def to_sheet_line(line: ResultLine, form: Form) -> ResultLine:
    """A line with the sheet's own number and id of its row."""
    return line._replace(row=to_sheet_row(form, line.row), id=find_row_id(form, line.row, line.id))


def to_sheet_invalid(line: InvalidLine, form: Form) -> InvalidLine:
    """An invalid row with the sheet's own number and id."""
    return replace(line, row=to_sheet_row(form, line.row), id=find_row_id(form, line.row, line.id))


def add_sample(plan: Plan, sample: Sample) -> Plan:
    """``plan`` with the result of the sample of links."""
    warnings = (*plan.warnings, *filter(None, (sample.format_warning(),)))
    notes = (*filter(None, (sample.format_note(),)), *plan.notes)
    return replace(plan, sample=sample, warnings=warnings, notes=notes)


def build_cap_fields(settings: Settings, before: int | None) -> dict[str, Any]:
    """A plan's fields about the cap: the cap after a yes, the one given now, and the one before."""
    given = settings.max_cost
    return {"max_cost": choose_cap(given, before), "max_cost_given": given, "max_cost_before": before}
