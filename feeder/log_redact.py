"""The last net under secrets: whatever is about to be logged becomes plain data, with *** for what nobody may read.

feeder logs no secret on purpose. But an address may hold a password, an error may quote a request, and a library may
log what it was given. Rather too much is hidden than too little.
"""

import math
import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

HIDDEN = "***"

_LONGEST_TEXT = 8_000  # characters; journald cuts a line at 48 KiB
_MOST_READ = 50_000  # characters that are searched for secrets: 10 ms
_MOST_ITEMS = 100
_LONGEST_NAME = 64  # characters
_DEEPEST = 5

# Coins are called so, too: COOKIEUSDT, SIGNUSDT and TOKENUSDT are symbols.
_ALONE = r"(?![a-z0-9])"
_NAMES = (
    rf"(?:(?:api|private|secret|listen)[-_ ]?key|passw(?:or)?d|passphrase|signature|credential"
    rf"|(?:secret|token|pwd|jwt|sessionid)s?{_ALONE}|(?<![a-z])sign{_ALONE}(?!-type))"
)
_HEADERS = rf"(?:authorization|(?:set-)?cookies?{_ALONE})"
_SECRET_NAME = re.compile(f"{_NAMES}|{_HEADERS}", re.IGNORECASE)

# Every repetition is bounded, or takes what nothing after it could want: no text makes this slower than its length.
_GIVEN = r"""(?:(?:\\{0,8}["'])?\s{0,8}(?:[:=]>?|%3[ad])\s{0,8}|\\{0,8}["']\s{0,8},\s{0,8}(?=b?\\{0,8}["']))"""
_QUOTED = "|".join(
    rf"""b?{quote}[^{quote}\\]*(?:\\.[^{quote}\\]*)*{quote}?|b?\\{{1,8}}{quote}(?:(?!\\{{1,8}}{quote}).)*"""
    for quote in "\"'"
)
_NESTED = r"\[[^\]]*\]?|\([^)]*\)?|\{[^}]*\}?"
_END = r"""\s,;&"'()\[\]{}<>|\\"""
# Not past the end of a line that stands in quotes, as bytes' repr has it: the next header begins there.
_BARE = rf"""(?:(?:bearer|basic|digest)\s{{1,8}})?(?:[^{_END}]|\\{{1,8}}(?![rn])(?=[^{_END}]))+"""
# Words that are others' names as well: only where a value clearly stands after them. PASS and AUTH are coins.
_SHORT = r"(?-i:pass|Pass|auth|Auth)"
_SECRET = re.compile(
    rf"""
      (?P<scheme>://)[^/?\#\s"'<>]{{1,512}}@
    | (?P<header>{_HEADERS}[\w-]{{0,32}}{_GIVEN})(?:{_QUOTED}|[^\r\n]+)
    | (?P<name>{_NAMES}[\w-]{{0,32}}{_GIVEN})(?:{_QUOTED}|{_NESTED}|{_BARE})
    | (?P<flag>--(?:[a-z]{{1,16}}-){{0,4}}(?:{_NAMES}|pass{_ALONE})[\w-]{{0,32}}\s{{1,8}})(?!-)(?:{_QUOTED}|{_BARE})
    | (?P<query>(?:[?&]|%3f|%26)(?:key|{_SHORT})(?:=|%3d)){_BARE}
    | (?P<short>(?<![\w-]){_SHORT}{_GIVEN})(?:{_QUOTED}|{_NESTED}|{_BARE})
    | (?P<key>(?-i:(?<![\w-])key=["']?(?=[\w-]{{0,64}}[a-z])(?=[\w-]{{0,64}}[0-9])(?=[\w-]{{8}})))[\w-]+
    | (?P<login>"op"\s{{0,8}}:\s{{0,8}}"auth"\s{{0,8}},\s{{0,8}}"args"\s{{0,8}}:\s{{0,8}})(?:{_NESTED})
    | (?P<bearer>\bbearer\s{{1,8}})[\w.~+/=-]{{8,}}
    | (?P<pem>-----BEGIN[ ][A-Z ]{{0,32}}PRIVATE[ ]KEY-----).*?(?:-----END|\Z)
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def is_secret(name: str) -> bool:
    """Whether the value of a field of this name is nobody's business."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """The text without passwords in addresses, and without the values of what is named as a secret."""
    return _SECRET.sub(_hide, text)


def plain(name: str, value: object) -> Any:
    """What JSON can say of a field's value, redacted and of bounded size. Raises nothing, whatever the value is."""
    try:
        return _field(name, value, 0)
    except Exception as error:  # noqa: BLE001 - a value that cannot be shown must not cost the line
        return f"<{type(value).__name__}: {type(error).__name__} when it was to be shown>"


def _field(name: str, value: object, depth: int) -> Any:
    return HIDDEN if value is not None and is_secret(name) else _plain(value, depth)


def _plain(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            items = [(str(name), item) for name, item in islice(value.items(), _MOST_ITEMS)]
            shown = {_text(name): _field(name, item, depth + 1) for name, item in items}
            return shown | _left_out(len(value))
        if isinstance(value, list | tuple | set | frozenset):
            return [*_items(value, depth + 1), *_left_out(len(value))]
    return _text(repr(value))


def _items(values: Collection[object], depth: int) -> list[Any]:
    """The first of them; hidden is what follows its name, as in ["--password", "x"] and ("X-BAPI-SIGN", "x")."""
    shown: list[Any] = []
    pair = len(values) == 2
    named = False
    for item in islice(values, _MOST_ITEMS):
        shown.append(HIDDEN if named and item is not None else _plain(item, depth))
        named = False
        if isinstance(item, str | bytes) and len(item) <= _LONGEST_NAME:
            name = str(item)
            coin = name.isalnum() and name.isupper()
            named = (name.startswith("--") or (pair and not coin)) and is_secret(name)
    return shown


def _hide(match: re.Match[str]) -> str:
    kind = match.lastgroup
    assert kind is not None
    return match[kind] + HIDDEN + ("@" if kind == "scheme" else "")


def _text(text: str) -> str:
    # Searched before it is cut to what is shown, so that no half of a secret is left without its name.
    return _shortened(redacted(_shortened(text, _MOST_READ)), _LONGEST_TEXT)


def _shortened(text: str, longest: int) -> str:
    """Beginning and end of a text that is too long: a traceback's end says most."""
    over = len(text) - longest
    if over <= 0:
        return text
    half = longest // 2
    return f"{text[:half]} ... {over} characters ... {text[-half:]}"


def _left_out(length: int) -> dict[str, int]:
    return {"and more": length - _MOST_ITEMS} if length > _MOST_ITEMS else {}
