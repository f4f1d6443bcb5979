"""Text that never shows itself: in no log, error, repr, traceback with locals, pickle or JSON."""

import hmac
from typing import NoReturn


class Secret:
    """A secret text. Only `reveal()` gives it; whoever calls that answers for it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would say which secrets are equal, to whoever sees it

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied to somewhere that might keep it")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self
