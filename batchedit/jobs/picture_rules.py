"""A model's rules for a picture: ``validations``, a list beside a field of its schema [seen].

    {"validation_rule": "file_size_mb<", "validation_value": 10, "validation_error": "…"}

A rule is a measure (``file_size_mb``, ``width_pixels``, ``height_pixels``, ``width/height``) and a sign (``<``, ``<=``,
``>``, ``>=``). Its error text is not used: on the model's own page it names 16 MB where the rule says 25. A rule of another
kind is left to the service. A picture that breaks a rule gets a warning; the service refuses it at no cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

MEGABYTE = 1_000_000
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_WORDS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
_RULE = re.compile(r"\s*(file_size_mb|width_pixels|height_pixels|width\s*/\s*height)\s*(<=|>=|<|>)\s*").fullmatch


@dataclass(frozen=True, slots=True)
class Rule:
    """The picture's ``measure`` compared by ``sign`` with ``value``: megabytes, pixels, or a ratio."""

    measure: str
    sign: str
    value: float

    @property
    def limits_size(self) -> bool:
        """True if the rule limits the megabytes of a picture."""
        return self.measure == "file_size_mb" and self.sign in {"<", "<="}

    def describe(self) -> str:
        """What the model takes: ``less than 10 MB``."""
        limit = f"{_WORDS[self.sign]} {self.value:g}"
        if self.measure == "file_size_mb":
            return f"{limit} MB"
        if self.measure == "width/height":
            return f"a width of {limit} times the height"
        return f"a {self.measure.removesuffix('_pixels')} of {limit} pixels"

    def allows(self, size: int, width: int, height: int) -> bool:
        """True if a picture of ``size`` bytes and these pixels keeps the rule. 0 pixels are unknown, which is allowed."""
        if self.measure == "file_size_mb":
            return _COMPARE[self.sign](size / MEGABYTE, self.value)
        if not (width and height):
            return True
        measured = {"width_pixels": width, "height_pixels": height}.get(self.measure, width / height)
        return _COMPARE[self.sign](measured, self.value)


def read_rules(spec: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The known rules of a field, or of its items."""
    items = spec.get("items")
    lists = [spec.get("validations"), items.get("validations") if isinstance(items, Mapping) else None]
    known_rules = []
    for rule in (rule for rules in lists if isinstance(rules, list) for rule in rules if isinstance(rule, Mapping)):
        match, value = _RULE(str(rule.get("validation_rule"))), rule.get("validation_value")
        if match and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**9:
            known_rules.append(Rule(re.sub(r"\s", "", match[1]), match[2], float(value)))
    return tuple(known_rules)
