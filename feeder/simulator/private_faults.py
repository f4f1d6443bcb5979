"""What is to go wrong on the private and the order-entry socket, kept until the moment it matters.

Which fault does what is said in `script`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from feeder.clock import Clock
from feeder.simulator.refusals import refused
from feeder.simulator.rest_reply import Refused
from feeder.simulator.script_sockets import Auth, OrderEntry, Private

How = Literal["lost", "duplicated", "swapped"]
Timed = TypeVar("Timed", Auth, OrderEntry)


@dataclass(slots=True)
class _Active(Generic[Timed]):
    fault: Timed
    left: int | None  # times
    until: float | None


@dataclass(slots=True)
class _Planned:
    how: How
    left: int  # messages


class _Queue(Generic[Timed]):
    """Faults in force, oldest first. Bounded by whoever injects them: each is a request of the control, or a line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: list[_Active[Timed]] = []

    def add(self, fault: Timed) -> None:
        """From now on."""
        until = None if fault.seconds is None else self._clock.monotonic() + fault.seconds
        self._active.append(_Active(fault, fault.times, until))

    def take(self, fits: Callable[[Timed], bool]) -> Timed | None:
        """The first that fits, one time less."""
        now = self._clock.monotonic()
        self._active = [each for each in self._active if each.until is None or now < each.until]
        for active in self._active:
            if fits(active.fault):
                if active.left is not None:
                    active.left -= 1
                    if not active.left:
                        self._active.remove(active)
                return active.fault
        return None


class SocketFaults:
    """Each `take` that finds one uses it up."""

    def __init__(self, clock: Clock) -> None:
        self._logins: _Queue[Auth] = _Queue(clock)
        self._orders: _Queue[OrderEntry] = _Queue(clock)
        self._messages: dict[str, deque[_Planned]] = {}

    def add(self, fault: Auth | OrderEntry | Private) -> None:
        """From now on."""
        match fault:
            case Auth():
                self._logins.add(fault)
            case OrderEntry():
                self._orders.add(fault)
            case Private():
                self._messages.setdefault(fault.topic, deque()).append(_Planned(fault.how, fault.times))

    def take_login(self, category: str) -> Refused | None:
        """Why a log-in on this kind of socket is refused."""
        fault = self._logins.take(lambda each: each.category in (None, category))
        return None if fault is None else refusal_of(fault.ret_code, fault.ret_msg)

    def take_order(self, op: str) -> OrderEntry | None:
        """What happens to a request to the order entry."""
        return self._orders.take(lambda each: each.op in (None, op))

    def take_message(self, kind: str) -> How | None:
        """What happens to a message of a private topic."""
        planned = self._messages.get(kind)
        if not planned:
            return None
        planned[0].left -= 1
        return planned[0].how if planned[0].left else planned.popleft().how


def refusal_of(code: int, message: str | None) -> Refused:
    """With this text, or the venue's own."""
    return refused(code) if message is None else Refused(code, message)
