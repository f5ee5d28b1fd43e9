"""What a person may set: three groups, and ``Settings`` as all of them in one frozen value.

Names are those of the command line with ``-`` as ``_``; times are seconds, money is micro-dollars. What else is to be known
of a setting stands beside its field, so that a new one is written here, in ``cli/options.py`` and, where programs may give
it too, in ``library.Options``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import orjson

from ..core.paths import normalize_base_url
from ..core.policy import GivenCap
from .kept import read_kept

DEFAULT_MODEL = "openai/gpt-4o-image/edit"
DEFAULT_BASE_URL = "https://model-api.runcomfy.net"

SANDBOX = "sandbox"
"""The service of a run that buys nothing: what it says of money is play money."""


def _setting(default: Any, **facts: Any) -> Any:
    """A field with what else is to be known of it.

    ``option``: its name on the command line, where that is not the field's with ``-`` for ``_``.
    ``written``: the function of ``settings.toml`` that writes it as a person types it.
    ``above_zero``, ``one_of``: which values it may have.
    ``kept=False``: ``settings.toml`` leaves it out, because it is said for one command alone or is a secret.
    ``fingerprint=False``: jobs and names do not depend on it. ``names_only``: only the files' names do.
    """
    return field(default=default, metadata=facts)


@dataclass(frozen=True, kw_only=True)
class ManifestOptions:
    """Which jobs a manifest becomes and what they are called: the recipe, and the fingerprint of an intake."""

    model: str = DEFAULT_MODEL
    schema: str | None = None  #: path of a JSON Schema file, for a model that is not built in
    prompt: str | None = None
    map: dict[str, str] = field(default_factory=dict)  #: the model's field -> the manifest's column
    set: dict[str, str] = field(default_factory=dict)  #: the model's field -> one value for all rows
    sizes: tuple[str, ...] = ()
    variants: int = _setting(1, above_zero=True)
    #: column -> values to expand over
    over: dict[str, tuple[str, ...]] = field(default_factory=dict, metadata={"option": "for", "written": "lists"})
    fill_down: tuple[str, ...] = ()
    id: str | None = _setting(None, names_only=True)
    name: str | None = _setting(None, names_only=True)
    limit: int | None = _setting(None, above_zero=True)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header_row: int | None = None
    visible_only: bool = False
    image_root: tuple[str, ...] = ()  #: folders beside the sheet's below which pictures are read
    no_shrink: bool = False
    skip_invalid: bool = False
    check_images: bool = False
    no_check_images: bool = _setting(default=False, fingerprint=False)  #: not even the first few links are asked about

    def manifest_part(self) -> str:
        """A canonical text of what decides which jobs a manifest becomes."""
        return orjson.dumps(
            {name: getattr(self, name) for name in MANIFEST_SETTINGS}, option=orjson.OPT_SORT_KEYS
        ).decode()


@dataclass(frozen=True, kw_only=True)
class PurchaseOptions:
    """What is bought, how fast and at most for how much, and in which form it comes back."""

    out: str | None = _setting(None, kept=False)
    format: str | None = _setting(None, one_of=("csv", "jsonl", "parquet", "xlsx"))
    no_thumbnails: bool = False
    price: int | None = _setting(None, written="usd")
    concurrency: int = _setting(20, written="concurrency")  #: 0: auto
    rate: float | None = _setting(None, written="rate", above_zero=True)  #: POSTs a second
    #: micro-dollars; NO_CAP lifts the run's cap, None leaves it as it is
    max_cost: GivenCap = field(default=None, metadata={"written": "usd"})
    canary: int = 0
    on_doubt: str = _setting("hold", one_of=("hold", "buy-again"))
    fresh: bool = _setting(default=False, kept=False)  #: take nothing over from other runs, and leave nothing to them
    #: the token is another one than that which bought, and that is meant
    another_account: bool = _setting(default=False, kept=False)
    #: the run that is there is this person's, though this machine's register does not know it
    mine: bool = _setting(default=False, kept=False)
    stop_after_failures: str | None = None  #: ``"N"`` or ``"P%"``
    stuck_after: float = 3600.0
    until: float | None = _setting(None, written="clock")  #: epoch seconds
    poll_seconds: float | None = _setting(None, above_zero=True)
    allow_sleep: bool = False  #: the machine need not be kept awake while the run goes on


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Where jobs are bought, where files may come from, and which ledger keeps the run."""

    #: the address of the shared ledger; it may hold a password, so it is kept nowhere
    store: str | None = _setting(None, kept=False)
    #: where pictures go besides the run's folder: s3://, gs://, az:// or a folder; the run knows it by itself
    files: str | None = _setting(None, kept=False)
    sandbox: bool = False
    base_url: str = DEFAULT_BASE_URL
    allow_hosts: tuple[str, ...] = _setting((), option="allow-host")

    @property
    def service(self) -> str:
        """Where jobs are bought: a sandbox's must never be taken for the service's."""
        return SANDBOX if self.sandbox else normalize_base_url(self.base_url)


_ADDRESSES = frozenset({"store", "files"})
"""Kept with no run, as they may hold a password, and read from none: no file decides which ledger a run is in."""


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceOptions, PurchaseOptions, ManifestOptions):
    """Everything that ``run`` can be told. The defaults are the command line's."""

    #: where each value came from that is no default: ``flag``, ``environment BATCHEDIT_…``, ``file …``
    origins: dict[str, str] = field(default_factory=dict, compare=False, metadata={"kept": False})

    def dump(self) -> str:
        """JSON, to be kept with the run."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ADDRESSES}
        return orjson.dumps(kept).decode()

    @classmethod
    def load(cls, text: str) -> Settings:
        """The inverse of ``dump``; settings that this version does not know are left out.

        KeptSettingsError (65) for a text that ``dump`` can't have written: a run may be damaged, or somebody else's.
        """
        types = {name: wanted for name, wanted in get_type_hints(cls).items() if name not in _ADDRESSES}
        return cls(**read_kept(text, types, {f.name: f.metadata for f in fields(cls)}))


MANIFEST_SETTINGS = tuple(f.name for f in fields(ManifestOptions) if f.metadata.get("fingerprint", True))
"""What decides which jobs a manifest becomes and what they are called: part of the fingerprint of an intake."""
