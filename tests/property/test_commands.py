"""Any commands in any order, with edits, faults and deaths between them: never two live purchases of a picture that nobody
decided on, never over the cap, never more than was asked.

The commands are the real ones, run to their ends in this process by ``tests.support.offline``; the sandbox's ledger is
the witness.
``BATCHEDIT_EXAMPLES`` is the number of examples, for a long run; then it also prints how often each command and each fault
was reached.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from batchedit.commands.purchase_stages import MAX_SINGLE_LOOKUPS
from batchedit.core.model import State
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.opening import open_checkpoint
from tests.property.books import read_books
from tests.property.people import caps, picks, places, points, seldom, tokens, troubles, write_sheet
from tests.property.promises import Witness
from tests.support.offline import CALM, URL, Ended, Trouble, World
from tests.support.share import examples

EXAMPLES = os.environ.get("BATCHEDIT_EXAMPLES")
CODES = {0, 1, 64, 65, 66, 69, 73, 74, 75, 76, 77}
"""Those that the README lists, but for the signals'."""
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A death is simulated, so nothing has to survive a power cut: where no disk is synced an example takes half the time."""
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 240)
REACHED: Counter[str] = Counter()


class Commands(Witness, RuleBasedStateMachine):
    """A person, their sheets, and what became of them."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self.home = Path(tempfile.mkdtemp(prefix="commands-", dir=MEMORY))
        Witness.__init__(self, World(self.home, price="0.04", slots=2))
        self.root = self.world.folder
        (self.root / "elsewhere").mkdir()
        self.sheets: dict[str, list[str]] = {}
        self.texts = 0

    def teardown(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    # --- the sheets and what a person does to them ---

    def text(self) -> str:
        self.texts += 1
        return f"an ad, number {self.texts}x"

    def save(self, name: str, prompts: list[str]) -> None:
        self.sheets[name] = prompts
        write_sheet(self.root / name, prompts)

    @initialize(rows=st.integers(1, 4), trouble=troubles, cap=caps, few=st.sampled_from([MAX_SINGLE_LOOKUPS, 0]))
    def a_first_run(self, rows: int, trouble: Trouble, cap: str | None, few: int) -> None:
        self.world.few = few  # with 0 each purchase walks over all that is planned, as a large one does
        self.save("s.csv", [self.text() for _ in range(rows)])
        self.command("run", self.root / "s.csv", *(["--max-cost", cap] if cap else []), trouble=trouble)

    def edit(self, name: str, row: int, what: str) -> str:
        """Returns the sheet that came of it."""
        prompts = list(self.sheets[name])
        at = row % len(prompts)
        if what == "copy" and len(self.sheets) < 3:
            name = f"copy{len(self.sheets)}.csv"
        elif what == "add" and len(prompts) < 5:
            prompts.append(self.text())
        elif what == "drop" and len(prompts) > 1:
            del prompts[at]
        elif what == "back":
            prompts[at] = "an ad, number 1x"
        elif what == "change":
            prompts[at] = self.text()
        self.reached(f"edit {what or 'nothing'}")
        self.save(name, prompts)
        return name

    @rule(price=st.sampled_from(["0.04", "0.05"]), actual=st.sampled_from(["0.04", "0.02", "0.13"]))
    def the_price_changes(self, price: str, actual: str) -> None:
        self.world.reprice(price, actual)
        self.reached(f"price {price}, charged {actual}")

    def reject(self, folder: Path, row: int) -> None:
        """A person says no to one finished picture, or to all."""
        checkpoint = open_checkpoint(folder / "checkpoint.sqlite")
        try:
            done = checkpoint.records("state = 'done' AND id IN (SELECT job FROM lines) ORDER BY id")
            marks = FolderDecisions(checkpoint)
            for record in done if row == 5 else done[row % len(done) :][:1] if done else []:
                standing = marks.all().get(record.id, PictureDecision(record.id))
                marks.put(replace(standing, verdict=Verdict.REJECT, who="me", at=self.world.now))
        finally:
            checkpoint.close()
        self.read()

    def prepare(self, fault: str, *states: State) -> None:
        """Let a run come to one of these states, unless one has: few examples would get there by chance."""
        if not self.having(*states):
            self.world.reprice("0.04", "0.04")
            sheet = self.root / self.edit("s.csv", 0, "change")
            self.command("run", sheet, "--max-cost", "none", trouble=Trouble((fault,)))

    def having(self, *states: State) -> list[Path]:
        """The runs that have a job in one of these states."""
        return [folder for folder, books in self.books.items() if books.states & {*states}]

    # --- the commands ---

    @rule(
        sheet=picks,
        trouble=troubles,
        cap=caps,
        token=tokens,
        place=places,
        more=st.sampled_from(["", "", "", "", "--fresh", "--on-doubt=buy-again", "--canary=1", "--another-account"]),
        no=seldom,
        row=picks,
        what=st.sampled_from(["", "", "change", "add", "drop", "copy", "copy", "back"]),
    )
    def buys_a_sheet(
        self,
        sheet: int,
        trouble: Trouble,
        cap: str | None,
        token: str,
        place: str,
        more: str,
        no: bool,
        row: int,
        what: str,
    ) -> None:
        name = self.edit(list(self.sheets)[sheet % len(self.sheets)], row, what)
        words = [*([more] if more else []), *(["--max-cost", cap] if cap else [])]
        self.command("run", self.root / name, *words, trouble=trouble, token=token, place=place, yes=not no)

    @precondition(lambda self: self.books)
    @rule(
        run=picks,
        trouble=troubles,
        cap=caps,
        how=st.sampled_from(["", "", "results.csv", "--fresh", "--on-doubt=buy-again"]),
        place=places,
    )
    def goes_on_with_a_run(self, run: int, trouble: Trouble, cap: str | None, how: str, place: str) -> None:
        unclear = [State.IN_DOUBT] * how.startswith("--on-doubt")
        if unclear:
            self.prepare("submit:drop_after=first:2", *unclear)
        folder = self.run(run, *unclear)
        source = folder / "results.csv" if how == "results.csv" and (folder / "results.csv").exists() else folder
        words = [*([how] if how.startswith("-") else []), *(["--max-cost", cap] if cap else [])]
        self.command("run", source, *words, trouble=trouble, place=place)

    @precondition(lambda self: self.books)
    @rule(
        run=picks,
        trouble=troubles,
        cap=caps,
        which=st.sampled_from(["", "--failed", "--cancelled", "--moderated", "row", "--fresh"]),
        row=picks,
        again=seldom,
    )
    def retry(self, run: int, trouble: Trouble, cap: str | None, which: str, row: int, again: bool) -> None:
        self.prepare("job:failed=first:2", State.FAILED, State.CANCELLED)
        words = ["--row", row + 2] if which == "row" else [which] * bool(which)
        words += ["--max-cost", cap] if cap else []
        self.command(
            "retry",
            self.run(run, State.FAILED, State.CANCELLED),
            *words,
            *(["--on-doubt=buy-again"] * again),
            trouble=trouble,
        )

    @rule(trouble=troubles, calm=st.booleans(), which=st.sampled_from(["", "--failed"]), again=st.booleans())
    def retry_beside_what_is_planned(self, trouble: Trouble, calm: bool, which: str, again: bool) -> None:
        """One failed, one is in doubt, and two or three were not bought when the token was refused: a retry is no yes to
        those, and to the doubt only where the question counts it.
        """
        self.world.reprice("0.04", "0.04")
        self.save("s.csv", [self.text() for _ in range(5)])
        token_refused = Trouble(("submit:422=at:1", "submit:drop_after=at:2", "submit:401=at:3"))
        self.command("run", self.root / "s.csv", "--max-cost", "none", trouble=token_refused)
        folder = self.root / "outputs" / "s"
        if folder in self.books and {State.FAILED, State.PLANNED} <= self.books[folder].states:
            self.reached("retry beside what is planned")
            few, self.world.few = self.world.few, 0
            words = [*([which] if which else []), *(["--on-doubt=buy-again"] * again)]
            self.command("retry", folder, *words, trouble=CALM if calm else trouble)
            self.world.few = few

    @precondition(lambda self: self.having(State.DONE))
    @rule(run=picks, trouble=troubles, cap=caps, add=st.booleans(), row=picks)
    def redo(self, run: int, trouble: Trouble, cap: str | None, add: bool, row: int) -> None:
        folder = self.run(run, State.DONE)
        self.reject(folder, row)
        words = [*(["--prompt-add", "brighter"] if add else []), *(["--max-cost", cap] if cap else [])]
        self.command("redo", folder, *words, trouble=trouble)

    @precondition(lambda self: self.books)
    @rule(
        run=picks,
        trouble=troubles,
        how=st.sampled_from(["", "--buy-again", "--buy-again", "--write-off", "both"]),
        row=picks,
    )
    def doubt(self, run: int, trouble: Trouble, how: str, row: int) -> None:
        unclear = (State.IN_DOUBT, State.SUBMITTING, State.UNCOLLECTED)
        self.prepare("submit:drop_after=first:2", *unclear)
        folder = self.run(run, *unclear)
        rows = self.books[folder].doubtful_rows
        one = rows[row % len(rows)] if rows else row + 2
        two = rows[(row + 1) % len(rows)] if rows else row + 3
        words = {"": [], "both": ["--buy-again", one, "--write-off", two]}.get(how, [how, "all" if row == 5 else one])
        self.command("doubt", folder, *words, trouble=trouble)

    @precondition(lambda self: self.having(State.IN_DOUBT))
    @rule(run=picks, row=picks, right=st.booleans(), trouble=troubles)
    def paste_an_id(self, run: int, row: int, right: bool, trouble: Trouble) -> None:
        folder = self.run(run, State.IN_DOUBT)
        books = self.books[folder]
        number, prompt = list({**books.doubtful, 9: ""}.items())[row % (len(books.doubtful) or 1)]
        jobs = self.world.service.ledger.jobs
        ids = [i for i, job in jobs.items() if (job.order.prompt == prompt) is right and (right or i in books.known)]
        request_id = ids[-1] if ids else "no-such-request"
        self.command(
            "doubt", folder, "--request-id", f"{number}={request_id}", trouble=trouble, kind="doubt --request-id"
        )

    @precondition(lambda self: self.books)
    @rule(run=picks, trouble=troubles, word=st.sampled_from(["fetch", "fetch", "cancel"]), token=tokens)
    def collects_or_cancels(self, run: int, trouble: Trouble, word: str, token: str) -> None:
        self.command(word, self.run(run), trouble=trouble, token=token)

    @precondition(lambda self: self.books)
    @rule(
        run=picks,
        word=st.sampled_from(["results", "audit", "status"]),
        trouble=st.just(CALM) | st.builds(Trouble, st.just(()), points),
    )
    def looks(self, run: int, word: str, trouble: Trouble) -> None:
        self.command(word, self.run(run), trouble=trouble)

    # --- what must hold after each ---

    def command(
        self,
        verb: str,
        what: Any,
        *words: Any,
        trouble: Trouble,
        place: str = "",
        token: str = "one",
        yes: bool = True,
        kind: str = "",
    ) -> None:
        if "--fresh" in words:  # typed twice it buys twice, and that is what it says
            trouble = replace(trouble, joined=None)
        buys = verb in {"run", "retry", "redo", "doubt"}
        sends = buys or verb in {"fetch", "cancel"}
        options = [
            *(["--base-url", URL] if sends else []),
            *(["--no-check-images"] if verb == "run" and Path(what).is_file() else []),
        ]
        options += ["-j", 3] if verb in {"run", "retry", "redo"} else []
        ended = self.world.command(
            verb, what, *words, *options, cwd=self.root / place, token=token, trouble=trouble, yes=buys and yes
        )
        self.tell(kind or verb, words, trouble, ended)
        before = dict(self.books)
        self.read()
        context = (verb, what, *words, trouble, token, ended.code, ended.out, ended.err)
        assert ended.code is None or ended.code in CODES, context
        broken = self.broken(ended, before, {str(word) for word in words}, trouble, buys=buys)
        assert not broken, (broken, *context)

    # --- help ---

    def run(self, pick: int, *states: State) -> Path:
        """One of the runs, of those that have a job in one of ``states`` if any are given."""
        runs = self.having(*states) or list(self.books)
        return runs[pick % len(runs)]

    def read(self) -> None:
        """The books of every run, anew where something was written."""
        for place in (self.root, self.root / "elsewhere"):
            for file in sorted(place.glob("outputs/*/checkpoint.sqlite")):
                folder = file.parent.resolve()
                books = read_books(folder, self.books.get(folder))
                if books is not None:
                    self.books[folder] = books

    def reached(self, what: str) -> None:
        event(what)
        REACHED[what] += 1

    def tell(self, verb: str, words: tuple[Any, ...], trouble: Trouble, ended: Ended) -> None:
        code = "killed" if ended.code is None else f"exit {ended.code}"
        self.reached(f"{verb} {code}")
        for fault in trouble.faults:
            self.reached(f"fault {fault.split('=')[0]}")
        if trouble.dies and ended.code is None:
            self.reached(f"dies at {trouble.dies[0]}")
        if ended.joined:
            self.reached(f"{verb} joined by another at {trouble.joined and trouble.joined[0]}, {code}")
        for word in words:
            if str(word).startswith("--") and verb != "doubt --request-id":
                self.reached(f"{verb} {word}")
        if ended.made:
            self.reached(f"{verb} bought")
        if trouble.full and "BOUGHT" in ended.err:
            self.reached("an id rescued to accepted.jsonl")


TestCommands = Commands.TestCase
TestCommands.settings = settings(
    max_examples=int(EXAMPLES or examples(30)),
    stateful_step_count=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def test_every_command_was_reached() -> None:
    """Behind the property: a machine that reaches nothing proves nothing."""
    if EXAMPLES:
        print("\n".join(f"{count:8} {what}" for what, count in sorted(REACHED.items())))  # noqa: T201
    for verb in (
        ()
        if not EXAMPLES
        else ("run", "retry", "redo", "doubt --buy-again", "doubt --write-off", "doubt --request-id", "fetch", "cancel")
    ):
        assert any(what.startswith(verb) for what in REACHED), verb
