"""Keeps the machine from sleeping while a run goes on: a laptop that sleeps buys nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

KEPT_AWAKE = "the machine is kept awake while this run goes on (its screen may go dark); --allow-sleep lets it sleep"
logger = logging.getLogger("batchedit")


@contextmanager
def keep_awake(*, allow_sleep: bool) -> Iterator[bool]:
    """Keep the machine awake for as long as the block lasts. Yields whether that works; where it does not, the run goes on.

    Must be left in the thread in which it was entered.
    """
    with ExitStack() as stack:
        active = False
        if not allow_sleep:
            try:
                from wakepy import keep  # noqa: PLC0415 - 60 ms, for what is about to buy

                mode = stack.enter_context(keep.running(on_fail="pass"))
                active = bool(mode.active)
            except Exception as error:  # noqa: BLE001 - a failure of the desktop must not stop the run
                logger.debug("the machine can't be kept awake: %r", error)
        yield active
        with suppress(Exception):
            stack.close()
