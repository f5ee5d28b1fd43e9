"""Where a run of the store is bought, as its row has it: at an address, or at one person's own sandbox at that address.

The process that begins the run decides it, and it never changes. The sums of a run of the second kind are labelled play money
wherever they are shown. So only a worker that finds a sandbox of its own user at that address buys in it: 127.0.0.1 of
another machine, or of another person, is another service, which may cost money. And such a worker buys in no run of the first
kind, whose pictures cost money.
"""

from __future__ import annotations

from typing import NamedTuple

from ...core.errors import UsageError
from ...core.shell_commands import format_command, quote_word
from ..own_sandbox import parse_local_address

_OWN_PREFIX = "own sandbox at "


class BoughtFrom(NamedTuple):
    """``address`` is a base URL. ``own_sandbox``: it leads to a sandbox of the person who began the run."""

    address: str
    own_sandbox: bool

    def dump(self) -> str:
        """The text for the row of the run. Only an address of this machine can be a sandbox's, whatever a file says."""
        return f"{_OWN_PREFIX if self.own_sandbox and parse_local_address(self.address) else ''}{self.address}"

    @classmethod
    def load(cls, text: str) -> BoughtFrom:
        """The inverse of ``dump``."""
        address = text.removeprefix(_OWN_PREFIX)
        return cls(address, own_sandbox=text.startswith(_OWN_PREFIX) and parse_local_address(address) is not None)

    def explain_refusal(self, run: str, found_here: BoughtFrom) -> UsageError | None:
        """Why a worker that finds ``found_here`` at the same address may not buy in ``run``, bought from this one; None
        if it may.
        """
        if self.own_sandbox == found_here.own_sandbox:
            return None
        _, port = parse_local_address(self.address) or ("", 0)
        if self.own_sandbox:
            return UsageError(
                f"the run {run} is bought from a sandbox at {self.address}, and none that you started listens there",
                hint="start it in another terminal, with its --state if it had one: "
                f"{format_command('sandbox', '--port', port)}",
            )
        return UsageError(
            f"the run {run} is bought from {self.address}, and what listens there now is a sandbox that you started",
            hint="end that sandbox if another service is meant; or, for a run of its own, give the sheet with: "
            f"--out {quote_word(f'outputs/{run}-2')}",
        )
