"""What a model's schema wants of a picture: ``validations``, a list of rules beside a field [seen].

    {"validation_rule": "file_size_mb<", "validation_value": 10, "validation_error": "…"}

A rule is a measure (``file_size_mb``, ``width_pixels``, ``height_pixels``, ``width/height``) and a sign (``<``, ``<=``,
``>``, ``>=``). Its error is not told: on the model's own page it names 16 MB where the rule says 25. A rule of another
kind is left to the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from ..core.limits import LINK_MOST

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

    def words(self) -> str:
        """As what the model takes: ``less than 10 MB``."""
        told = f"{_WORDS[self.sign]} {self.value:g}"
        if self.measure == "file_size_mb":
            return f"{told} MB"
        if self.measure == "width/height":
            return f"a width of {told} times the height"
        return f"a {self.measure.removesuffix('_pixels')} of {told} pixels"

    def why_not(self, size: int, width: int, height: int) -> str:
        """What is wrong with a picture of ``size`` bytes and so many pixels, ``""`` for nothing. Pixels may be 0: unknown."""
        if self.measure == "file_size_mb":
            found, told = size / MEGABYTE, f"is {size / MEGABYTE:.1f} MB"
        elif not (width and height):
            return ""
        else:
            found = {"width_pixels": width, "height_pixels": height}.get(self.measure, width / height)
            told = f"is {width} × {height} pixels"
        return "" if _HOLDS[self.sign](found, self.value) else f"{told}; the model takes {self.words()}"


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


def most_bytes(schema: Mapping[str, Any]) -> int:
    """The largest picture that every field with such a rule takes; LINK_MOST where none says less."""
    properties = schema.get("properties")
    specs = (
        [spec for spec in properties.values() if isinstance(spec, Mapping)] if isinstance(properties, Mapping) else []
    )
    rules = [rule for spec in specs for rule in read_rules(spec)]
    told = [rule.value for rule in rules if rule.measure == "file_size_mb" and rule.sign in {"<", "<="}]
    return min([LINK_MOST, *(int(value * MEGABYTE) for value in told)])
