"""Which WebSocket host belongs to which REST host. Source: Bybit v5, ws/connect and demo."""

from feeder.errors import ParameterError

_MAINNET = "wss://stream.bybit.com"
_TESTNET = "wss://stream-testnet.bybit.com"
_BY_REST_HOST = {
    "https://api.bybit.com": (_MAINNET, _MAINNET),
    "https://api.bytick.com": (_MAINNET, _MAINNET),
    "https://api-testnet.bybit.com": (_TESTNET, _TESTNET),
    "https://api-demo.bybit.com": (_MAINNET, "wss://stream-demo.bybit.com"),  # demo has no market data of its own
}


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
