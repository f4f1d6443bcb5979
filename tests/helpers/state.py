"""Everything an object holds, as plain values that can be compared: whoever says that nothing changed is held to it."""

import enum
import types
from array import array
from collections.abc import Collection
from random import Random
from typing import Any

_PLAIN = (type(None), bool, int, float, str, bytes, enum.Enum)
_CODE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type)


def state_of(root: object, *, but: Collection[str] = ()) -> Any:
    """All that is reachable from `root` as nested tuples, attributes of these names left out.

    Lists, dictionaries (in their order), objects with and without slots, a random generator's state; of functions and
    classes only which they are. What is reached twice on one way is told once.
    """
    return _walk(root, frozenset(but), set())


def first_difference(before: Any, after: Any, path: str = "") -> str:
    """Where two states differ first, as `.books._books[3].view.sequence: 7 is 8`; empty if nowhere."""
    if before == after:
        return ""
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                if isinstance(old, tuple) and len(old) == 2 and isinstance(old[0], str) and old[0] == new[0]:
                    return first_difference(old[1], new[1], f"{path}.{old[0]}")
                return first_difference(old, new, f"{path}[{index}]")
    return f"{path}: {before!r:.200} is {after!r:.200}"


def _walk(value: object, but: frozenset[str], above: set[int]) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytearray | memoryview | array):
        return bytes(value)
    if isinstance(value, _CODE):
        return id(value) if not isinstance(value, types.MethodType) else (id(value.__self__), id(value.__func__))
    if isinstance(value, Random):
        return value.getstate()
    if id(value) in above:
        return "..."
    above.add(id(value))
    try:
        if isinstance(value, set | frozenset):
            return frozenset(_walk(each, but, above) for each in value)
        if isinstance(value, dict):
            return tuple((_walk(key, but, above), _walk(each, but, above)) for key, each in value.items())
        if isinstance(value, tuple | list) or hasattr(value, "popleft"):
            if set(map(type, value)) <= {int}:  # type: ignore[call-overload]
                return tuple(value)  # type: ignore[arg-type]
            return tuple(_walk(each, but, above) for each in value)  # type: ignore[attr-defined]
        return tuple((name, _walk(each, but, above)) for name, each in _attributes(value) if name not in but)
    finally:
        above.discard(id(value))


def _attributes(value: object) -> list[tuple[str, object]]:
    named = list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        named += [(n, getattr(value, n)) for n in names if n not in ("__dict__", "__weakref__") and hasattr(value, n)]
    return named
