"""Text that never shows itself: in no log, error, repr, format, traceback with locals, pickle, copy, JSON or YAML."""

import hmac
from typing import NoReturn, final


@final
class Secret:
    """A secret text. Only `reveal()` gives it; whoever calls that answers for it.

    Raises TypeError and ValueError, without the text in them, for what is no text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # Deleted before each error: a traceback with locals would show it.
        is_text = isinstance(text, str)
        if not is_text:
            kind = type(text).__name__
            del text
            raise TypeError(f"a Secret is made of text, not of {kind}")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            # Encoded later, it would raise an error whose repr is the text.
            del text
            raise ValueError("a Secret is made of text, and this has bytes in it that are none")
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

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret is not serialized: what was made of it might be kept")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self
