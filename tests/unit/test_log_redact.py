"""No secret gets into a line, in whatever shape it comes; what is no secret stays readable."""

import json
import time
from enum import Enum

import pytest

from feeder.log_redact import plain, redacted

SECRET = "hunter2"  # the word that may not be seen
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE hunter2\nhunter2==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        "wss://user:hunter2@stream.bybit.com/v5/public/linear",
        "cannot connect to https://hunter2@host:9443 now",
        "https://u:p@hunter2@host/x",
        "GET /v5/order?category=linear&api_key=hunter2&timestamp=1",
        "api_key=x&sign=hunter2&timestamp=1",
        "{'api_key': 'hunter2', 'x': 1}",
        '{"secret":"a\\"hunter2","a":1}',
        '"{\\"apiSecret\\": \\"hunter2\\", \\"b\\": 2}"',
        json.dumps(json.dumps({"signature": "hunter2"})),
        "X-BAPI-API-KEY: hunter2",
        "<CIMultiDict('X-BAPI-SIGN': 'hunter2', 'Accept': '*/*')>",
        "((b'X-BAPI-SIGN', b'hunter2'), (b'Accept', b'*/*'))",
        "Authorization: Bearer hunter2",
        "{'Authorization': 'Basic hunter2='}",
        "Authorization: Digest username=x, response=hunter2",
        "Cookie: a=b; session=hunter2",
        "PASSWORD = hunter2",
        "passwd:hunter2,",
        "Client(api_key='x', secret=\"hunter2\")",
        "access_token%3Dhunter2%26x%3D1",
        "tokens: ['a', 'hunter2']",
        "secret='spaces in hunter2, and a , comma'",
        "secret='never closed hunter2",
        "got Bearer eyJhunter2.hunter2",
        "private_key => hunter2",
        PEM,
        PEM[:-20],
        PEM.replace("\n", "\\n"),
        "program --password hunter2 --verbose",
        "program --api-secret 'spaces in hunter2'",
        "program --venue-api-key hunter2",
        "GET /x?key=hunter2&a=1",
        "/x?a=1&pass=hunter2",
        "key=aB3hunter2",
        "to=%2Fx%3Fkey%3Dhunter2%26a%3D1",
        "key='aB3hunter2'",
        "jwt=hunter2",
        "secret=a\\b\\\\hunter2",
        "auth: hunter2",
        '{"auth": "hunter2", "x": 1}',
        "listenKey=hunter2",
        '{"listenKey":"hunter2"}',
        "Set sessionid=hunter2; path=/",
        "b'POST / HTTP/1.1\\r\\nX-BAPI-SIGN: hunter2\\r\\nX-BAPI-API-KEY: hunter2\\r\\nHost: x\\r\\n'",
        "X-BAPI-SIGN: hunter2/+hunter2==\r\nX-BAPI-API-KEY: hunter2\r\n",
        '{"req_id":"1","op":"auth","args":["hunter2",1700000000000,"hunter2"]}',
    ],
)
def test_a_secret_in_a_text_is_hidden(text):
    shown = plain("error", text)
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 9743)",
        "wss://stream.bybit.com/v5/public/linear",
        "http://127.0.0.1:9444/v5/market/instruments-info?category=linear&cursor=a@b",
        "design=5 signal: 6 assigned=7 keyboard: 8",
        "the token, which was the first",
        "multicast.lines.A.group: no multicast address; give one of 239.0.0.0/8",
        "book stale",
        "linear:COOKIEUSDT: not listed; spot:TOKENUSDT: not listed; SIGNUSDT=5, 'SECRETUSDT': 1, X-BAPI-SIGN-TYPE: 2",
        "PASS: 1, AUTH: 2, KEY=3, 'PASSUSDT': 4, spot:AUTHUSDT: not listed, key=1000PEPEUSDT",
        "sorted(books, key=lambda book: book.symbol)",
        "sorted(books, key=itemgetter(1))",
        "authority: x, compass: 2, author=3, monkey=aB3dE5fG7, keys=4, session_id=5, --passive 6, 2nd pass through",
        '{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}',
    ],
)
def test_what_is_no_secret_stays(text):
    assert plain("error", text) == text


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "X-BAPI-SIGN",
        "secret",
        "password",
        "auth_token",
        "apiSecret",
        "secret_key",
        "tokens",
        "sign",
        "Set-Cookie",
        "Authorization",
        "signature",
        "listenKey",
        "X-BAPI-API-KEY",
        "jwt",
        "sessionid",
    ],
)
def test_the_value_of_a_field_that_is_named_as_a_secret_is_hidden_whatever_it_is(name):
    assert plain(name, SECRET) == "***"
    assert plain("request", {"headers": [{name: [SECRET, b"x"]}]}) == {"headers": [{name: "***"}]}
    assert plain("request", {b"sign": b"hunter2"}) == {"b'sign'": "***"}


def test_the_value_that_follows_its_name_in_a_list_is_hidden():
    assert plain("argv", ["run", "--password", SECRET, "--to", "x"]) == ["run", "--password", "***", "--to", "x"]
    assert plain("headers", [("Accept", "*/*"), ("X-BAPI-SIGN", SECRET)]) == [["Accept", "*/*"], ["X-BAPI-SIGN", "***"]]
    assert plain("headers", ((b"X-BAPI-API-KEY", b"hunter2"),)) == [["b'X-BAPI-API-KEY'", "***"]]
    assert plain("argv", ["--password", None]) == ["--password", None]
    assert plain("coins", ["SIGN", "BTC"]) == ["SIGN", "BTC"]
    assert plain("columns", ["secret", "symbol", "price"]) == ["secret", "symbol", "price"]


def test_symbols_that_sound_like_secrets_are_none():
    counts = {"COOKIEUSDT": 1, "SIGNUSDT": 2, "linear:TOKENUSDT": 3}
    assert plain("counts", counts) == counts


def test_where_there_is_none_that_can_be_seen():
    assert plain("api_key", None) is None


class TalkativeError(Exception):
    """Its repr holds what it was given."""


def test_a_secret_within_another_object_is_hidden():
    shown = plain("error", TalkativeError({"secret": SECRET}))
    assert SECRET not in shown
    assert "TalkativeError" in shown


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class BrokenMapping(dict[str, str]):
    def items(self):
        raise RuntimeError("no")


class Side(Enum):
    BID = 1


def test_any_value_becomes_plain_data_of_bounded_size():
    endless: list[object] = []
    endless.append(endless)
    values = [
        Broken(),
        BrokenMapping(),
        float("nan"),
        float("inf"),
        b"\xff",
        {1, 2},
        Side.BID,
        "\ud800",
        endless,
        object,
    ]
    values += [{(1, 2): 3}, 10**30, list(range(10_000)), {str(n): "x" * 100 for n in range(10_000)}, "x" * 1_000_000]
    for value in values:
        assert len(json.dumps(plain("value", value), allow_nan=False)) < 48_000
    assert plain("value", (1, None, True, 2.5, "x")) == [1, None, True, 2.5, "x"]


def test_of_a_long_text_both_ends_are_left():
    shown = plain("exception", "Traceback" + "x" * 1_000_000 + "ValueError: the end")
    assert shown.startswith("Traceback")
    assert shown.endswith("ValueError: the end")
    assert "characters" in shown


def test_a_cut_does_not_part_a_secret_from_its_name():
    for length in range(3700, 4100, 7):  # on either side of what is left out
        for text in ("x" * length, "y" * 6000), ("x" * 6000, "y" * length):
            assert SECRET not in plain("error", f" secret='{SECRET * 20}' ".join(text))


@pytest.mark.parametrize(
    "piece",
    [
        *('"secret": "', "secret\\", "token", 'token="\\', "://a", "://", "secret ", "-----BEGIN PRIVATE KEY-----"),
        *("authorization:\n", "bearer ", "token=[", "sign=\\'", "\\", "(", "b'", '"'),
        *(
            "--password ",
            "--a-",
            "?key=",
            "key=a",
            "auth:",
            '"op":"auth","args":[',
            "secret=a\\",
            "secret=\\\\\\\\a",
            "X-BAPI-SIGN: \\r",
        ),
    ],
)
def test_no_text_keeps_the_event_loop_waiting(piece):
    text = piece * (20_000_000 // len(piece))
    began = time.perf_counter()
    plain("error", text)
    plain("pair", (text, "x"))
    redacted(text[:50_000])
    assert time.perf_counter() - began < 2  # 10 ms; a search of all of it takes 4 s, and one that is quadratic hours
