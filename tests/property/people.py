"""What befalls the commands of ``test_commands``, and what people give them."""

from __future__ import annotations

import csv
from pathlib import Path

from hypothesis import strategies as st

from tests.support.offline import CALM, Trouble

SUBMITS = [
    *("500_after", "200_error_after", "500", "200_error", "drop_before", "drop_after", "reset_after", "hang_after"),
    *("truncated", "garbage", "no_id", "429", "429_bare", "503@0", "502_after", "504", "500_html_after", "422", "404"),
    *("401", "no_money", "slow@20"),
]
LATER = [
    *("poll:404=after:1", "poll:404=every:2", "poll:500=every:2", "poll:drop_after=first:3", "poll:garbage=first:2"),
    *(
        "poll:unknown_status=first:2",
        "job:failed=first:2",
        "job:moderated=first:1",
        "job:stuck=at:1",
        "job:failed=at:2",
    ),
    *(
        "job:failed=after:1",
        "job:failed=first:3",
        "job:failed=every:2",
        "job:moderated=every:2",
        "file:404=first:1",
        "file:truncated=first:1",
        "file:html=every:2",
        "file:500=after:1",
    ),
    *("cancel:500=first:1", "cancel:404=at:1", "poll:401=at:4", "connect=1", "connect=2"),
]
nth = st.integers(1, 4)
faults = st.lists(
    st.builds("submit:{}=at:{}".format, st.sampled_from(SUBMITS), nth) | st.sampled_from(LATER), min_size=1, max_size=3
).map(tuple)
points = (
    st.tuples(st.sampled_from(["call", "answer"]), st.integers(1, 9))
    | st.tuples(st.sampled_from(["begin", "commit", "commit", "step"]), st.integers(1, 20))
    | st.tuples(st.just("ask"), st.just(1))
)
troubles = st.one_of(
    st.just(CALM),
    st.builds(Trouble, faults),
    st.builds(Trouble, st.just(()), points),
    st.builds(Trouble, faults, points),
    st.builds(Trouble, faults, st.none(), st.sampled_from([1, 2])),
    st.builds(Trouble, faults | st.just(()), st.none(), st.just(0), points),
)
caps = st.sampled_from([None, None, None, "0.04", "0.09", "0.2", "none"])
picks = st.integers(0, 5)
tokens = st.sampled_from(["one"] * 8 + ["two"])
seldom = st.sampled_from([False] * 4 + [True])
places = st.sampled_from(["", "", "", "elsewhere"])


def write_sheet(path: Path, prompts: list[str]) -> None:
    """A CSV with one row a prompt; a prompt is what tells one picture from another."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "image", "prompt"])
        table.writerows([f"sku-{n}", "https://images.example.com/mug.png", text] for n, text in enumerate(prompts, 1))
