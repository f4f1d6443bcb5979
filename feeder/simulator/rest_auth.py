"""Who signed a request, or logs in on a WebSocket, and whether the venue lets it. No sockets here.

Source: Bybit v5, integration guidance (what is signed, the time window), "Connect" and error page.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from feeder.clock import MILLISECOND_NS, Clock
from feeder.errors import FeederError
from feeder.simulator.keys import ApiKey
from feeder.simulator.refusals import (
    ADDRESS,
    EXPIRED,
    PERMISSION,
    SIGNATURE,
    UNKNOWN_KEY,
    outside_window,
    refused,
)
from feeder.simulator.rest_reply import PARAMETER_ERROR, Refused
from feeder.simulator.venue import is_number

_RECV_WINDOW_MS = 5000  # where the client names none
_AHEAD_MS = 1000
_LOGIN = "GET/realtime"  # with the time after which a log-in is void, what is signed for one

Verify = Callable[[bytes, str], bool]
"""Whether a signature is that of these bytes."""


class Signature(NamedTuple):
    """The X-BAPI-* headers of a request as they came; "" for one that is missing."""

    key: str = ""
    timestamp: str = ""
    sign: str = ""
    recv_window: str = ""

    @property
    def missing(self) -> bool:
        """Whether nobody tried to sign."""
        return not (self.key or self.timestamp or self.sign)


class Request(NamedTuple):
    """What is signed, and from where it comes. `payload`: the query as sent, or the body of a POST."""

    method: str
    payload: bytes
    address: str


class Authenticator:
    """The keys that are known, and the rules. FeederError for a key twice, or an RSA key that cannot be used."""

    def __init__(self, keys: Sequence[ApiKey], clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, tuple[ApiKey, Verify]] = {}
        for key in keys:
            if key.key in self._keys:
                raise FeederError(f"API key {key.key} is given twice; leave one out")
            self._keys[key.key] = key, _hmac(key) if key.public_key_pem is None else _rsa(key)
        self._revoked: dict[str, int] = {}  # to the retCode that tells

    def known(self) -> list[ApiKey]:
        """Every key, also those that were revoked."""
        return [key for key, _ in self._keys.values()]

    def revoke(self, key: str, ret_code: int) -> None:
        """From now on whoever uses this key is refused with this code."""
        self._revoked[key] = ret_code

    def check(self, signature: Signature, request: Request) -> ApiKey:
        """The key that signed it. Raises Refused."""
        key, timestamp, sign, recv_window = signature
        if not (key and timestamp and sign):
            raise Refused(PARAMETER_ERROR, f"empty value: apiTimestamp[{timestamp}] apiKey[{key}] apiSignature[{sign}]")
        if not is_number(timestamp):
            raise Refused(PARAMETER_ERROR, "invalid timestamp")
        if recv_window and not is_number(recv_window):
            raise Refused(PARAMETER_ERROR, "invalid recv_window")
        api_key, verify = self._usable(key, request.address)
        self.check_time(timestamp, recv_window)
        origin = _bytes(timestamp + key + recv_window) + request.payload
        if not verify(origin, sign):
            raise Refused(SIGNATURE, f"error sign! origin_string[{origin.decode('utf-8', 'replace')}]")
        if api_key.read_only and request.method == "POST":
            raise refused(PERMISSION)
        return api_key

    def check_login(self, args: Any, address: str) -> ApiKey:
        """The key that logs in with the `args` of an auth: key, time until which it holds, signature. Raises Refused.

        To one whose time has passed the venue says what it says to one of a wrong shape.
        """
        match args:
            case [str(key), str() | int() as expires, str(sign)] if is_number(str(expires)) and sign.isascii():
                pass
            case _:
                raise Refused(PARAMETER_ERROR, "Params Error")
        api_key, verify = self._usable(key, address)
        if int(expires) <= self._now_ms():
            raise Refused(PARAMETER_ERROR, "Params Error")
        if not verify(f"{_LOGIN}{expires}".encode("ascii"), sign):
            raise refused(SIGNATURE)
        return api_key

    def check_time(self, timestamp: str, recv_window: str) -> None:
        """Raises Refused for a request of another time than now; `recv_window` in ms, "" for the usual one."""
        server_ms = self._now_ms()
        window_ms = int(recv_window or _RECV_WINDOW_MS)
        if not server_ms - window_ms <= int(timestamp) < server_ms + _AHEAD_MS:
            raise outside_window(timestamp, server_ms, str(window_ms))

    def _usable(self, key: str, address: str) -> tuple[ApiKey, Verify]:
        known = self._keys.get(key)
        if known is None:
            raise refused(UNKNOWN_KEY)
        if key in self._revoked:
            raise refused(self._revoked[key])
        api_key, verify = known
        if api_key.expired:
            raise refused(EXPIRED)
        if api_key.addresses is not None and address not in api_key.addresses:
            raise refused(ADDRESS)
        return api_key, verify

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // MILLISECOND_NS


def _bytes(text: str) -> bytes:
    """A header's text as it came over the wire."""
    return text.encode("utf-8", "surrogateescape")


def _hmac(key: ApiKey) -> Verify:
    """HMAC-SHA256 with the key's secret, as lowercase hex."""
    secret = key.secret.encode()

    def verify(origin: bytes, sign: str) -> bool:
        expected = hmac.new(secret, origin, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode("ascii"), _bytes(sign))

    return verify


def _rsa(key: ApiKey) -> Verify:
    """RSA-SHA256 (PKCS#1 v1.5) with the private half of the key's pair, as base64."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise FeederError(
            f"API key {key.key} is an RSA key, and the package cryptography is missing: pip install cryptography"
        ) from error
    assert key.public_key_pem is not None
    try:
        public = load_pem_public_key(key.public_key_pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FeederError(f"the public key of API key {key.key} is no PEM text of one: {error}") from error
    if not isinstance(public, RSAPublicKey):
        raise FeederError(f"the public key of API key {key.key} is not of RSA; make the pair with RSA")

    def verify(origin: bytes, sign: str) -> bool:
        try:
            public.verify(base64.b64decode(_bytes(sign), validate=True), origin, PKCS1v15(), SHA256())
        except (binascii.Error, InvalidSignature):
            return False
        return True

    return verify
