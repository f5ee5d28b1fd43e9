"""What is said of a value that the model does not take."""

from __future__ import annotations

import pytest

from batchedit.jobs.messages import explain_wrong_choice


@pytest.mark.parametrize(
    ("value", "meant"), [("sqare", "square"), ("Portait", "portrait"), ("3:22", "3:2"), ("large", "")]
)
def test_a_misspelled_word_for_a_size_was_not_met(value: str, meant: str) -> None:
    """`square` and `portrait` are taken, and `sqare` was told of 3:2, 1:1 and 2:3 alone."""
    message = explain_wrong_choice(value, ["3:2", "1:1", "2:3"])
    assert message.startswith("is not possible: the service takes 3:2 (landscape), 1:1 (square) or 2:3 (portrait)")
    assert message.endswith(f"; did you mean {meant}?") is bool(meant)


def test_a_german_word_for_a_size_was_told_of_ratios_and_not_of_the_words_that_are_taken() -> None:
    message = explain_wrong_choice("quadratisch", ["1:1", "16:9", "4:3", "9:16", "auto"])
    assert message == "is not possible: the service takes 1:1 (square), 16:9, 4:3, 9:16 (portrait) or auto"
