"""What a model's schema wants of a picture: ``validations``, a list of rules beside a field [seen].

    {"validation_rule": "file_size_mb<", "validation_value": 10, "validation_error": "…"}

A rule is a measure (``file_size_mb``, ``width_pixels``, ``height_pixels``, ``width/height``) and a sign (``<``, ``<=``,
``>``, ``>=``). Its error is not told: on the model's own page it names 16 MB where the rule says 25. A rule of another
kind is left to the service. So is the picture: what breaks a rule is told, and refused by the service at no cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

MEGABYTE = 1_000_000
_HOLDS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_WORDS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
_RULE = re.compile(r"\s*(file_size_mb|width_pixels|height_pixels|width\s*/\s*height)\s*(<=|>=|<|>)\s*").fullmatch


@dataclass(frozen=True, slots=True)
class Rule:
    """``measure`` stands in ``sign`` to ``value``: megabytes, pixels, or a ratio."""

    measure: str
    sign: str
    value: float

    @property
    def limits_size(self) -> bool:
        """Does it say how many megabytes there may be?"""
        return self.measure == "file_size_mb" and self.sign in {"<", "<="}

    def describe(self) -> str:
        """As what the model takes: ``less than 10 MB``."""
        told = f"{_WORDS[self.sign]} {self.value:g}"
        if self.measure == "file_size_mb":
            return f"{told} MB"
        if self.measure == "width/height":
            return f"a width of {told} times the height"
        return f"a {self.measure.removesuffix('_pixels')} of {told} pixels"

    def allows(self, size: int, width: int, height: int) -> bool:
        """Is it kept by a picture of ``size`` bytes and so many pixels? Pixels may be 0: unknown, so it may be."""
        if self.measure == "file_size_mb":
            return _HOLDS[self.sign](size / MEGABYTE, self.value)
        if not (width and height):
            return True
        found = {"width_pixels": width, "height_pixels": height}.get(self.measure, width / height)
        return _HOLDS[self.sign](found, self.value)


def read_rules(spec: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of a field, or of its items, that are understood."""
    items = spec.get("items")
    listed = [spec.get("validations"), items.get("validations") if isinstance(items, Mapping) else None]
    found = []
    for rule in (rule for rules in listed if isinstance(rules, list) for rule in rules if isinstance(rule, Mapping)):
        match, value = _RULE(str(rule.get("validation_rule"))), rule.get("validation_value")
        if match and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**9:
            found.append(Rule(re.sub(r"\s", "", match[1]), match[2], float(value)))
    return tuple(found)
