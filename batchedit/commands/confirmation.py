"""A person's yes on its way to the process that buys: what was asked, bound to its digest, count, price and cap.

It travels as a file that only its owner can read, in that person's own state folder, never as words of a command line. It
is used once: whoever buys with it first makes the file ``NONCE.used``, which no second process can make.
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

from ..core.errors import BatcheditError, NotFoundError, OutputError, UsageError
from ..core.money import format_usd, label_play, to_plain_usd
from ..core.policy import NO_CAP, GivenCap
from ..core.typed import format_command
from ..core.words import pluralize
from ..disk import create, sync_folder
from ..ledger.register import FORGET_SECONDS, Register
from ..run_folder import shorten_path
from ..settings.model import Settings
from .quote import Quote
from .retry import RetryRequest

Verb = Literal["run", "resume", "retry", "redo", "doubt", "fetch"]
_MODE = 0o600
_NOTHING = "nothing was bought"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a person wants done.

    ``verb`` ``run`` takes a sheet in, ``resume`` goes on in a run with what it was made with; the others are the commands of
    that name. ``target`` is the sheet for ``run``, else the run's folder, name or sheet. ``given`` are fields of
    ``Settings`` that the person gave: all that steer the purchase, for ``run`` also those that make jobs. ``wish`` belongs
    to ``retry``, ``prompt_add`` and ``use_notes`` to ``redo``, ``rows`` (or ``all``) to ``doubt``: what to buy again.
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
        """Plain values, for ``read``."""
        values = orjson.loads(Settings(**self.given).dump())
        given = {name: value for name, value in values.items() if name in self.given}
        return {**asdict(self), "given": given, "wish": asdict(self.wish)}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Command:
        """What ``as_json`` gave."""
        full = Settings.load(orjson.dumps(told["given"]).decode())
        given = {name: getattr(full, name) for name in told["given"]}
        wish = RetryRequest(**{**told["wish"], "rows": tuple(told["wish"]["rows"])})
        return cls(
            **{**told, "given": given, "wish": wish, "rows": tuple(told["rows"]), "notify": tuple(told["notify"])}
        )

    def to_type(self, folder: Path) -> str:
        """What to type for the same purchase in ``folder``, a run with settings of its own: the words, and the cap."""
        verb = "run" if self.verb == "resume" else self.verb
        return format_command(verb, shorten_path(folder), *self._words(), *self._room())

    def _words(self) -> list[str | int]:
        match self.verb:
            case "retry":
                return self.wish.format_flags()
            case "redo":
                add = ["--prompt-add", self.prompt_add] if self.prompt_add else []
                return [*add, *(["--use-notes"] if self.use_notes else [])]
            case "doubt":
                return ["--buy-again", *self.rows]
        return []

    def _room(self) -> list[str]:
        cap: GivenCap = self.given.get("max_cost")
        return [] if cap is None else ["--max-cost", cap if cap == NO_CAP else to_plain_usd(int(cap))]


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A yes: to ``command`` in the run's ``folder``, as a quote of ``digest`` put it.

    ``count`` pictures, each bought at most ``times`` times, at ``price`` micro-dollars (0: nobody knows it), under the cap
    ``cap`` in micro-dollars (None: no cap). An empty ``digest`` is a yes to nothing that buys: what was bought is collected.
    ``nonce`` is this one yes's name.
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
        """The yes to ``quote``; None where nothing is to be bought."""
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
        """Plain values, for ``read``; a page may keep them between its question and the click."""
        return {**asdict(self), "command": self.command.as_json()}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Confirmation:
        """What ``as_json`` gave. UsageError for anything else."""
        try:
            return cls(**{**told, "command": Command.read(told["command"])})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise UsageError(f"this is no confirmation ({error}); {_NOTHING}") from None

    def check(self, quote: Quote) -> None:
        """UsageError (64) if ``quote`` is anything else than what the person said yes to, with what differs."""
        if quote.digest == self.digest and (quote.count, quote.price, quote.cap, quote.times) == (
            self.count,
            self.price,
            self.cap,
            self.times,
        ):
            return
        raise UsageError(
            f"{self._difference(quote)}; {_NOTHING}",
            hint=f"the question is another one now; to be asked anew: {self.command.to_type(Path(self.folder))}",
        )

    def _difference(self, quote: Quote) -> str:
        if not self.digest:
            return f"nothing was to be bought, and now {pluralize(quote.count, 'picture is', 'pictures are')}"
        play = label_play(quote.plan.play)
        if quote.price != self.price:
            return f"a picture costs {_price(quote.price)} now, and the yes was for {_price(self.price)}{play}"
        if quote.cap != self.cap:
            return f"the cap is {_cap(quote.cap)} now, and the yes was for {_cap(self.cap)}{play}"
        if quote.count != self.count:
            return f"{pluralize(quote.count, 'picture')} would be bought now, and the yes was for {self.count:,}"
        return "the sheet, or what is left of it to buy, was changed since the yes was said"


def _price(micro: int) -> str:
    return format_usd(micro) if micro else "an unknown price"


def _cap(micro: int | None) -> str:
    return "none" if micro is None else format_usd(micro)


class Desk:
    """Where this person's confirmations lie until they are used, and what became of each."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = Register.from_environ(environ).folder / "confirmed"

    def hand_in(self, confirmation: Confirmation) -> Path:
        """Write it down for the process that is to buy. UsageError if this very one was handed in before."""
        path = self.folder / f"{confirmation.nonce}.json"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            _make_once(path)
            if path.with_suffix(".used").exists():
                path.unlink()
                raise FileExistsError
            with create(path.with_suffix(".part"), _MODE) as file:
                file.write(orjson.dumps(confirmation.as_json()))
                os.fsync(file.fileno())
            path.with_suffix(".part").replace(path)
            sync_folder(self.folder)
        except FileExistsError:
            raise UsageError(f"this yes was used already; {_NOTHING} a second time") from None
        except OSError as error:
            raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
        return path

    def _sweep(self) -> None:
        """Forget what is as old as runs that are gone."""
        for old in self.folder.iterdir():
            with suppress(OSError):
                if old.stat().st_mtime < time() - FORGET_SECONDS:
                    old.unlink()


def take(path: Path) -> Confirmation:
    """What ``hand_in`` wrote. UsageError unless it is a plain file of this very person that nobody else can read or write."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NotFoundError(f"there is no confirmation {path} ({error.strerror}); {_NOTHING}") from None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        foreign = hasattr(os, "geteuid") and (facts.st_uid != os.geteuid() or facts.st_mode & 0o077)
        if not stat.S_ISREG(facts.st_mode) or foreign:
            raise UsageError(f"{path} is not a file that only you can read and write; {_NOTHING}")
        try:
            return Confirmation.read(orjson.loads(file.read()))
        except orjson.JSONDecodeError:
            raise UsageError(f"{path} is no confirmation; {_NOTHING}") from None


def use_up(path: Path) -> None:
    """From here on this confirmation is used, whatever becomes of its purchase. UsageError if it was before."""
    try:
        _make_once(path.with_suffix(".used"))
        sync_folder(path.parent)
        path.unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"this yes was used already; {_NOTHING} a second time") from None
    except OSError as error:
        raise OutputError(f"{path} can't be used up: {error.strerror or error}") from error


def _make_once(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE))


# --- what became of it ----------------------------------------------------------------------------


def answer(path: Path, told: Mapping[str, Any]) -> None:
    """Tell whoever waits for the start what became of the confirmation ``path``. Nobody may wait any more."""
    part = path.with_suffix(".telling")
    with suppress(OSError):
        with create(part, _MODE) as file:
            file.write(orjson.dumps(told))
        part.replace(path.with_suffix(".answer"))


def refusal(error: BatcheditError) -> dict[str, Any]:
    """An answer: it did not start, and why."""
    return {"refused": {"code": error.code, "lines": list(error.lines), "hint": error.hint}}


def read_answer(path: Path) -> dict[str, Any] | None:
    """What ``answer`` told; None as long as nothing was."""
    try:
        told: dict[str, Any] = orjson.loads(path.with_suffix(".answer").read_bytes())
    except FileNotFoundError:
        return None
    return told
