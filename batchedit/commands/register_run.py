"""A run among the other runs of this person: entered in the register, marked while it may buy, and reusing their pictures.

Each purchase is made inside ``share_run``, which calls ``take_over`` before a question's count is final: once before the
person is asked, and once more after a yes that has made purchases of failed, rejected or doubtful jobs. Both can only reduce
what is bought.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from ..ledger.account import read_accounts
from ..ledger.book import Book
from ..ledger.lock import hold_buying_lock
from ..ledger.register import Entry, Register
from ..planning.other_runs import ElsewhereTotals, OnEvent, OtherRuns, take_over
from ..settings.model import Settings
from .play_money import is_play, would_be_play


@dataclass(frozen=True)
class Sharing:
    """A run that may buy now, among the others. ``account`` is the digest of its token."""

    register: Register
    checkpoint: Book
    folder: Path
    settings: Settings
    account: str
    saw: OnEvent
    environ: Mapping[str, str]

    async def take_over(self) -> ElsewhereTotals:
        """Make DONE here what is DONE in other runs, and leave to them what they have under way. With ``--fresh`` neither.

        Afterwards ``checkpoint.list_planned_ids()`` are left to buy. OutputError if a file can't be written.
        """
        return await to_thread.run_sync(self._take_over)

    def _take_over(self) -> ElsewhereTotals:
        if self.settings.fresh:
            self.checkpoint.leave_jobs(())
            return ElsewhereTotals()
        with self.register.hold_turn():
            enter_in_register(self.register, self.checkpoint, self.folder)
            play = would_be_play(self.checkpoint, self.settings, self.environ)
            with find_other_runs(
                self.register, self.folder, self.settings, self.account, self.environ, play=play
            ) as runs:
                return take_over(self.checkpoint, self.folder, runs, self.saw)


@asynccontextmanager
async def share_run(
    checkpoint: Book,
    folder: Path,
    settings: Settings,
    account: str,
    saw: OnEvent,
    environ: Mapping[str, str],
) -> AsyncIterator[Sharing]:
    """Show other processes that this run may buy, for as long as the block lasts. The caller holds the run's lock."""
    register = Register.from_environ(environ)
    with ExitStack() as stack:
        await to_thread.run_sync(lambda: stack.enter_context(register.mark_buying(folder)))
        await to_thread.run_sync(lambda: stack.enter_context(hold_buying_lock(folder)))
        enter_in_register(register, checkpoint, folder)
        yield Sharing(register, checkpoint, folder, settings, account, saw, environ)


def find_other_runs(
    register: Register, folder: Path, settings: Settings, account: str, environ: Mapping[str, str], *, play: bool
) -> OtherRuns:
    """The runs whose pictures the one in ``folder`` may reuse. ``account`` "" if there is no token; ``play``: would it be
    bought with play money now?
    """
    if settings.fresh:
        return OtherRuns()

    def same_money(other: Book) -> bool:
        """A run that has bought nothing yet, and begins at this moment, is bought with the same money as this one."""
        return would_be_play(other, settings, environ) if play else not is_play(other)

    any_account = settings.another_account
    return OtherRuns.look_up(
        register, folder, settings.service, account, any_account=any_account, same_money=same_money
    )


def enter_in_register(register: Register, checkpoint: Book, folder: Path) -> None:
    """Enter the run in the register, with the facts of its checkpoint."""
    accounts = read_accounts(checkpoint)
    register.enter(
        Entry(
            folder.resolve(),
            source=checkpoint.get("source") or "",
            service=checkpoint.get("service") or "",
            model=checkpoint.get("model") or "",
            account=accounts[-1] if accounts else "",
        )
    )
