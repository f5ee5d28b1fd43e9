"""Where the token may go, whose files are taken, and which settings are used of a run that another person may have made.

A sheet, a settings file beside it and a run's folder may come from another person, so none of them decides this. What a
person typed (a flag, the environment, ``--config``, a call of the library) is kept in that person's own configuration, never
in a run: later commands work without typing it again.

A run that this person made has an id in the person's register (``register``). The settings of any other run may restrict what
is done and extend nothing: see ``BELIEVED_SETTINGS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from ..core.errors import OutputError, UsageError
from ..core.shell_commands import quote_word
from ..disk import find_own_folder, write_atomically
from ..ledger.register import VARIABLE
from ..runcomfy.urls import DEFAULT_BASE_URL, check_base_url, parse_origin
from ..settings.model import Settings
from .play_money import is_at_own_sandbox

NAME = "typed-services.json"
_SERVICES, _HOSTS = "services", "hosts"
_typed_here: dict[Path, dict[str, set[str]]] = {}
"""What was typed in this process, by the file that keeps it: it holds here also where that file can't be written, or can't be
read again a moment later. It ends with the process.
"""


def locate_trusted_file(environ: Mapping[str, str]) -> Path:
    """The file of what was typed: in the person's configuration; ``BATCHEDIT_STATE`` moves it."""
    moved = environ.get(VARIABLE)
    folder = Path(moved).expanduser().absolute() if moved else find_own_folder("config", environ)
    return folder / NAME


def keep_typed(environ: Mapping[str, str], base_url: str | None, allow_hosts: Iterable[str] = ()) -> str:
    """Trust ``base_url`` and ``allow_hosts``, which this person typed, from now on.

    Where the configuration can't be written they hold for this process alone: returns a warning that says so, else "".
    UsageError (64) for a URL that can't be used.
    """
    services = [] if base_url is None or _is_vendor(base_url) else [_format_origin(check_base_url(base_url))]
    path, typed = locate_trusted_file(environ), _read_typed(locate_trusted_file(environ))
    updated = {_SERVICES: typed[_SERVICES] | set(services), _HOSTS: typed[_HOSTS] | set(allow_hosts)}
    if updated == typed:
        return ""
    _typed_here[path] = updated
    text = json.dumps({name: sorted(values) for name, values in updated.items()}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, text.encode())
    except (OSError, OutputError) as error:
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        return (
            f"warning: {path} can't be written ({reason}), so services and hosts that you typed hold for this command alone\n"
            f"  → make its folder writable, or give another one: export {VARIABLE}=DIR"
        )
    return ""


def check_trusted(settings: Settings, environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """UsageError (64) if ``settings`` name a service or a host of files that is neither the vendor's nor typed by this
    person. Called before anything is sent: the token goes to the service. ``warn`` gets a message about a service that is
    neither the vendor's nor this person's sandbox.
    """
    if settings.sandbox:
        return
    typed = _read_typed(locate_trusted_file(environ))
    if not _is_vendor(settings.base_url) and _format_origin(settings.base_url) not in typed[_SERVICES]:
        raise UsageError(
            f"this run names the service {settings.base_url}, which is not the vendor's and was never typed by you; "
            "nothing was sent there",
            hint="only if you know that service, type the same command again with: "
            f"--base-url {quote_word(settings.base_url)}",
        )
    if unknown_hosts := [host for host in settings.allow_hosts if host not in typed[_HOSTS]]:
        raise UsageError(
            f"this run takes files from {', '.join(unknown_hosts)}, which you never typed; nothing was sent",
            hint="only if you know that host, type the same command again with: "
            + " ".join(f"--allow-host {quote_word(host)}" for host in unknown_hosts),
        )
    if not (_is_vendor(settings.base_url) or is_at_own_sandbox(settings, environ)):
        warn(f"the service is {settings.base_url}, not the vendor's")


# --- whose run it is ------------------------------------------------------------------------------

BELIEVED_SETTINGS = frozenset(
    {
        *("model", "prompt", "map", "set", "sizes", "variants", "over", "fill_down", "id", "name", "limit"),
        *("encoding", "delimiter", "sheet", "header_row", "visible_only", "skip_invalid", "no_shrink"),
        *("check_images", "no_check_images", "format", "no_thumbnails"),
        *("max_cost", "rate", "stop_after_failures", "stuck_after", "sandbox"),
        *("base_url", "allow_hosts"),
    }
)
"""The settings that are used of a run that is not known to be this person's. Those that make its jobs and read its own copy
of the sheet are shown in the plan, a cap and a rate restrict, the service and the hosts are checked above. No others are
used: not which files are read (``image_root``, ``schema``), not the claimed price of a picture (``price``).
"""


def restrict_settings(kept: Settings) -> Settings:
    """Those of ``kept``, the settings of a run that is not known to be this person's, that are used."""
    return Settings(**{name: getattr(kept, name) for name in BELIEVED_SETTINGS})


def list_ignored_settings(kept: Settings) -> Iterator[str]:
    """The names of the settings that differ from the default and that ``restrict_settings`` leaves out."""
    defaults = Settings()
    for field in fields(Settings):
        if (
            field.compare
            and field.name not in BELIEVED_SETTINGS
            and getattr(kept, field.name) != getattr(defaults, field.name)
        ):
            yield field.name


# --- what was typed -------------------------------------------------------------------------------


def _is_vendor(base_url: str) -> bool:
    return parse_origin(base_url.strip().rstrip("/")) == parse_origin(DEFAULT_BASE_URL)


def _format_origin(base_url: str) -> str:
    scheme, host, port = parse_origin(base_url.strip().rstrip("/")) or ("", "", 0)
    return f"{scheme}://{host}:{port}"


def _read_typed(path: Path) -> dict[str, set[str]]:
    """The content of the file, and what was typed in this process. A missing or damaged file counts as empty, and the person
    types it once more.
    """
    typed_here = _typed_here.get(path, {})
    try:
        content = json.loads(path.read_bytes())
        return {name: set(map(str, content[name])) | typed_here.get(name, set()) for name in (_SERVICES, _HOSTS)}
    except (OSError, ValueError, LookupError, TypeError):
        return {name: set(typed_here.get(name, ())) for name in (_SERVICES, _HOSTS)}
