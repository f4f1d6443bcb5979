"""The faults of the private and the order-entry WebSocket."""

from typing import Literal

from feeder.simulator.script_fault import Count, Fault, RetCode, Span, check_refusal

Signed = Literal["private", "trade"]
PrivateTopic = Literal["order", "execution", "execution.fast", "position", "wallet", "greeks"]
OrderOp = Literal[
    "order.create",
    "order.amend",
    "order.cancel",
    "order.create-batch",
    "order.amend-batch",
    "order.cancel-batch",
]


class Auth(Fault, frozen=True, kw_only=True, tag="auth"):
    """The next `times` log-ins on a WebSocket, or all for `seconds`, are refused; of both kinds, or one `category`.

    `ret_code` with `ret_msg`, or the venue's own text, which is all that the private streams tell.
    """

    ret_code: RetCode
    ret_msg: str | None = None
    category: Signed | None = None
    times: Count | None = None
    seconds: Span | None = None

    def __post_init__(self) -> None:
        check_refusal(self.ret_code, self.times, self.seconds)


class Revoke(Fault, frozen=True, kw_only=True, tag="revoke"):
    """A key, or all, are revoked for ever: their connections are cut, and whoever uses them is refused by `ret_code`.

    10003: it is deleted; 33004: it has expired.
    """

    key: str | None = None
    ret_code: Literal[10003, 33004] = 10003


class OrderEntry(Fault, frozen=True, kw_only=True, tag="order_entry"):
    """The next `times` requests of the order-entry WebSocket, or all for `seconds`, go wrong; with `op`, only such.

    `how`: it is carried out, and then the connection cut instead of an answer (`lost`), or the answer held back for
    `delay` seconds (`late`); or it is not carried out and the connection cut (`unsent`), or never answered (`ignored`).
    Instead of `how`, `ret_code`: it is refused with this code, and `ret_msg` or the venue's own text.
    """

    how: Literal["lost", "late", "unsent", "ignored"] | None = None
    ret_code: RetCode | None = None
    ret_msg: str | None = None
    delay: Span | None = None
    op: OrderOp | None = None
    times: Count | None = None
    seconds: Span | None = None

    def __post_init__(self) -> None:
        if (self.how is None) == (self.ret_code is None):
            raise ValueError("it needs one of `how` and `ret_code`")
        if self.ret_msg is not None and self.ret_code is None:
            raise ValueError("its `ret_msg` goes with a `ret_code`")
        if (self.how == "late") != (self.delay is not None):
            raise ValueError("`how: late` and `delay` go together")
        check_refusal(self.ret_code, self.times, self.seconds)


class Private(Fault, frozen=True, kw_only=True, tag="private"):
    """The next `times` messages of a private topic are `lost`, `duplicated`, or change places with the next one.

    They do so for every connection of the account it is about. `order` is also `order.linear`, and so on.
    """

    topic: PrivateTopic
    how: Literal["lost", "duplicated", "swapped"]
    times: Count = 1
