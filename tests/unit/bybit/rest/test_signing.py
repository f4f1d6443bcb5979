"""Signatures, against values computed by other programs."""

import base64
import hmac

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from feeder.bybit.rest.secret import Secret
from feeder.bybit.rest.signing import signer
from feeder.errors import ParameterError

MESSAGE = b"1658384314791XXXXXXXXXX5000category=option&symbol=BTC-29JUL22-25000-C"


def test_hmac_is_what_openssl_says() -> None:
    # printf %s MESSAGE | openssl dgst -sha256 -hmac notASecretAtAll
    expected = "5518a7e5de34db54a505efa24cc42cd84cf32ae33672af96cb17cf91e7679fae"
    assert signer(Secret("notASecretAtAll"))(MESSAGE) == expected


@pytest.mark.parametrize("length", [1, 36, 63, 64, 65, 200])
def test_hmac_is_what_the_library_says_for_keys_of_any_length(length: int) -> None:
    key = "k" * length
    sign = signer(Secret(key))
    for message in (b"", MESSAGE, MESSAGE * 100):
        assert sign(message) == hmac.new(key.encode(), message, "sha256").hexdigest()


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    lock = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode()


def test_rsa_is_verified_by_the_public_key(rsa_key: rsa.RSAPrivateKey) -> None:
    signature = base64.b64decode(signer(Secret(pem(rsa_key)))(MESSAGE), validate=True)
    rsa_key.public_key().verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("secret", ["", " spaced", "spaced\n", "ümlaut"])
def test_what_is_no_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ParameterError, match="api_secret") as caught:
        signer(Secret(secret))
    assert not secret.strip() or secret.strip() not in str(caught.value)


def test_keys_that_cannot_sign_are_refused_with_the_reason(rsa_key: rsa.RSAPrivateKey) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    whole = pem(rsa_key)
    cases = {
        "is an encrypted private key": pem(rsa_key, b"password"),
        "but not RSA": pem(curve),
        "is no PEM private key": whole[:200] + whole[300:],
    }
    for reason, text in cases.items():
        with pytest.raises(ParameterError, match=reason) as caught:
            signer(Secret(text))
        assert text[40:80] not in str(caught.value)
        assert caught.value.__context__ is None  # a parser's own words may quote the key


def test_a_private_key_of_an_unknown_kind_is_refused_with_the_reason() -> None:
    # PKCS #8: version 0, an algorithm 1.2.3.4.5 that nobody has, and four bytes.
    unknown = base64.b64encode(bytes.fromhex("3011 020100 3006 0604 2a030405 0404 00000000")).decode()
    with pytest.raises(ParameterError, match="is no PEM private key that can be read"):
        signer(Secret(f"-----BEGIN PRIVATE KEY-----\n{unknown}\n-----END PRIVATE KEY-----\n"))
