"""What a person may set, as one frozen value; parts of it go to those who need them.

Names are those of the command line with ``-`` as ``_``; times are seconds, money is micro-dollars.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import orjson

DEFAULT_MODEL = "openai/gpt-4o-image/edit"
DEFAULT_BASE_URL = "https://model-api.runcomfy.net"

MANIFEST_SETTINGS = (
    "model",
    "schema",
    "prompt",
    "map",
    "set",
    "sizes",
    "variants",
    "over",
    "fill_down",
    "id",
    "name",
    "limit",
    "encoding",
    "delimiter",
    "sheet",
    "image_root",
    "no_shrink",
    "skip_invalid",
    "check_images",
)
"""What decides which jobs a manifest becomes and what they are called: part of the fingerprint of an intake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that ``run`` can be told. The defaults are the command line's."""

    model: str = DEFAULT_MODEL
    schema: str | None = None  #: path of a JSON Schema file, for a model that is not built in
    prompt: str | None = None
    map: dict[str, str] = field(default_factory=dict)  #: the model's field -> the manifest's column
    set: dict[str, str] = field(default_factory=dict)  #: the model's field -> one value for all rows
    sizes: tuple[str, ...] = ()
    variants: int = 1
    over: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: column -> values to expand over (--for)
    fill_down: tuple[str, ...] = ()
    id: str | None = None
    name: str | None = None
    limit: int | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    image_root: str | None = None
    no_shrink: bool = False
    skip_invalid: bool = False
    check_images: bool = False
    out: str | None = None
    format: str | None = None
    price: int | None = None
    concurrency: int = 20  #: 0: auto
    rate: float | None = None  #: POSTs a second
    max_cost: int | None = None
    canary: int = 0
    on_doubt: str = "hold"
    stop_after_failures: str | None = None  #: ``"N"`` or ``"P%"``
    stuck_after: float = 3600.0
    until: float | None = None  #: epoch seconds
    poll_seconds: float | None = None
    sandbox: bool = False
    base_url: str = DEFAULT_BASE_URL
    allow_hosts: tuple[str, ...] = ()
    #: where each value came from that is no default: ``flag``, ``environment BATCHEDIT_…``, ``file …``
    origins: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def service(self) -> str:
        """Where jobs are bought: a sandbox's must never be taken for the service's."""
        return "sandbox" if self.sandbox else self.base_url.rstrip("/")

    def manifest_part(self) -> str:
        """A canonical text of what decides which jobs a manifest becomes."""
        return orjson.dumps(
            {name: getattr(self, name) for name in MANIFEST_SETTINGS}, option=orjson.OPT_SORT_KEYS
        ).decode()

    def dump(self) -> str:
        """JSON, to be kept with the run."""
        return orjson.dumps({f.name: getattr(self, f.name) for f in fields(self)}).decode()

    @classmethod
    def load(cls, text: str) -> Settings:
        """The inverse of ``dump``; settings that this version does not know are left out."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {name: value for name, value in orjson.loads(text).items() if name in known}
        for name in ("sizes", "fill_down", "allow_hosts"):
            values[name] = tuple(values.get(name) or ())
        values["over"] = {name: tuple(options) for name, options in (values.get("over") or {}).items()}
        return cls(**values)
