"""Which account, and where: a file and the environment over it, every mistake named by its key and no secret shown.

The file is YAML, or JSON where its name ends so:

    api_key: aKeyOfBybit
    api_secret_file: /etc/feeder/bybit.pem      # or api_secret: its text, and chmod 600 for this file
    environment: testnet                        # mainnet (the default), testnet or demo
    recv_window: 5000
    base_url: https://api.bytick.com            # another host than the environment's

`BYBIT_API_KEY`, `BYBIT_API_SECRET` or `BYBIT_API_SECRET_FILE`, and `BYBIT_ENVIRONMENT` stand over the file's. A secret
file holds the secret, or a PEM private key, which then signs by RSA; paths are relative to the working directory.
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from feeder.errors import ConfigError, ParameterError

from .client import LONGEST_RECV_WINDOW, BybitClient
from .pool import SessionPool
from .secret import Secret
from .settings_file import SettingsFile, check_private, mapping, read
from .signing import signer

VARIABLES = {
    "BYBIT_API_KEY": "api_key",
    "BYBIT_API_SECRET": "api_secret",
    "BYBIT_API_SECRET_FILE": "api_secret_file",
    "BYBIT_ENVIRONMENT": "environment",
    "BYBIT_BASE_URL": "base_url",
    "BYBIT_RECV_WINDOW": "recv_window",
}
"""What stands over each key."""

KEYS = {
    "api_key": "copy it again, and write it in quotes",
    "api_secret": "copy it again, and write it in quotes; a private key goes into a file, api_secret_file",
    "api_secret_file": "name a file that holds the secret and nothing else",
    "environment": "use mainnet, testnet or demo",
    "base_url": "write https://host, without user, password and path",
    "recv_window": "use 1 to 60000, in milliseconds",
}
"""Of each key what to do, for whoever gave it a value that it cannot have."""

_NEAR = 0.94  # of 1: a letter or an underscore too many or too few
_SWITCHES = ("BYBIT_TESTNET", "BYBIT_DEMO")  # what other programs call it
_ENVIRONMENTS = ("mainnet", "testnet", "demo")
_WORD = re.compile("[!-~]+")
_ADDRESS = re.compile(r"https?://([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?/?")

Given = dict[str, tuple[str, object]]
"""By key: what the value is called where it stands (the key or its variable), and the value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is made of. `load` checks it. Without key and secret: the public endpoints. `recv_window`: ms."""

    api_key: str | None = None
    api_secret: Secret | None = None
    environment: Literal["mainnet", "testnet", "demo"] = "mainnet"
    base_url: str | None = None
    recv_window: int = 5000

    def __post_init__(self) -> None:
        if self.environment not in _ENVIRONMENTS:
            raise ConfigError("environment", "is none that there is", KEYS["environment"])
        if self.api_secret is not None and not isinstance(self.api_secret, Secret):
            raise ConfigError("api_secret", "is no Secret, so that it might be shown", "give Secret(text)")

    def __repr__(self) -> str:
        return f"Settings({self.environment}, {'public' if self.api_key is None else 'with a key'})"

    @property
    def parameters(self) -> dict[str, Any]:
        """These settings as the parameters of BybitClient."""
        return {
            "api_key": self.api_key,
            "api_secret": self.api_secret,
            "testnet": self.environment == "testnet",
            "demo": self.environment == "demo",
            "recv_window": self.recv_window,
            "base_url": self.base_url,
        }

    @classmethod
    def load(cls, path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> "Settings":
        """Of a file, if one is named, and of `environ` (this process's environment) over it. Raises ConfigError."""
        environ = os.environ if environ is None else environ
        if path is None:
            return settings_of({}, environ)
        file = read(Path(path), str(path), "name the file with the settings")
        return settings_of(keys_of(file, mapping(file, KEYS), environ), environ)


def keys_of(file: SettingsFile, document: dict[str, Any], environ: Mapping[str, str]) -> Given:
    """What a file says of the client. Raises ConfigError when others may read a file with a secret in it."""
    if document.get("api_secret") is not None:
        check_private(file, str(file.path), environ.get("CREDENTIALS_DIRECTORY"))
    return {key: (key, document[key]) for key in KEYS if document.get(key) is not None}


def settings_of(given: Given, environ: Mapping[str, str]) -> Settings:
    """What a file says and the environment over it, checked. Raises ConfigError."""
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    over: Given = {key: (name, environ[name]) for name, key in VARIABLES.items() if name in environ}
    for layer in (given, over):
        if "api_secret" in layer and "api_secret_file" in layer:
            raise ConfigError(layer["api_secret_file"][0], f"beside {layer['api_secret'][0]}", "give one of the two")
    if "api_key" in over and not over.keys() & {"api_secret", "api_secret_file"} and "api_key" in given:
        raise ConfigError(
            over["api_key"][0],
            "the secret beside it is of the file's key",
            "give both in the environment, or neither",
        )
    if "api_secret" in over:
        given.pop("api_secret_file", None)  # which would stand over it
    given |= over
    environment = _word(given, "environment") or "mainnet"
    if environment == "mainnet" and "environment" not in over:
        _check_environment_variables(environ)
    _check_near_variables(environ)
    if environment not in _ENVIRONMENTS:
        raise _wrong(given, "environment", "is none that there is")
    address = _word(given, "base_url")
    if address is not None and not _ADDRESS.fullmatch(address):
        raise _wrong(given, "base_url", "is no address of a host")
    key, secret = _word(given, "api_key"), _secret(given, credentials)
    if (key is None) is not (secret is None):
        missing, have = ("api_secret", "the key") if secret is None else ("api_key", "the secret")
        raise ConfigError(missing, f"missing beside {have}", f"give it, or BYBIT_{missing.upper()}, or neither")
    return Settings(
        api_key=key,
        api_secret=secret,
        environment=environment,  # type: ignore[arg-type]  # it is one of the three
        base_url=None if address is None else address.rstrip("/"),
        recv_window=_recv_window(given),
    )


def client_from(settings: Settings, pool: SessionPool | None = None) -> BybitClient:
    """A client as the settings have it; `pool` is BybitClient's."""
    return BybitClient(**settings.parameters, pool=pool)


# Values. No error shows one: whatever stands in the wrong place may be the secret.


def _wrong(given: Given, key: str, problem: str) -> ConfigError:
    return ConfigError(given[key][0], problem, KEYS[key])


def _text(given: Given, key: str) -> str | None:
    _, value = given.get(key, (key, None))
    if value is not None and not isinstance(value, str):
        raise _wrong(given, key, f"is read as {type(value).__name__}, not as text")
    if value == "":
        raise _wrong(given, key, "is empty")
    return value


def _word(given: Given, key: str) -> str | None:
    text = _text(given, key)
    if text is not None and not _WORD.fullmatch(text):
        raise _wrong(given, key, "has a space, line end or other character that belongs to none")
    return text


def _recv_window(given: Given) -> int:
    name, value = given.get("recv_window", ("", None))
    if value is None:
        return Settings().recv_window
    if name in VARIABLES and isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    if type(value) is not int or not 1 <= value <= LONGEST_RECV_WINDOW:
        raise _wrong(given, "recv_window", "is no such number")
    return value


def _secret(given: Given, credentials: str | None) -> Secret | None:
    key = "api_secret_file" if "api_secret_file" in given else "api_secret"
    text = _text(given, key)
    if text is None:
        return None
    name = given[key][0]
    if key == "api_secret_file":
        file = read(Path(text), name, KEYS[key])
        check_private(file, name, credentials)
        text = file.text.strip()
        given = {key: (name, text)}
    if not (text.isascii() and "-----BEGIN" in text):
        _word(given, key)
    secret = Secret(text)
    said = ""
    try:
        signer(secret)  # what is wrong with a private key it knows
    except ParameterError as error:
        said = str(error)
    if said:
        problem, _, remedy = said.removeprefix("BybitClient: api_secret: ").partition("; ")
        raise ConfigError(name, problem, remedy or KEYS[key])
    return secret


def _check_near_variables(environ: Mapping[str, str]) -> None:
    """Nobody who mistyped BYBIT_API_SECRET wants it to be left out.

    Where the right one is there too, the other is another program's; so is one of several, with a number at its end.
    """
    for name in sorted(environ.keys() - VARIABLES.keys()):
        near = get_close_matches(name, VARIABLES.keys() - environ.keys(), n=1, cutoff=_NEAR)
        if near and not name[-1].isdigit():
            raise ConfigError(ascii(name)[1:-1], "no such variable", f"did you mean {near[0]}? or else unset it")


def _check_environment_variables(environ: Mapping[str, str]) -> None:
    """Nobody who mistyped BYBIT_ENVIRONMENT=testnet wants to trade on mainnet."""
    for name in sorted(environ):
        close = name in _SWITCHES or name.startswith("BYBIT_ENV")
        if close or get_close_matches(name, ["BYBIT_ENVIRONMENT"], cutoff=0.85):
            raise ConfigError(ascii(name)[1:-1], "no such variable", "did you mean BYBIT_ENVIRONMENT?")
