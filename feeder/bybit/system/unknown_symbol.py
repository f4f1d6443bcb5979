"""What is said of a symbol that the venue does not have."""

from feeder.errors import InstrumentError, InvalidRequestError


def unknown_symbol(category: str, symbol: str) -> InstrumentError:
    """The error for a symbol that the venue has not."""
    return InstrumentError(
        f"{category} {symbol}: the venue lists no such instrument (any longer);"
        " correct the symbol or the category (symbols are upper case)"
    )


def of_symbol(error: InvalidRequestError, category: str, symbol: str) -> Exception:
    """The venue's way to say that it has no such symbol as our own; other refusals as they are."""
    return unknown_symbol(category, symbol) if "symbol" in error.ret_message.lower() else error
