"""What happens to an account, as the private streams tell it."""

from typing import Any, NamedTuple


class Told(NamedTuple):
    """One message's worth. `topic`: order, execution, position or wallet; `category` is empty for the wallet.

    `rows` are as the venue's private streams have them, `time_ms` is when it happened, ms since the epoch.
    """

    topic: str
    category: str
    rows: list[dict[str, Any]]
    time_ms: int
