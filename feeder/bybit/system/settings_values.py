"""What a file and the environment say of a system's sections, made into those. No error shows a value."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from feeder.bybit.rest.settings import VARIABLES
from feeder.bybit.rest.settings_file import check_keys, shown, value_of
from feeder.errors import ConfigError

from .settings_sections import SECTIONS, Watched, remedy_of

_PREFIX = "BYBIT_"
_KINDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list"}
_KINDS |= {"object": "keys with values", "null": "nothing"}


def overlay(sections: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put what the environment says over what the file does; the variables' names by the paths of their keys."""
    variables: dict[str, str] = {}
    # A section that is given whole comes before its keys.
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        section, inner, key = name.removeprefix(_PREFIX).lower().partition("__")
        if not name.startswith(_PREFIX) or name in VARIABLES:
            continue
        if not inner and section not in SECTIONS:
            _check_near(name, section)
            continue  # another program's
        if section not in SECTIONS or (inner and section == "watch"):
            near = get_close_matches(section, [each for each in SECTIONS if each != "watch"], n=1)
            remedy = f"did you mean {_PREFIX}{near[0].upper()}__{shown(key).upper()}?" if near else _SECTIONS_REMEDY
            raise ConfigError(_variable(name), "no such variable", remedy)
        if not environ[name].strip():
            raise ConfigError(name, "is empty", "give it a value, or unset it")
        value = value_of(environ[name], name)
        if not inner:
            sections[section] = value
            variables[section] = name
            continue
        keys = SECTIONS[section].__struct_fields__
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            remedy = f"did you mean {_PREFIX}{section.upper()}__{near[0].upper()}?" if near else _keys_remedy(keys)
            raise ConfigError(_variable(name), "no such variable", remedy)
        inside = sections.setdefault(section, {})
        if not isinstance(inside, dict):
            raise ConfigError(section, "is no keys with values, which this has", f"see {name}")
        sections[section] = {**inside, key: value}
        variables[f"{section}.{key}"] = name
    return variables


def _check_near(name: str, rest: str) -> None:
    """Nobody who wrote BYBIT_RATES or BYBIT_RATE_REQUESTS, or nearly so, wants it to be left out."""
    meant = ""
    if near := get_close_matches(rest, _WITH_ONE_UNDERSCORE, n=1, cutoff=_NEAR):
        meant = _WITH_ONE_UNDERSCORE[near[0]]
    elif near := get_close_matches(rest, SECTIONS, n=1, cutoff=_NEAR_SECTION):
        meant = f"{_PREFIX}{near[0]}".upper()
    if meant:
        raise ConfigError(_variable(name), "no such variable", f"did you mean {meant}? or else unset it")


_WITH_ONE_UNDERSCORE = {
    f"{section}_{key}": f"{_PREFIX}{section}__{key}".upper()
    for section, kind in SECTIONS.items()
    if section != "watch"
    for key in kind.__struct_fields__
}
_NEAR = 0.8  # LOG_LEVEL is that near to LOGGING_LEVEL; what is farther may well be another program's
_NEAR_SECTION = 0.85  # RATES, but neither LOG nor ACCOUNT_ID
_SECTIONS_REMEDY = f"the sections are {', '.join(name.upper() for name in SECTIONS)}, as in BYBIT_RATE__REQUESTS"


def _keys_remedy(keys: tuple[str, ...]) -> str:
    return f"the keys are {', '.join(keys)}"


def _variable(name: str) -> str:
    """A variable's name, unless it may be something else."""
    return name if re.fullmatch("[A-Z_a-z]{1,60}", name) else f"a variable BYBIT_... of {len(name)} characters"


# Values. No error shows one: whatever stands in the wrong place may be the secret.


def section_of(name: str, value: Any) -> Any:
    """A section of the right types. Raises ConfigError."""
    kind = SECTIONS[name]
    if name == "watch":
        if isinstance(value, list):
            value = [_entry(each, f"watch[{index}].", Watched) for index, each in enumerate(value)]
    else:
        value = _entry(value, f"{name}.", kind)
    problem = ""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem = str(error)
    raise _type_error(name, problem)


def _entry(value: Any, path: str, kind: Any) -> Any:
    """Keys with values that stand where `kind` is wanted; one without a value is as if it were not there.

    Unless nothing is a value.
    """
    if not isinstance(value, dict):
        return value
    check_keys(value, kind.__struct_fields__, path)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    return {key: inner for key, inner in value.items() if inner is not None or _may_be_none(fields[key].type)}


def _may_be_none(kind: Any) -> bool:
    return type(None) in getattr(kind, "__args__", ())


def _type_error(section: str, said: str) -> ConfigError:
    """msgspec says "Expected `int`, got `str` - at `$.x`", or quotes the value; we say it with the path, without."""
    message, _, where = said.partition(" - at `")
    path = section if where.startswith("key` in `") else f"{section}{where.rstrip('`').removeprefix('$')}"
    path = path.replace("[...]", "")
    missing = re.search("required field `([a-z_]+)`", message)
    if missing:
        path = f"{path}.{missing[1]}"
        return ConfigError(path, "missing", remedy_of(path))
    kinds = re.fullmatch("Expected `([^`]*)`, got `([^`]*)`", message)
    if kinds is None:
        return ConfigError(path, "is none that there is", remedy_of(path))
    wanted = " or ".join(_KINDS.get(kind, kind) for kind in kinds[1].split(" | "))
    return ConfigError(path, f"is read as {_KINDS.get(kinds[2], kinds[2])}, not as {wanted}", remedy_of(path))
