"""What a session still has to ask the venue for, and what it has asked."""

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

SUBSCRIBE = "subscribe"
UNSUBSCRIBE = "unsubscribe"


@dataclass(slots=True, eq=False)
class Request:
    """A request the venue has not answered yet; `identity` is its req_id."""

    identity: str
    operation: str
    names: list[str]
    deadline: float


class Unanswered(dict[str, Request]):
    """The requests without an answer, by req_id, oldest first. An identity is never used twice."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0

    def open(self, operation: str, names: list[str], deadline: float) -> Request:
        """A new request."""
        self._last += 1
        request = self[str(self._last)] = Request(str(self._last), operation, names, deadline)
        return request

    def holding(self, names: AbstractSet[str], operation: str) -> Request | None:
        """The oldest that holds one of these topics; `operation` may be empty for either."""
        for request in self.values():
            if operation in ("", request.operation) and not names.isdisjoint(request.names):
                return request
        return None

    def oldest(self, operation: str) -> Request | None:
        """The oldest of an operation."""
        return next((request for request in self.values() if request.operation == operation), None)

    def strike(self, names: AbstractSet[str]) -> None:
        """The venue has told of these topics, wherever they were asked for."""
        for request in list(self.values()):
            request.names = [name for name in request.names if name not in names]
            if not request.names:
                del self[request.identity]

    def expire(self, now: float) -> None:
        """Forget those that will not be answered any more."""
        for request in list(self.values()):
            if request.deadline <= now:
                del self[request.identity]


@dataclass(slots=True)
class Outbox:
    """Topics waiting to be asked for or let go of: in any grouping, or in groups that must not be mixed with others."""

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
