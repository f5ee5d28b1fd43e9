"""Sentences of the command line as a page says them: nobody types an option there."""

from __future__ import annotations

import re

_OPTION_IN_BRACKETS = re.compile(r"\s*\([^()]*--[a-z][^()]*\)")
_CLAUSE = re.compile(r"[;,]?\s+[^;.]*--[a-z][a-z-]*[^;.]*")
_NAMED = re.compile(r"--prompt\b")
_FOR = re.compile(r"--for (\S+): ")


def for_the_page(text: str) -> str:
    """``text`` without the parts that say which option to type."""
    text = _FOR.sub(r"\1: ", _NAMED.sub("the prompt", _OPTION_IN_BRACKETS.sub("", text)))
    return _CLAUSE.sub("", f" {text}").strip() if "--" in text else text
