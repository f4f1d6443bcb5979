"""Signatures and the rules about them. The signatures written out were made with openssl."""

import base64
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.errors import FeederError
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.rest_auth import Authenticator, Request, Signature
from feeder.simulator.rest_reply import Refused
from tests.helpers.secrets import rsa_keys

NOW = 1_700_000_000_000  # ms, as ManualClock begins
QUERY = b"category=linear&symbol=BTCUSDT"
QUERY_SIGN = "a937a68aaa8b703dcb77d11d9c85d845650321c55b2edbf4b2d41f136f3c3ffc"
BODY = b'{"category":"linear"}'
BODY_SIGN = "b1133e011e190b95c7e982b219a94d4e954cb411006e7a1d298828061928c563"
NO_WINDOW_SIGN = "886087b8ab9b3d9317d00ef66ddd91cd3636118f027c46823321fd609e698359"  # of category=linear
PUBLIC_KEY = """
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAnPHOuPmK/9/7ZfInrT/l
llN4q7yFBLtEi82QC2neT2CIR5/THaDC5sAChhvT0vMzgRv3kb7RViWxVKK1zwdv
mfyfGVxZmdu6ACAC2nEPxKGagdr8MQTe83Nyr0mjqlZa4b3h4cQMxHr9+mAUQQ5C
4DHiQEap0t+PjazvAPylL2neSlgqGENsreuBVuEnNWsHkHhn2RIiUoVn0MEeiSLa
x78RlcgCDhNSLUP1im9avk6Q4XvHensuyCnQ4LM+rn3a3M6qMQTWKqWbypcYe9eG
xlafm2DtNf3OVro8zxSl7CiV5E2kt1PsjyQJIpazG4CseF4iR8wHGSoQH6HyE4md
YQIDAQAB
-----END PUBLIC KEY-----
"""
RSA_SIGN = (
    "aQylNyvieAwLHv8LKLE9AyZngBENOwO/FY2zo2Odms1rwDlGUXlf+t8bea8tPdaUEzx0RgT4C3SiDc7SUsavfpGBTI9HXvny72OM"
    "R4JGkEuwQ7MG5hmX+VgaExal5GwYDY7jKYGv7QvxH/mbn5WNg/99pQwClARxyHpVCQIreRxN56TgoETjgUjcm4LiH12racKOxfKL"
    "2TlxkGJSe62yhJZdAgpVZjPIufvszmSuW793z/QJHTiWsEbIA3r8YJHd5m6csAW5kv36rDwn93jd0M4yTR97QPTjgBqZwGecLiWq"
    "7kmAR30DDyQSIErbWib62pjbxJ2EORjTd0ZT1vhYGA=="
)
GOOD = Signature("sim-key", str(NOW), QUERY_SIGN, "5000")


def _get(payload: bytes = QUERY, address: str = "127.0.0.1") -> Request:
    return Request("GET", payload, address)


def _post(payload: bytes = BODY) -> Request:
    return Request("POST", payload, "127.0.0.1")


def _refused(known: Authenticator, signature: Signature, request: Request) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        known.check(signature, request)
    return caught.value.code, caught.value.message


def _code(known: Authenticator, signature: Signature, request: Request) -> int:
    return _refused(known, signature, request)[0]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def knowing(clock: ManualClock) -> Callable[..., Authenticator]:
    return lambda *keys: Authenticator(keys or (DEFAULT_KEY,), clock)


def test_a_query_and_a_body_are_signed_as_they_are_sent(knowing: Callable[..., Authenticator]) -> None:
    known = knowing()
    assert known.check(GOOD, _get()) is DEFAULT_KEY
    assert known.check(GOOD._replace(sign=BODY_SIGN), _post()) is DEFAULT_KEY


def test_another_order_or_encoding_of_the_same_query_is_another_query(knowing: Callable[..., Authenticator]) -> None:
    for query in (b"symbol=BTCUSDT&category=linear", b"category=linear&symbol=BTC%55SDT", QUERY + b"&", b""):
        assert _code(knowing(), GOOD, _get(query)) == 10004


def test_a_request_without_a_window_signs_none_and_has_5_seconds(
    knowing: Callable[..., Authenticator], clock: ManualClock
) -> None:
    signature = Signature("sim-key", str(NOW), NO_WINDOW_SIGN)
    request = _get(b"category=linear")
    assert knowing().check(signature, request) is DEFAULT_KEY
    clock.advance(5.0)
    assert knowing().check(signature, request) is DEFAULT_KEY
    clock.advance(0.001)
    assert _code(knowing(), signature, request) == 10002


def test_a_wrong_signature_is_told_what_should_have_been_signed(knowing: Callable[..., Authenticator]) -> None:
    for sign in ("0" * 64, QUERY_SIGN.upper(), "", "ü", "\udcff", QUERY_SIGN + "0"):
        code, message = _refused(knowing(), GOOD._replace(sign=sign), _get())
        assert code == (10004 if sign else 10001)
        assert "sim-secret" not in message
    refused = _refused(knowing(), GOOD._replace(sign="0" * 64), _get())
    assert refused == (10004, f"error sign! origin_string[{NOW}sim-key5000{QUERY.decode()}]")


@pytest.mark.parametrize(("ahead_ms", "fits"), [(-5001, False), (-5000, True), (0, True), (999, True), (1000, False)])
def test_the_time_window_is_what_the_venue_documents(
    knowing: Callable[..., Authenticator], ahead_ms: int, fits: bool
) -> None:
    signature = GOOD._replace(timestamp=str(NOW + ahead_ms), sign="0")
    code, message = _refused(knowing(), signature, _get())
    assert code == (10004 if fits else 10002)
    if not fits:
        assert message.endswith(f"param. req_timestamp[{NOW + ahead_ms}],server_timestamp[{NOW}],recv_window[5000]")


@pytest.mark.parametrize("window", ["0", "1", "999999999999999999"])
def test_any_window_is_taken_at_its_word(
    knowing: Callable[..., Authenticator], clock: ManualClock, window: str
) -> None:
    clock.advance(0.002)
    assert _code(knowing(), GOOD._replace(recv_window=window), _get()) == (10004 if len(window) > 1 else 10002)


@pytest.mark.parametrize(
    "signature",
    [
        GOOD._replace(timestamp="now"),
        GOOD._replace(timestamp="-1"),
        GOOD._replace(timestamp="1.7e12"),
        GOOD._replace(timestamp="٣"),
        GOOD._replace(timestamp="9" * 5000),
        GOOD._replace(recv_window="5s"),
        GOOD._replace(recv_window="-5000"),
        GOOD._replace(recv_window="9" * 5000),
        GOOD._replace(key=""),
        GOOD._replace(timestamp=""),
    ],
)
def test_what_is_no_number_or_not_there_is_a_wrong_parameter(
    knowing: Callable[..., Authenticator], signature: Signature
) -> None:
    assert _code(knowing(), signature, _get()) == 10001


def test_headers_that_are_missing_are_shown_empty(knowing: Callable[..., Authenticator]) -> None:
    refused = _refused(knowing(), GOOD._replace(key="", sign=""), _get())
    assert refused == (10001, f"empty value: apiTimestamp[{NOW}] apiKey[] apiSignature[]")
    assert Signature().missing
    assert Signature(recv_window="5000").missing
    assert not Signature(key="sim-key").missing


@pytest.mark.parametrize("key", ["sim-kez", "SIM-KEY", "schlüssel", "\udcff\udcfe", "x" * 100_000])
def test_a_key_that_nobody_knows_is_invalid(knowing: Callable[..., Authenticator], key: str) -> None:
    assert _refused(knowing(), GOOD._replace(key=key), _get()) == (10003, "API key is invalid.")


def test_an_expired_key_an_address_and_a_permission_have_codes_of_their_own(
    knowing: Callable[..., Authenticator],
) -> None:
    expired = knowing(ApiKey("sim-key", "sim-secret", expired=True))
    assert _code(expired, GOOD, _get()) == 33004
    bound = knowing(ApiKey("sim-key", "sim-secret", addresses=("10.0.0.1", "10.0.0.2")))
    assert _code(bound, GOOD, _get()) == 10010
    assert isinstance(bound.check(GOOD, _get(address="10.0.0.2")), ApiKey)
    reader = knowing(ApiKey("sim-key", "sim-secret", read_only=True))
    assert isinstance(reader.check(GOOD, _get()), ApiKey)
    assert _code(reader, GOOD._replace(sign=BODY_SIGN), _post()) == 10005
    assert _code(reader, GOOD._replace(sign="0"), _post()) == 10004  # nobody without the secret learns more


def test_each_key_has_its_own_secret(knowing: Callable[..., Authenticator]) -> None:
    known = knowing(ApiKey("sim-key", "other"), ApiKey("other-key", "sim-secret"))
    assert _code(known, GOOD, _get()) == 10004


def test_an_rsa_signature_is_that_of_the_private_half(knowing: Callable[..., Authenticator]) -> None:
    key = ApiKey("rsa-key", public_key_pem=PUBLIC_KEY)
    known = knowing(DEFAULT_KEY, key)
    good = Signature("rsa-key", str(NOW), RSA_SIGN, "5000")
    assert known.check(good, _get()) is key
    assert _code(known, good, _get(QUERY + b"0")) == 10004
    for sign in (RSA_SIGN[:-4], "A" + RSA_SIGN[1:], "no base64", "ü", QUERY_SIGN):
        assert _code(known, good._replace(sign=sign), _get()) == 10004


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "no key",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\n"  # of Ed25519
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n",
    ],
)
def test_a_public_key_that_is_none_of_rsa_is_named(knowing: Callable[..., Authenticator], pem: str) -> None:
    with pytest.raises(FeederError, match="public key of API key rsa-key"):
        knowing(ApiKey("rsa-key", public_key_pem=pem))


def test_an_rsa_key_without_the_package_says_what_to_install(
    knowing: Callable[..., Authenticator], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(FeederError, match=r"pip install cryptography"):
        knowing(ApiKey("rsa-key", public_key_pem=PUBLIC_KEY))
    assert isinstance(knowing().check(GOOD, _get()), ApiKey)


def test_a_key_given_twice_is_refused(knowing: Callable[..., Authenticator]) -> None:
    with pytest.raises(FeederError, match="sim-key is given twice"):
        knowing(DEFAULT_KEY, ApiKey("sim-key", "another"))


@pytest.mark.parametrize(
    "facts",
    [
        {"key": "", "secret": "s"},
        {"key": "schlüssel", "secret": "s"},
        {"key": "a\nb", "secret": "s"},
        {"key": "a"},
        {"key": "a", "secret": "s3cret", "public_key_pem": PUBLIC_KEY},
    ],
)
def test_a_key_that_cannot_sign_is_refused_without_its_secret(facts: dict[str, str]) -> None:
    with pytest.raises(FeederError) as caught:
        ApiKey(**facts)
    assert "s3cret" not in str(caught.value)


def test_a_key_does_not_print_its_secret() -> None:
    assert "sim-secret" not in repr(DEFAULT_KEY)


EXPIRES = NOW + 1000
LOGIN_SIGN = "6652e494ad7925b8e3d3b829c5fdb1db249b6bb8ff206787eecb86e062da1d60"  # of GET/realtime1700000001000
LOGIN: list[Any] = ["sim-key", EXPIRES, LOGIN_SIGN]


def _login_refused(known: Authenticator, args: Any, address: str = "127.0.0.1") -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        known.check_login(args, address)
    return caught.value.code, caught.value.message


def test_a_log_in_signs_the_time_until_which_it_holds(
    knowing: Callable[..., Authenticator], clock: ManualClock
) -> None:
    assert knowing().check_login(LOGIN, "127.0.0.1") is DEFAULT_KEY
    assert knowing().check_login(["sim-key", str(EXPIRES), LOGIN_SIGN], "127.0.0.1") is DEFAULT_KEY
    clock.advance(1.0)
    assert _login_refused(knowing(), LOGIN) == (10001, "Params Error")


@pytest.mark.parametrize("sign", ["", "0" * 64, LOGIN_SIGN.upper(), LOGIN_SIGN + "0", "\ud800"])
def test_a_log_in_that_is_signed_wrong_is_refused(knowing: Callable[..., Authenticator], sign: str) -> None:
    code, message = _login_refused(knowing(), ["sim-key", EXPIRES, sign])
    assert code == (10004 if sign.isascii() else 10001)
    assert LOGIN_SIGN not in message
    assert "sim-secret" not in message


@pytest.mark.parametrize(
    "args",
    [
        None,
        "sim-key",
        [],
        LOGIN[:2],
        [*LOGIN, "more"],
        ["sim-key", None, LOGIN_SIGN],
        ["sim-key", True, LOGIN_SIGN],
        ["sim-key", float(EXPIRES), LOGIN_SIGN],
        ["sim-key", -1, LOGIN_SIGN],
        ["sim-key", "9" * 5000, LOGIN_SIGN],
        [7, EXPIRES, LOGIN_SIGN],
        ["sim-key", EXPIRES, 7],
    ],
)
def test_a_log_in_of_another_shape_is_refused(knowing: Callable[..., Authenticator], args: Any) -> None:
    assert _login_refused(knowing(), args) == (10001, "Params Error")


def test_who_may_not_log_in_is_told_as_over_rest(knowing: Callable[..., Authenticator]) -> None:
    assert _login_refused(knowing(), ["nobody", *LOGIN[1:]])[0] == 10003
    assert _login_refused(knowing(replace(DEFAULT_KEY, expired=True)), LOGIN)[0] == 33004
    bound = knowing(replace(DEFAULT_KEY, addresses=("10.0.0.1",)))
    assert _login_refused(bound, LOGIN)[0] == 10010
    assert bound.check_login(LOGIN, "10.0.0.1").key == "sim-key"


def test_an_rsa_key_logs_in_with_its_signature(clock: ManualClock) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private, public = rsa_keys()
    signer = load_pem_private_key(private.encode(), None)
    assert isinstance(signer, RSAPrivateKey)
    sign = base64.b64encode(signer.sign(f"GET/realtime{EXPIRES}".encode(), PKCS1v15(), SHA256())).decode()
    known = Authenticator((ApiKey("rsa-key", public_key_pem=public),), clock)
    assert known.check_login(["rsa-key", EXPIRES, sign], "127.0.0.1").key == "rsa-key"
    assert _login_refused(known, ["rsa-key", EXPIRES + 1, sign])[0] == 10004


@pytest.mark.parametrize("code", [10003, 33004])
def test_a_revoked_key_is_refused_everywhere_from_then_on(knowing: Callable[..., Authenticator], code: int) -> None:
    other = ApiKey("other", "other-secret")
    known = knowing(DEFAULT_KEY, other)
    known.revoke("sim-key", code)
    assert _code(known, GOOD, _get()) == code
    assert _login_refused(known, LOGIN)[0] == code
    assert known.known() == [DEFAULT_KEY, other]
