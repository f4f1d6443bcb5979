"""Which WebSocket host belongs to which REST host. Source: Bybit v5, ws/connect and demo."""

import re

from feeder.errors import ParameterError

_MAINNET = "wss://stream.bybit.com"
_TESTNET = "wss://stream-testnet.bybit.com"
_BY_REST_HOST = {
    "https://api.bybit.com": (_MAINNET, _MAINNET),
    "https://api.bytick.com": (_MAINNET, _MAINNET),
    "https://api-testnet.bybit.com": (_TESTNET, _TESTNET),
    "https://api-demo.bybit.com": (_MAINNET, "wss://stream-demo.bybit.com"),  # demo has no market data of its own
}

_ADDRESS = re.compile(r"wss?://([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:([0-9]{1,5}))?/?")
_LARGEST_PORT = 65535


def is_address(url: object) -> bool:
    """Whether it is ws:// or wss:// and a host, with its port or without: no user, password or path."""
    found = _ADDRESS.fullmatch(url) if isinstance(url, str) else None
    return found is not None and 0 < int(found[3] or 1) <= _LARGEST_PORT


def given_host(owner: str, url: str) -> str:
    """What a user gave, without a / behind it. Raises ParameterError, which does not quote it, for what is none."""
    if not is_address(url):
        raise ParameterError(owner, "url", "write ws:// or wss:// and host[:port], without user, password and path")
    return url.rstrip("/")


def public_host(base_url: str) -> str:
    """The market data's, without a path. Raises ParameterError for a REST address that is not one of the venue's."""
    return _hosts(base_url)[0]


def private_host(base_url: str) -> str:
    """That of an account's own streams and of order entry. Raises ParameterError, as `public_host` does."""
    return _hosts(base_url)[1]


def _hosts(base_url: str) -> tuple[str, str]:
    found = _BY_REST_HOST.get(base_url)
    if found is None:
        raise ParameterError("stream", "url", f"must be given beside {base_url}, as wss://host without a path")
    return found
