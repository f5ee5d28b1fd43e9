"""Sentences of the command line as a page says them: nobody types an option or a command there."""

from __future__ import annotations

import re

_OPTION_IN_BRACKETS = re.compile(r"\s*\([^()]*--[a-z][^()]*\)")
_CLAUSE = re.compile(r"[;,]?\s+[^;.]*--[a-z][a-z-]*(?:[^;.]|\.(?=\S))*")  # a full stop within a word ends no sentence
_NAMED = re.compile(r"--prompt\b")
_TYPED = re.compile(r"(?:^|[;,]\s+|(?<=\.)\s+)(?:[^;.]*: batchedit [a-z]|export [A-Z_]+=).*$")
_AGAIN = (
    (re.compile(r"\b(?:then )?(?:type|run) the same command again\b"), "then go on"),
    (re.compile(r"\bthe same command goes on\b"), "it can be gone on with"),
)
_FOR = re.compile(r"--for (\S+): ")


def for_the_page(text: str) -> str:
    """``text`` without the parts that say which option or which command to type."""
    text = _TYPED.sub("", text)
    for typed, clicked in _AGAIN:
        text = typed.sub(clicked, text)
    text = _FOR.sub(r"\1: ", _NAMED.sub("the prompt", _OPTION_IN_BRACKETS.sub("", text)))
    return _CLAUSE.sub("", f" {text}").strip() if "--" in text else text
