"""A person's confirmation, handed to the process that buys: what was asked, bound to its digest, count, price and cap.

It is a file that only its owner can read, in that person's state folder; it is never passed on a command line. It is used
once: the process that buys first creates the file ``NONCE.used``, which no second process can create.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time
from typing import Any, Literal

import orjson

from ..core.budget import NO_CAP, GivenCap
from ..core.errors import BatcheditError, NotFoundError, OutputError, UsageError
from ..core.money import format_usd, label_play, to_plain_usd
from ..core.plurals_and_durations import pluralize
from ..core.shell_commands import format_command
from ..disk import replace_atomically, sync_folder
from ..ledger.register import FORGET_SECONDS, Register
from ..run_folder import shorten_path
from ..settings.model import Settings
from .quote_to_confirm import Quote
from .retry import RetryRequest

Verb = Literal["run", "resume", "retry", "redo", "doubt", "fetch"]
_MODE = 0o600
_NOTHING_BOUGHT = "nothing was bought"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a person wants done.

    ``verb``: ``run`` takes a sheet in, ``resume`` continues a run with the settings it was made with; the others are the
    commands of that name. ``target`` is the sheet for ``run``, else the run's folder, name or sheet. ``given`` are the
    fields of ``Settings`` that the person gave: those of the purchase, for ``run`` also those that decide the jobs. ``wish``
    belongs to ``retry``, ``prompt_add`` and ``use_notes`` to ``redo``, ``rows`` (or ``all``) to ``doubt``: what to buy again.
    ``notify`` is where the messages of a process of its own go.
    """

    verb: Verb
    target: str
    given: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    wish: RetryRequest = field(default_factory=RetryRequest)
    prompt_add: str = ""
    use_notes: bool = False
    rows: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """JSON values, for ``from_json``."""
        values = orjson.loads(Settings(**self.given).dump())
        given = {name: value for name, value in values.items() if name in self.given}
        return {**asdict(self), "given": given, "wish": asdict(self.wish)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Command:
        """The inverse of ``as_json``."""
        settings = Settings.load(orjson.dumps(values["given"]).decode())
        given = {name: getattr(settings, name) for name in values["given"]}
        wish = RetryRequest(**{**values["wish"], "rows": tuple(values["wish"]["rows"])})
        return cls(
            **{**values, "given": given, "wish": wish, "rows": tuple(values["rows"]), "notify": tuple(values["notify"])}
        )

    def to_type(self, folder: Path) -> str:
        """The command line for the same purchase in ``folder``, a run with settings of its own: its words, and the cap."""
        verb = "run" if self.verb == "resume" else self.verb
        return format_command(verb, shorten_path(folder), *self._list_words(), *self._list_cap_words())

    def _list_words(self) -> list[str | int]:
        match self.verb:
            case "retry":
                return self.wish.format_flags()
            case "redo":
                add = ["--prompt-add", self.prompt_add] if self.prompt_add else []
                return [*add, *(["--use-notes"] if self.use_notes else [])]
            case "doubt":
                return ["--buy-again", *self.rows]
        return []

    def _list_cap_words(self) -> list[str]:
        cap: GivenCap = self.given.get("max_cost")
        return [] if cap is None else ["--max-cost", cap if cap == NO_CAP else to_plain_usd(int(cap))]


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A yes to ``command`` in the run's ``folder``, as asked by the quote with ``digest``.

    ``count`` pictures, each bought at most ``times`` times, at ``price`` micro-dollars (0: unknown), under the cap ``cap`` in
    micro-dollars (None: no cap). With an empty ``digest`` nothing is bought: what was bought is collected. ``nonce`` names
    this one confirmation.
    """

    command: Command
    folder: str
    digest: str = ""
    count: int = 0
    price: int = 0
    cap: int | None = None
    times: int = 1
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    @classmethod
    def of(cls, command: Command, folder: Path, quote: Quote | None) -> Confirmation:
        """The confirmation of ``quote``; ``quote`` is None where nothing is to be bought."""
        folder_name = str(folder.absolute())
        if quote is None:
            return cls(command=command, folder=folder_name)
        return cls(
            command=command,
            folder=folder_name,
            digest=quote.digest,
            count=quote.count,
            price=quote.price,
            cap=quote.cap,
            times=quote.times,
        )

    def as_json(self) -> dict[str, Any]:
        """JSON values, for ``from_json``; a page may keep them between its question and the click."""
        return {**asdict(self), "command": self.command.as_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Confirmation:
        """The inverse of ``as_json``. UsageError for anything else."""
        try:
            return cls(**{**values, "command": Command.from_json(values["command"])})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise UsageError(f"this is no confirmation ({error}); {_NOTHING_BOUGHT}") from None

    def check(self, quote: Quote) -> None:
        """UsageError (64) if ``quote`` is not what the person said yes to; it names what differs."""
        if quote.digest == self.digest and (quote.count, quote.price, quote.cap, quote.times) == (
            self.count,
            self.price,
            self.cap,
            self.times,
        ):
            return
        raise UsageError(
            f"{self._describe_difference(quote)}; {_NOTHING_BOUGHT}",
            hint=f"the question is another one now; to be asked anew: {self.command.to_type(Path(self.folder))}",
        )

    def _describe_difference(self, quote: Quote) -> str:
        if not self.digest:
            return f"nothing was to be bought, and now {pluralize(quote.count, 'picture is', 'pictures are')}"
        play = label_play(quote.plan.play)
        if quote.price != self.price:
            return f"a picture costs {_format_price(quote.price)} now, and the yes was for {_format_price(self.price)}{play}"
        if quote.cap != self.cap:
            return f"the cap is {_format_cap(quote.cap)} now, and the yes was for {_format_cap(self.cap)}{play}"
        if quote.count != self.count:
            return f"{pluralize(quote.count, 'picture')} would be bought now, and the yes was for {self.count:,}"
        return "the sheet, or what is left of it to buy, was changed since the yes was said"


def _format_price(micro: int) -> str:
    return format_usd(micro) if micro else "an unknown price"


def _format_cap(micro: int | None) -> str:
    return "none" if micro is None else format_usd(micro)


class ConfirmationFolder:
    """The folder of this person's confirmations until they are used, and of the answer to each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = Register.from_environ(environ).folder / "confirmed"

    def hand_in(self, confirmation: Confirmation) -> Path:
        """Write ``confirmation`` for the process that is to buy. UsageError if the same one was handed in before."""
        path = self.folder / f"{confirmation.nonce}.json"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._delete_old()
            _create_once(path)
            if path.with_suffix(".used").exists():
                path.unlink()
                raise FileExistsError
            with replace_atomically(path, _MODE) as part:
                part.write_bytes(orjson.dumps(confirmation.as_json()))
        except FileExistsError:
            raise UsageError(f"this yes was used already; {_NOTHING_BOUGHT} a second time") from None
        except OSError as error:
            raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
        return path

    def _delete_old(self) -> None:
        """Delete files that are older than FORGET_SECONDS."""
        for old in self.folder.iterdir():
            with suppress(OSError):
                if old.stat().st_mtime < time() - FORGET_SECONDS:
                    old.unlink()


def read_confirmation(path: Path) -> Confirmation:
    """What ``hand_in`` wrote. UsageError unless it is a plain file of this person that no other user can read or write."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NotFoundError(f"there is no confirmation {path} ({error.strerror}); {_NOTHING_BOUGHT}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        is_foreign = hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & 0o077)
        if not stat.S_ISREG(status.st_mode) or is_foreign:
            raise UsageError(f"{path} is not a file that only you can read and write; {_NOTHING_BOUGHT}")
        try:
            return Confirmation.from_json(orjson.loads(file.read()))
        except orjson.JSONDecodeError:
            raise UsageError(f"{path} is no confirmation; {_NOTHING_BOUGHT}") from None


def use_up(path: Path) -> None:
    """Mark this confirmation as used, however its purchase ends. UsageError if it was used before."""
    try:
        _create_once(path.with_suffix(".used"))
        sync_folder(path.parent)
        path.unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"this yes was used already; {_NOTHING_BOUGHT} a second time") from None
    except OSError as error:
        raise OutputError(f"{path} can't be used up: {error.strerror or error}") from error


def _create_once(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE))


# --- the answer to it -----------------------------------------------------------------------------


def write_answer(path: Path, values: Mapping[str, Any]) -> None:
    """Write the answer to the confirmation ``path`` for the process that waits for the start; it may have ended by now."""
    with suppress(OSError), replace_atomically(path.with_suffix(".answer"), _MODE) as part:
        part.write_bytes(orjson.dumps(values))


def refusal_to_json(error: BatcheditError) -> dict[str, Any]:
    """The answer that says that the process did not start, and why."""
    return {"refused": {"code": error.code, "lines": list(error.lines), "hint": error.hint}}


def read_answer(path: Path) -> dict[str, Any] | None:
    """What ``write_answer`` wrote; None as long as there is no answer."""
    try:
        values: dict[str, Any] = orjson.loads(path.with_suffix(".answer").read_bytes())
    except FileNotFoundError:
        return None
    return values
