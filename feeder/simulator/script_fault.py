"""What all faults of a script have in common: the kinds of their values, and their time."""

from typing import Annotated, Literal

import msgspec

Category = Literal["spot", "linear", "inverse", "option"]
Socket = Literal["spot", "linear", "inverse", "option", "private", "trade"]
Moment = Annotated[float, msgspec.Meta(ge=0, le=10_000_000)]
Span = Annotated[float, msgspec.Meta(gt=0, le=10_000_000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
RetCode = Annotated[int, msgspec.Meta(ge=-1, le=99_999_999)]
Symbol = Annotated[str, msgspec.Meta(pattern="^[A-Z0-9][A-Z0-9-]{0,31}$")]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """One thing that goes wrong. `at`: seconds after the first subscription or order, None for at once."""

    at: Moment | None = None

    @property
    def name(self) -> str:
        """As in a script."""
        return str(self.__struct_config__.tag)


def check_refusal(ret_code: int | None, times: int | None, seconds: float | None) -> None:
    """ValueError unless it is a refusal, and has one of the two ends."""
    if ret_code == 0:
        raise ValueError("its `ret_code` 0 is no refusal")
    if (times is None) == (seconds is None):
        raise ValueError("it needs one of `times` and `seconds`")
