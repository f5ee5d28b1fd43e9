"""What a person may set: three groups, and ``Settings`` as all of them in one frozen value.

Names are those of the command line with ``-`` as ``_``; times are seconds, money is micro-dollars. All else about a setting
is in its field's metadata, so that a new one is added here, in ``cli/options.py`` and, where programs may give it too, in
``program.Options``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import orjson

from ..core.budget import GivenCap
from ..core.paths import normalize_base_url
from .kept import read_kept

DEFAULT_MODEL = "openai/gpt-4o-image/edit"
DEFAULT_BASE_URL = "https://model-api.runcomfy.net"

SANDBOX = "sandbox"
"""The service of a run in the sandbox: its sums are play money."""


def _define_setting(default: Any, **metadata: Any) -> Any:
    """A field with its metadata.

    ``option``: its name on the command line, where that is not the field's with ``-`` for ``_``.
    ``written``: the formatter of ``settings.toml`` that writes it as a person types it.
    ``above_zero``, ``one_of``: which values it may have.
    ``kept=False``: ``settings.toml`` leaves it out, because it is given for one command alone or is a secret.
    ``fingerprint=False``: jobs and names do not depend on it. ``names_only``: only the files' names do.
    """
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class ManifestOptions:
    """Which jobs a manifest becomes and what they are called: the recipe, and the fingerprint of an intake."""

    model: str = DEFAULT_MODEL
    schema: str | None = None  #: path of a JSON Schema file, for a model that is not built in
    prompt: str | None = None
    map: dict[str, str] = field(default_factory=dict)  #: the model's field -> the manifest's column
    set: dict[str, str] = field(default_factory=dict)  #: the model's field -> one value for all rows
    sizes: tuple[str, ...] = ()
    variants: int = _define_setting(1, above_zero=True)
    #: column -> values to expand over
    over: dict[str, tuple[str, ...]] = field(default_factory=dict, metadata={"option": "for", "written": "lists"})
    fill_down: tuple[str, ...] = ()
    id: str | None = _define_setting(None, names_only=True)
    name: str | None = _define_setting(None, names_only=True)
    limit: int | None = _define_setting(None, above_zero=True)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header_row: int | None = None
    visible_only: bool = False
    image_root: tuple[str, ...] = ()  #: folders beside the sheet's below which pictures are read
    no_shrink: bool = False
    skip_invalid: bool = False
    check_images: bool = False
    #: not even the first few links are asked about
    no_check_images: bool = _define_setting(default=False, fingerprint=False)

    def dump_manifest_part(self) -> str:
        """A canonical text of the settings that decide which jobs a manifest becomes."""
        return orjson.dumps(
            {name: getattr(self, name) for name in MANIFEST_SETTINGS}, option=orjson.OPT_SORT_KEYS
        ).decode()


@dataclass(frozen=True, kw_only=True)
class PurchaseOptions:
    """What is bought, how fast, for how much at most, and in which form it comes back."""

    out: str | None = _define_setting(None, kept=False)
    format: str | None = _define_setting(None, one_of=("csv", "jsonl", "parquet", "xlsx"))
    no_thumbnails: bool = False
    price: int | None = _define_setting(None, written="usd")
    concurrency: int = _define_setting(20, written="concurrency")  #: 0: auto
    rate: float | None = _define_setting(None, written="rate", above_zero=True)  #: POSTs a second
    #: micro-dollars; NO_CAP lifts the run's cap, None leaves it as it is
    max_cost: GivenCap = field(default=None, metadata={"written": "usd"})
    canary: int = 0
    on_doubt: str = _define_setting("hold", one_of=("hold", "buy-again"))
    #: take nothing over from other runs, and leave nothing to them
    fresh: bool = _define_setting(default=False, kept=False)
    #: buy with another token than that which bought so far
    another_account: bool = _define_setting(default=False, kept=False)
    #: the run is this person's, though this machine's register does not know it
    mine: bool = _define_setting(default=False, kept=False)
    stop_after_failures: str | None = None  #: ``"N"`` or ``"P%"``
    stuck_after: float = 3600.0
    until: float | None = _define_setting(None, written="clock")  #: epoch seconds
    poll_seconds: float | None = _define_setting(None, above_zero=True)
    allow_sleep: bool = False  #: the machine need not be kept awake while the run goes on


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Where jobs are bought, where files may come from, and which ledger keeps the run."""

    #: the address of the shared ledger; it may hold a password, so it is not kept
    store: str | None = _define_setting(None, kept=False)
    #: where pictures go besides the run's folder: s3://, gs://, az:// or a folder; the run keeps it by itself
    files: str | None = _define_setting(None, kept=False)
    sandbox: bool = False
    base_url: str = DEFAULT_BASE_URL
    allow_hosts: tuple[str, ...] = _define_setting((), option="allow-host")

    @property
    def service(self) -> str:
        """Where jobs are bought. Jobs of a sandbox must never be taken for those of the service."""
        return SANDBOX if self.sandbox else normalize_base_url(self.base_url)


_ADDRESSES = frozenset({"store", "files"})
"""Not kept with a run, as they may hold a password, and not read from one: no file decides which ledger a run is in."""


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceOptions, PurchaseOptions, ManifestOptions):
    """All settings of ``run``. The defaults are the command line's."""

    #: the origin of each value that is no default: ``flag``, ``environment BATCHEDIT_…``, ``file …``
    origins: dict[str, str] = field(default_factory=dict, compare=False, metadata={"kept": False})

    def dump(self) -> str:
        """JSON, to be kept with the run."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ADDRESSES}
        return orjson.dumps(values).decode()

    @classmethod
    def load(cls, text: str) -> Settings:
        """The inverse of ``dump``; settings that this version does not know are left out.

        KeptSettingsError (65) for a text that ``dump`` can't have written: a run may be damaged, or another person's.
        """
        types = {name: expected for name, expected in get_type_hints(cls).items() if name not in _ADDRESSES}
        return cls(**read_kept(text, types, {f.name: f.metadata for f in fields(cls)}))


MANIFEST_SETTINGS = tuple(f.name for f in fields(ManifestOptions) if f.metadata.get("fingerprint", True))
"""The settings that decide which jobs a manifest becomes and what they are called: part of an intake's fingerprint."""
