"""Messages of the command line for a page, where no option or command is typed."""

from __future__ import annotations

import re

_OPTION_IN_BRACKETS = re.compile(r"\s*\([^()]*--[a-z][^()]*\)")
_CLAUSE = re.compile(r"[;,]?\s+[^;.]*--[a-z][a-z-]*(?:[^;.]|\.(?=\S))*")  # a full stop within a word ends no sentence
_PROMPT_OPTION = re.compile(r"--prompt\b")
_TYPED_COMMAND = re.compile(r"(?:^|[;,]\s+|(?<=\.)\s+)(?:[^;.]*: batchedit [a-z]|export [A-Z_]+=).*$")
_REPLACEMENTS = (
    (re.compile(r"\b(?:then )?(?:type|run) the same command again\b"), "then go on"),
    (re.compile(r"\bthe same command goes on\b"), "it can be gone on with"),
)
_FOR_OPTION = re.compile(r"--for (\S+): ")


def remove_cli_hints(text: str) -> str:
    """``text`` without the parts that say which option or which command to type."""
    text = _TYPED_COMMAND.sub("", text)
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    text = _FOR_OPTION.sub(r"\1: ", _PROMPT_OPTION.sub("the prompt", _OPTION_IN_BRACKETS.sub("", text)))
    return _CLAUSE.sub("", f" {text}").strip() if "--" in text else text
