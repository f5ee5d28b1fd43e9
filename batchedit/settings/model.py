"""What a person may set, as one frozen value; parts of it go to those who need them.

Names are those of the command line with ``-`` as ``_``; times are seconds, money is micro-dollars.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import get_type_hints

import orjson

from ..core.paths import bare_base_url
from ..core.policy import GivenCap
from .kept import read_kept

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
    "header_row",
    "visible_only",
    "image_root",
    "no_shrink",
    "skip_invalid",
    "check_images",
)
"""What decides which jobs a manifest becomes and what they are called: part of the fingerprint of an intake."""


SANDBOX = "sandbox"
"""The service of a run that buys nothing: what it says of money is play money."""


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
    header_row: int | None = None
    visible_only: bool = False
    image_root: tuple[str, ...] = ()  #: folders beside the sheet's below which pictures are read
    no_shrink: bool = False
    skip_invalid: bool = False
    check_images: bool = False
    no_check_images: bool = False  #: not even the first few links are asked about
    out: str | None = None
    format: str | None = None
    no_thumbnails: bool = False
    price: int | None = None
    concurrency: int = 20  #: 0: auto
    rate: float | None = None  #: POSTs a second
    max_cost: GivenCap = None  #: micro-dollars; NO_CAP lifts the run's cap, None leaves it as it is
    canary: int = 0
    on_doubt: str = "hold"
    fresh: bool = False  #: take nothing over from other runs, and leave nothing to them
    another_account: bool = False  #: the token is another one than that which bought, and that is meant
    mine: bool = False  #: the run that is there is this person's, though this machine's register does not know it
    stop_after_failures: str | None = None  #: ``"N"`` or ``"P%"``
    stuck_after: float = 3600.0
    until: float | None = None  #: epoch seconds
    poll_seconds: float | None = None
    allow_sleep: bool = False  #: the machine need not be kept awake while the run goes on
    store: str | None = None  #: the address of the shared ledger; it may hold a password, so it is kept nowhere
    sandbox: bool = False
    base_url: str = DEFAULT_BASE_URL
    allow_hosts: tuple[str, ...] = ()
    #: where each value came from that is no default: ``flag``, ``environment BATCHEDIT_…``, ``file …``
    origins: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def service(self) -> str:
        """Where jobs are bought: a sandbox's must never be taken for the service's."""
        return SANDBOX if self.sandbox else bare_base_url(self.base_url)

    def manifest_part(self) -> str:
        """A canonical text of what decides which jobs a manifest becomes."""
        return orjson.dumps(
            {name: getattr(self, name) for name in MANIFEST_SETTINGS}, option=orjson.OPT_SORT_KEYS
        ).decode()

    def dump(self) -> str:
        """JSON, to be kept with the run."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "store"}
        return orjson.dumps(kept).decode()

    @classmethod
    def load(cls, text: str) -> Settings:
        """The inverse of ``dump``; settings that this version does not know are left out.

        KeptSettingsError (65) for a text that ``dump`` can't have written: a run may be damaged, or somebody else's.
        """
        return cls(**read_kept(text, get_type_hints(cls)))
