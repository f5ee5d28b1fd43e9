"""The machine is kept from sleeping while a run goes on: a laptop that sleeps at ten buys nothing until the morning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

KEPT = "the machine is kept awake while this run goes on (its screen may go dark); --allow-sleep lets it sleep"
logger = logging.getLogger("batchedit")


@contextmanager
def awake(*, allow_sleep: bool) -> Iterator[bool]:
    """For as long as the block lasts; yields whether it is so. False where nothing here can do that, which breaks nothing.

    Must be left in the thread in which it was entered.
    """
    with ExitStack() as kept:
        active = False
        if not allow_sleep:
            try:
                from wakepy import keep  # noqa: PLC0415 - 60 ms, for what is about to buy

                mode = kept.enter_context(keep.running(on_fail="pass"))
                active = bool(mode.active)
            except Exception as error:  # noqa: BLE001 - whatever a desktop answers, it is not the run's
                logger.debug("the machine can't be kept awake: %r", error)
        yield active
        with suppress(Exception):
            kept.close()
