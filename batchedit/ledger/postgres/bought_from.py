"""Where a run of the store is bought, as its row has it: at an address, or at one person's own sandbox at that address.

Who begins the run decides it, and it never changes. The sums of a run of the second kind are called play money wherever they
are told. So nobody buys in it but who finds a sandbox of their own at that address: 127.0.0.1 of another machine, or of
another person, is another service, which may cost money. And who finds one buys in no run of the first kind, whose pictures
somebody pays for.
"""

from __future__ import annotations

from typing import NamedTuple

from ...core.errors import UsageError
from ...core.typed import quote_word, format_command
from ..own_sandbox import place_here

_OWN = "own sandbox at "


class BoughtFrom(NamedTuple):
    """``address`` is a base URL. ``own_sandbox``: it leads to a sandbox of the person who began the run."""

    address: str
    own_sandbox: bool

    def dump(self) -> str:
        """As the row of the run has it. Only an address of this machine can be a sandbox's, whatever a file says."""
        return f"{_OWN if self.own_sandbox and place_here(self.address) else ''}{self.address}"

    @classmethod
    def load(cls, text: str) -> BoughtFrom:
        """The inverse of ``dump``."""
        address = text.removeprefix(_OWN)
        return cls(address, own_sandbox=text.startswith(_OWN) and place_here(address) is not None)

    def refusal(self, run: str, here: BoughtFrom) -> UsageError | None:
        """Why who finds ``here`` at the same address may not buy in ``run``, bought from this one; None if they may."""
        if self.own_sandbox == here.own_sandbox:
            return None
        _, port = place_here(self.address) or ("", 0)
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
