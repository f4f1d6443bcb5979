"""What a session still has to ask the venue for, and what it has asked."""

from collections import deque
from dataclasses import dataclass, field

SUBSCRIBE = "subscribe"
UNSUBSCRIBE = "unsubscribe"


@dataclass(slots=True, eq=False)
class Request:
    """A request the venue has not answered yet."""

    operation: str
    names: list[str]
    deadline: float


@dataclass(slots=True)
class Outbox:
    """Topics waiting to be asked for or let go of: in any grouping, or in groups that a refusal made."""

    subscribe: dict[str, None] = field(default_factory=dict)  # a dict for its order
    unsubscribe: dict[str, None] = field(default_factory=dict)
    groups: deque[tuple[str, list[str]]] = field(default_factory=deque)

    def clear(self) -> None:
        """Forget all of it."""
        self.subscribe.clear()
        self.unsubscribe.clear()
        self.groups.clear()

    def __bool__(self) -> bool:
        return bool(self.subscribe or self.unsubscribe or self.groups)
