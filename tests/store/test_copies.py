"""What a folder's copy of a store's run hears of it, whatever is written there in that moment."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from batchedit.core.events import Accepted, Completed, Reserved, Saved
from batchedit.core.model import Handle
from batchedit.ledger.postgres.bought_from import BoughtFrom
from batchedit.ledger.postgres.copies import take_news
from batchedit.ledger.postgres.shared import SharedCheckpoint
from batchedit.ledger.postgres.shared_opening import open_shared
from tests.ledger.book_suite import FILES, OUTPUTS, play, take_in
from tests.support.factories import make_line
from tests.support.postgres import MODEL, shared_store


def person(folder: Path) -> SharedCheckpoint:
    folder.mkdir(parents=True, exist_ok=True)
    return open_shared(
        folder / "checkpoint.sqlite", shared_store(), model=MODEL, service=BoughtFrom("sandbox", own_sandbox=False)
    )


def test_an_event_that_came_while_the_news_was_asked_for_was_never_heard_of(tmp_path: Path) -> None:
    """It was beyond what the question had as its end, and the job as it stood by then covered it: an audit had a picture
    without the id that it was bought with.
    """
    name = f"news-{tmp_path.name}"
    with closing(person(tmp_path / "one" / name)) as one:
        take_in(one, [make_line(1)])
        with closing(person(tmp_path / "two" / name)) as two:
            play(one, 1, Reserved(100.0, 40))
            asked = list[str]()

            def ask(query: str, *values: Any) -> list[Any]:
                rows = two.in_store.ask(query, *values)
                asked.append(query)
                if len(asked) == 1:
                    play(one, 1, Accepted(101.0, Handle("request-1")))
                return rows

            take_news(two, ask, two.in_store.run)
            play(one, 1, Completed(110.0, OUTPUTS, 40), Saved(110.0, FILES))
            two.refresh()
            events = [event for event, *_ in two.rows("SELECT name FROM events ORDER BY seq")]
            assert events == ["Reserved", "Accepted", "Completed", "Saved"]
