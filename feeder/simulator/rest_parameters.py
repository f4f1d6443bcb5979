"""The parameters of a request, checked as the venue does: retCode 10001 and which one it is."""

from collections.abc import Collection
from typing import Any

from feeder.simulator.rest_reply import PARAMETER_ERROR, Parameters, Refused, position
from feeder.simulator.venue import CATEGORIES, Category, is_number


def invalid(name: str) -> Refused:
    """The refusal of a parameter that cannot be."""
    return Refused(PARAMETER_ERROR, f"params error: {name} is invalid")


def required(name: str) -> Refused:
    """The refusal of a request without it."""
    return Refused(PARAMETER_ERROR, f"params error: {name} is required")


def no_symbol() -> Refused:
    """The refusal of a symbol that is not listed."""
    return Refused(PARAMETER_ERROR, "params error: symbol invalid")


def category(given: Parameters, only: Collection[str] = CATEGORIES) -> Category:
    """The product category."""
    found = CATEGORIES.get(text(given, "category"))
    if found is None or found.name not in only:
        raise Refused(PARAMETER_ERROR, "params error: Category is invalid")
    return found


def text(given: Parameters, name: str, default: str = "") -> str:
    """A text; `default` when it is absent, null or empty. A number is none: the venue wants amounts quoted."""
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid(name)
    return value or default


def choice(given: Parameters, name: str, allowed: Collection[str], default: str = "") -> str:
    """One of the texts allowed."""
    value = text(given, name, default)
    if value not in allowed and value != default:
        raise invalid(name)
    return value


def whole(given: Parameters, name: str, default: Any = None, least: int = 0, most: int | None = None) -> Any:
    """A whole number, written or as a JSON number; `default` when it is absent."""
    value = given.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool) or not isinstance(value, int | str) or not is_number(str(value)):
        raise invalid(name)
    number = int(value)
    if number < least or (most is not None and number > most):
        raise invalid(name)
    return number


def flag(given: Parameters, name: str) -> bool:
    """True or false; false when it is absent."""
    value = given.get(name)
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise invalid(name)


def limit(given: Parameters, default: int, most: int) -> int:
    """How many entries to a page."""
    return int(whole(given, "limit", default, 1, most))


def start_of_page(given: Parameters) -> int:
    """How many entries the cursor has told already."""
    return position(text(given, "cursor"))
