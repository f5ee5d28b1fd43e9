"""All options of the sandbox as one frozen value, in the form a person types them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchedit.sandbox.faults import parse_fault
from batchedit.sandbox.latency import parse_latency
from batchedit.sandbox.money import to_micros
from batchedit.sandbox.throttle import parse_rate_limit

PHOTOS = ("png", "jpeg")
_CHOICES = {
    "image_shape": ("any", "string", "array"),
    "done_word": ("completed", "succeeded"),
    "cancelled_word": ("cancelled", "canceled"),
    "outputs": ("image", "images"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """The options of a server, faults included. Text options are checked on creation (ValueError)."""

    port: int = 0  #: 0: the system picks a free one
    token: str | None = None  #: None: any token that is not empty is accepted
    seed: int = 0
    #: a file that outlives the process: started with it again, the server goes on where it was killed; see memory.py
    state: Path | str | None = None
    # the clock
    latency: str = "2"  #: seconds a job runs; see latency.py
    slots: int | None = None  #: jobs that run at once; None: all of them
    queue: float = 0.0  #: least seconds a job waits before it runs
    answer_after: float = 0.0  #: seconds every API call takes, half before it is handled and half after
    # the API
    models: Mapping[str, dict[str, Any]] = field(default_factory=dict)  #: further model ids with their input schema
    catalogue: bool = True  #: False: GET of a model is 404
    image_shape: str = "any"
    result_while_running: str = "state"  #: or an HTTP status such as 404; `4xx` is 409; or 400005
    done_word: str = "completed"
    cancelled_word: str = "cancelled"
    coarse_status: bool = False  #: /status says `completed` for a failed job too, as the vendor's may
    rate_limit: str | None = None
    at_once: int | None = None  #: jobs queued or running that the account may have; None: no limit
    keep_alive: int = 75  #: seconds an idle connection is kept
    # money, in dollars as typed
    price: str | float = "0.04"
    actual_price: str | float | None = None  #: None: the price
    show_cost: bool = True
    cost_after: float = 0.0  #: seconds from a job's end until results know its cost
    balance: str | float | None = None  #: None: unlimited
    # what comes out
    outputs: str = "image"
    images_per_job: int = 1
    link_ttl: float | None = None  #: seconds a link lives; None: for ever
    plain_files: int | None = None  #: bytes of a cheap picture, instead of a drawn one
    photo_files: str | None = None  #: `png` or `jpeg`: pictures as heavy as photographs, instead of drawn ones
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not one of {', '.join(choices)}")
        if self.photo_files not in {None, *PHOTOS}:
            raise ValueError(f"photo_files: {self.photo_files!r} is not one of {', '.join(PHOTOS)}")
        parse_latency(self.latency)
        for text in self.faults:
            parse_fault(text)
        if self.rate_limit is not None:
            parse_rate_limit(self.rate_limit)
        for amount in (self.price, self.actual_price, self.balance):
            to_micros(amount or 0)
        if not re.fullmatch(r"state|4xx|4\d\d|400005", self.result_while_running):
            raise ValueError(
                f"result_while_running: {self.result_while_running!r} is not state, 4xx, a 4xx status or 400005"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.slots is not None and self.slots < 1:
            raise ValueError(f"slots: {self.slots} is less than 1")
        if self.at_once is not None and self.at_once < 1:
            raise ValueError(f"at_once: {self.at_once} is less than 1")
        if self.images_per_job < 1 or (self.images_per_job > 1 and self.outputs == "image"):
            raise ValueError("images_per_job: 1 or more, and more than one needs --outputs images")
        for name in ("queue", "answer_after", "cost_after", "link_ttl", "plain_files", "keep_alive"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is less than 0")

    def get_price_micros(self) -> int:
        return to_micros(self.price)

    def get_actual_micros(self) -> int:
        return to_micros(self.price if self.actual_price is None else self.actual_price)

    def get_balance_micros(self) -> int | None:
        return None if self.balance is None else to_micros(self.balance)
