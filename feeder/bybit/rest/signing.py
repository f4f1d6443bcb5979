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

NOT_ASCII = "has characters that no secret of Bybit has; copy it again"
_BLOCK = 64  # bytes that SHA-256 takes at a time


def signer(secret: Secret) -> Sign:
    """What signs with this secret: RSA when it is a PEM private key, HMAC otherwise. Raises ParameterError."""
    found = _signer(secret)
    if isinstance(found, str):
        # Raised here, where neither a local variable nor another error's text has the secret: tracebacks show both.
        raise ParameterError("BybitClient", "api_secret", found)
    return found


def _signer(secret: Secret) -> Sign | str:
    """What signs, or why the secret cannot."""
    text = secret.reveal()
    if "-----BEGIN" in text:
        return _rsa(text)
    if not text.isascii():
        return NOT_ASCII
    if not text or text != text.strip():
        return f"{'has white space around it' if text else 'is empty'}; copy it again"
    return _hmac(text.encode("ascii"))


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


def _rsa(text: str) -> Sign | str:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        return "is an RSA key, which needs the package cryptography: pip install cryptography"
    try:
        key: Any = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        return "is an encrypted private key; give an unencrypted one"
    except (ValueError, UnsupportedAlgorithm):
        return "is no PEM private key that can be read; copy it again, with its first and last line"
    if not isinstance(key, RSAPrivateKey):
        return "is a private key, but not RSA, which is what Bybit takes"
    padding, algorithm = PKCS1v15(), SHA256()
    return lambda message: b64encode(key.sign(message, padding, algorithm)).decode("ascii")
