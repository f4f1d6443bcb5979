"""Signatures: HMAC or RSA, with SHA-256, of timestamp + key + recv_window + (query string or body).

Source: Bybit v5, guide.
"""

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from feeder.errors import ParameterError

from .secret import Secret

Sign = Callable[[bytes], str]
"""The signature of a text, as it goes into X-BAPI-SIGN."""

_BLOCK = 64  # bytes that SHA-256 takes at a time


def signer(secret: Secret) -> Sign:
    """What signs with this secret: RSA when it is a PEM private key, HMAC otherwise. Raises ParameterError."""
    text = secret.reveal()
    if "-----BEGIN" in text:
        return _rsa(text)
    try:
        key = text.encode("ascii")
    except UnicodeEncodeError:
        raise ParameterError("BybitClient", "api_secret", "has characters that no secret of Bybit has") from None
    if not key or key != key.strip():
        problem = "has white space around it" if key else "is empty"
        raise ParameterError("BybitClient", "api_secret", f"{problem}; copy it again")
    return _hmac(key)


def _hmac(key: bytes) -> Sign:
    """HMAC-SHA256 (RFC 2104) with the key's part of both hashes done once: half the time of the library's one call."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    inner = sha256(bytes(byte ^ 0x36 for byte in key.ljust(_BLOCK, b"\0")))
    outer = sha256(bytes(byte ^ 0x5C for byte in key.ljust(_BLOCK, b"\0")))

    def sign(message: bytes) -> str:
        inside, outside = inner.copy(), outer.copy()
        inside.update(message)
        outside.update(inside.digest())
        return outside.hexdigest()

    return sign


def _rsa(text: str) -> Sign:
    try:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise ParameterError(
            "BybitClient",
            "api_secret",
            "is an RSA key, which needs the package cryptography: pip install 'feeder[rsa]'",
        ) from None
    try:
        key: Any = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as error:
        # The error's own text is left out: what a parser quotes of a private key is nobody's business.
        problem = "is encrypted" if isinstance(error, TypeError) else "is no PEM private key that can be read"
        raise ParameterError("BybitClient", "api_secret", f"{problem}; give an unencrypted one") from None
    if not isinstance(key, RSAPrivateKey):
        raise ParameterError("BybitClient", "api_secret", "is a private key, but not RSA, which is what Bybit takes")
    padding, algorithm = PKCS1v15(), SHA256()
    return lambda message: b64encode(key.sign(message, padding, algorithm)).decode("ascii")
