"""Whether an account is known to be true, and how it is."""

import msgspec


class Reconciled(msgspec.Struct, frozen=True):
    """Whether the account is known to be true. `reason`: why not, or after what it is (again); "by hand": a check.

    `fills`: how many the reconciliation found that the stream had not told; `seconds`: how long it took.
    """

    done: bool
    reason: str
    fills: int = 0
    seconds: float = 0.0


class AccountHealth(msgspec.Struct, frozen=True):
    """Counts are since the start; `reason` as of `Reconciled`, with the error of the last round that failed."""

    reconciled: bool
    reason: str
    reconciliations: int
    failures: int
    open_orders: int
    positions: int
    fills: int
    repeated_fills: int
    outdated: int
