"""From a manifest to a plan: what would be bought, what was bought before, what is wrong. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.errors import BatcheditError, ManifestError, UsageError
from ..core.model import InvalidLine, ResultLine, State
from ..core.money import format_usd, label_play
from ..core.policy import GivenCap, choose_cap
from ..core.typed import quote_word, format_command
from ..images.link_sample import NOT_SAMPLED, Sample
from ..ledger.book import Book
from ..ledger.facts import read_fact
from ..manifest.read import Form
from ..manifest.rownames import row_id, sheet_row
from ..run_folder import RunFolder
from ..settings.model import Settings
from .edits import Edit
from .other_runs import Tally
from .survey import read_survey

_NOT_OTHER = frozenset({State.PLANNED, State.DONE})


@dataclass(frozen=True)
class Plan:
    """What a run would do: shown before anything is bought. ``price`` is micro-dollars a job, 0 if unknown; ``max_cost`` is
    the cap after a yes, None for none, ``max_cost_before`` the one that holds until then.

    ``matrix`` is what each row is multiplied by. Of ``to_buy``, ``left`` were planned before and ``edited`` stand in the
    place of an older picture; of ``reused``, ``others`` counts those that are not done, by state. ``again`` are in doubt
    and bought once more. ``inputs`` counts the sheet's pictures that go into ``to_buy`` where several go into one, else 0.

    Where not a manifest but a run is the source, ``parts`` says what ``to_buy`` is made of, and ``not_meant`` what might be
    meant and is not bought. ``balance`` is what the account holds, in micro-dollars, None if that is not told.
    ``other_runs`` counts what other runs have and is not bought here. Rows in ``invalid``, ``examples`` and ``edits`` have
    the sheet's own numbers; ``row_word`` is what those count. ``strange``: a run that is not known to be this person's.
    ``forgotten`` jobs were bought in it after its checkpoint, an older copy, was made. ``gone`` are folders in which runs of
    this sheet were that are not there now. A job gives at most ``outputs``
    pictures, and its ``price`` is for so many. ``own_sandbox``: the service is a sandbox that this person started.
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
    other_runs: Tally = field(default_factory=Tally)
    row_word: str = "row"
    strange: bool = False
    forgotten: int = 0
    gone: Sequence[str] = ()
    outputs: int = 1
    own_sandbox: bool = False

    @property
    def play(self) -> bool:
        """Is its money play money? That is for the label behind a sum alone."""
        return self.is_rehearsal or self.own_sandbox

    def objection(self) -> BatcheditError | None:
        """Why a yes that was said before the plan was seen (``--yes``, a program's call) does not hold for it."""
        if self.strange and not self.is_rehearsal:
            return UsageError(
                f"the run in {self.folder} is not known to be yours, so a yes in advance does not hold for it; nothing was "
                "bought",
                hint="leave --yes out and answer the question; or, if it is yours, say so once: the same command with "
                "--mine",
            )
        if self.forgotten and not self.is_rehearsal:
            return UsageError(
                f"{forgotten_line(self)}, so a yes in advance does not hold for it; nothing was bought",
                hint=f"put its newest copy back; or look at {quote_word(self.folder / 'run.jsonl')}, leave --yes out and "
                "answer the question",
            )
        if self.gone and not self.is_rehearsal:
            return UsageError(
                f"{gone_line(self.gone)}, so a yes in advance does not hold for it; nothing was bought",
                details=["  → to buy all of it anew: the same command with --fresh"],
                hint=f"to go on in it where it is now: {_to_go_on(self)}",
            )
        if self.guesses and not self.is_rehearsal:
            return ManifestError(
                f"{self.source}: {'; '.join(self.guesses)} is a guess, which a yes in advance does not hold for; nothing was "
                "bought",
                hint=f"say it, or say what it is: {' '.join(self.guesses)}",
            )
        if self.sample.asked and self.sample.is_mostly_bad:
            return ManifestError(
                f"{self.source}: {self.sample.warning()}; nothing was bought",
                hint="name the column of the pictures with --map image=COLUMN, or leave the check out: --no-check-images",
            )
        return None

    @property
    def estimate(self) -> int:
        """Micro-dollars for what is new; 0 if the price is unknown."""
        return self.price * self.to_buy

    @property
    def every_warning(self) -> tuple[str, ...]:
        """What a person must know before this is bought, each a sentence: also that the account does not hold enough."""
        if self.balance is None or not self.to_buy or self.balance >= max(1, self.estimate):
            return tuple(self.warnings)
        comes_to = f"; what is to be bought comes to {format_usd(self.estimate)}" if self.price else ""
        unpayable = f"the account's balance is {format_usd(self.balance)}{comes_to}{label_play(self.play)}"
        return (*self.warnings, unpayable)


def plan_of_the_rest(checkpoint: Book, folder: RunFolder, settings: Settings, source: str) -> Plan:
    """What is left of the manifest that the run took in last."""
    told: dict[str, Any] = read_fact(checkpoint, "survey", read_survey, {"rows": 0})
    counts = checkpoint.counts()
    return Plan(
        source=source,
        folder=folder.path,
        model=settings.model,
        to_buy=counts.of(State.PLANNED),
        left=counts.of(State.PLANNED),
        reused=sum(counts.by_state.values()) - counts.of(State.PLANNED),
        others={state.value: n for state, n in counts.by_state.items() if n and state not in _NOT_OTHER},
        unchanged=True,
        is_rehearsal=settings.sandbox,
        **capped(settings, checkpoint.cap),
        **told,
    )


def outputs_of(checkpoint: Book) -> int:
    """How many pictures a job of the run gives at most."""
    told: dict[str, Any] = read_fact(checkpoint, "survey", read_survey, {})
    return int(told.get("outputs", 1))


def gone_line(folders: Sequence[str]) -> str:
    """What is to be known of a plan whose sheet had runs that are not where they were."""
    return (
        f"a run of this sheet was in {' and in '.join(folders)} and is not there: it was moved or removed, or its disk is "
        "not there now. What it bought is not known here, and would be bought again"
    )


def with_gone(what: Plan, folders: Sequence[str]) -> Plan:
    """``what`` with a warning where runs of its sheet are gone from ``folders``."""
    if not folders:
        return what
    told = replace(what, gone=folders)
    warning = f"{gone_line(folders)}. To go on in it where it is now: {_to_go_on(told)}"
    return replace(told, warnings=(*what.warnings, warning))


def _to_go_on(what: Plan) -> str:
    return format_command("run", what.source, "--out", "FOLDER")


def forgotten_line(what: Plan) -> str:
    """What is to be known of a plan whose run has forgotten purchases."""
    are = "job was" if what.forgotten == 1 else "jobs were"
    return (
        f"the checkpoint in {what.folder} is an older copy: {what.forgotten:,} {are} bought after it was made, may be among "
        "what is to be bought, and would be paid for twice"
    )


def with_forgotten(what: Plan, forgotten: int) -> Plan:
    """``what`` with a warning where its run has forgotten purchases."""
    if not forgotten:
        return what
    told = replace(what, forgotten=forgotten)
    return replace(told, warnings=(*what.warnings, forgotten_line(told)))


def without_others(what: Plan, checkpoint: Book, tally: Tally) -> Plan:
    """``what`` after other runs' pictures were taken over and left: what is to buy now."""
    to_buy = checkpoint.to_buy()
    left = min(what.left, to_buy)
    inputs = what.inputs if to_buy == what.to_buy else 0
    return replace(
        what, to_buy=to_buy, left=left, edited=min(what.edited, to_buy - left), inputs=inputs, other_runs=tally
    )


def shown_line(line: ResultLine, form: Form) -> ResultLine:
    """A line with the row's own number and id, as a person sees them."""
    return line._replace(row=sheet_row(form, line.row), id=row_id(form, line.row, line.id))


def shown_invalid(line: InvalidLine, form: Form) -> InvalidLine:
    """The same for a row that can't be bought."""
    return replace(line, row=sheet_row(form, line.row), id=row_id(form, line.row, line.id))


def sampled(what: Plan, sample: Sample) -> Plan:
    """``what`` with what the first links turned out to be."""
    warnings = (*what.warnings, *filter(None, (sample.warning(),)))
    notes = (*filter(None, (sample.note(),)), *what.notes)
    return replace(what, sample=sample, warnings=warnings, notes=notes)


def capped(settings: Settings, before: int | None) -> dict[str, Any]:
    """A plan's fields about the cap: the one that holds after a yes, what was given now, and the one before."""
    given = settings.max_cost
    return {"max_cost": choose_cap(given, before), "max_cost_given": given, "max_cost_before": before}
