"""A file with settings, YAML or JSON, read without ever showing what is in it: any of it may be the secret."""

import json
import os
import re
import shlex
import stat
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import yaml

from feeder.errors import ConfigError

_LARGEST = 1 << 16  # bytes; an RSA key of 4096 bits takes 3.3 kB
_PATH = re.compile("(?!-----)(?=.*[/.])[^\0-\x1f]{1,255}")  # what is surely one, and neither secret nor private key
_SHOWN = re.compile("[A-Za-z_-]{1,30}")  # a key that is mistyped, and no secret that slipped out of its place


class SettingsFile(NamedTuple):
    """A file's text, the mode it has, and what tells both from others without showing them."""

    path: Path
    text: str
    mode: int
    digest: bytes


def read(path: Path, name: str, remedy: str) -> SettingsFile:
    """A whole file. Raises ConfigError, of what is called `name`."""
    problem = ""
    try:
        with path.open("rb") as file:
            mode = _mode(file)
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        problem = getattr(error, "strerror", None) or "no such path"
    if problem:
        # Raised here, so that no error is chained to it that shows the path: that may be the secret itself.
        shown = repr(str(path)) if _PATH.fullmatch(str(path)) else f"a path of {len(str(path))} characters"
        raise ConfigError(name, f"{shown} cannot be read: {problem}", remedy)
    if len(content) > _LARGEST:
        raise ConfigError(name, f"{str(path)!r} is larger than {_LARGEST} bytes", remedy)
    # Undecodable bytes become what no key and no secret may have. An error of the decoding would hold the whole file.
    return SettingsFile(path, content.decode("utf-8-sig", "replace"), mode, _digest(mode, content))


def digest_of(path: Path) -> bytes | None:
    """As a SettingsFile has it. None: it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return _digest(_mode(file), file.read(_LARGEST + 1))
    return None


def _mode(file: BinaryIO) -> int:
    return stat.S_IMODE(os.fstat(file.fileno()).st_mode)


def _digest(mode: int, content: bytes) -> bytes:
    """Of the mode as well: a file that others may read is refused for that, and mended by chmod alone."""
    return sha256(b"%o " % mode + content).digest()


def check_private(file: SettingsFile, name: str, credentials: str | None) -> None:
    """Raises ConfigError when others may read a file with a secret in it.

    What systemd puts into the folder `credentials` it guards by an ACL, which the mode shows as readable by the group.
    """
    if credentials and file.path.is_relative_to(credentials):
        return
    if file.mode & 0o077:
        problem = f"{str(file.path)!r} holds a secret, and with mode {file.mode:04o} others may read it"
        raise ConfigError(name, problem, f"chmod 600 {shlex.quote(str(file.path))}")


def mapping(file: SettingsFile, keys: Iterable[str]) -> dict[str, Any]:
    """The values by key. Raises ConfigError for a key that is none of these."""
    keys = list(keys)
    document = _parsed(file)
    if document is None:
        return {}
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ConfigError(str(file.path), f"holds a {kind} and no keys with values", f"the keys are {', '.join(keys)}")
    check_keys(document, keys)
    return document


def check_keys(document: dict[Any, Any], keys: Iterable[str], section: str = "") -> None:
    """Raises ConfigError for a key that is none of these; `section` is where they stand, with a dot at its end."""
    keys = list(keys)
    for key in document:
        if key not in keys:
            near = get_close_matches(str(key), keys, n=1)
            remedy = f"did you mean {section}{near[0]}?" if near else f"the keys are {', '.join(keys)}"
            raise ConfigError(f"{section}{shown(key)}", "no such key", remedy)


def value_of(text: str, name: str) -> Any:
    """What a variable says, read as YAML. Raises ConfigError, of what is called `name`."""
    problem = ""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except _NOT_READ as error:
        problem = _place(error)
    raise ConfigError(name, f"is not YAML: {problem}", "quote it")


def _parsed(file: SettingsFile) -> Any:
    kind = "JSON" if file.path.suffix == ".json" else "YAML"
    try:
        if kind == "JSON":
            return json.loads(file.text, object_pairs_hook=_once)
        return yaml.load(file.text, _Loader)  # noqa: S506 - a SafeLoader
    except _Twice as error:
        key, place = str(error), ""
    except _NOT_READ as error:
        key, place = "", _place(error)
    # Raised here, so that no error is chained to it that shows the text.
    if key:
        raise ConfigError(key, f"stands twice in {str(file.path)!r}", "give it once")
    raise ConfigError(str(file.path), f"is not {kind}: {place}", "mend it")


class _Twice(Exception):  # noqa: N818 - no error of ours, but what the parsers stop with
    """A key that stands twice: one of the two would silently not count."""


_NOT_READ = (_Twice, yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What the parsers raise: the constructors of YAML whatever they happen to on values such as 2001-99-99 and 0x_."""


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(shown(key))
        found[key] = value
    return found


class _Loader(yaml.SafeLoader):
    """YAML whose keys stand once, and whose numbers are what they look like."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _once([(self.construct_object(key, deep=True), None) for key, _ in node.value])
        return super().construct_mapping(node, deep)


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """Text, where YAML makes 64 of 0100 and 90 of 1:30: whoever takes numbers says that this is none."""
    if re.search("^[-+]?0[0-9_]|:", node.value):
        return node.value
    whole = node.tag.endswith(":int")
    return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def shown(key: object) -> str:
    """A key, unless it may be something else."""
    text = str(key)
    return text if _SHOWN.fullmatch(text) else f"a key of {len(text)} characters"


def _place(error: Exception) -> str:
    """Where a file is wrong. What is wrong stays unsaid: the parsers quote the text."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"see line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    if isinstance(error, json.JSONDecodeError):
        return f"see line {error.lineno}, column {error.colno}"
    return "a value or character in it cannot be"
