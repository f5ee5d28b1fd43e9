"""The account: integer micro-dollars, reserved at each accept, settled when the job ends."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation


def to_micros(usd: str | float) -> int:
    """Dollars as typed as integer micro-dollars, exactly."""
    try:
        value = Decimal(str(usd)) * 1_000_000
    except InvalidOperation:
        raise ValueError(f"{usd!r} is not an amount of dollars") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{usd!r} is not an amount of dollars from 0 up")
    return round(value)


def to_usd(amount: int) -> float:
    """Micro-dollars as dollars, the JSON number of the API."""
    return amount / 1_000_000


@dataclass(slots=True)
class Account:
    """The money of the account. `balance` None: unlimited."""

    balance: int | None
    reserved: int = 0
    charged: int = 0

    def compute_available(self) -> int | None:
        return None if self.balance is None else self.balance - self.reserved - self.charged

    def covers(self, price: int) -> bool:
        available = self.compute_available()
        return available is None or available >= price

    def reserve(self, price: int) -> None:
        """Reserve the price."""
        self.reserved += price

    def settle(self, price: int, actual: int) -> None:
        """Replace the price reserved for a job by its actual cost (0: a refund)."""
        self.reserved -= price
        self.charged += actual
