"""The fuzz targets by name: each takes bytes and raises when something that must hold does not."""

from collections.abc import Callable

from tests.fuzz import configurations, datagrams, rest, venue

TARGETS: dict[str, Callable[[bytes], None]] = {
    "config": configurations.run,
    "listen": configurations.listen,
    "multicast": datagrams.run,
    "rest": rest.run,
    "venue": venue.run,
}

TOKENS: dict[str, tuple[bytes, ...]] = {
    "config": (
        *(b"queue: {capacity: ", b"multicast: {lines: {A: {group: 239.1.0.0, interface: lo}}}", b"subscriptions: "),
        *(b"[{category: linear, symbols: [BTCUSDT]}]\n", b"instrument_ids: {linear:A: ", b"all", b"depth: ", b"null"),
        *(
            b"!!int ",
            b"!!timestamp ",
            b"!!bool ",
            b"!!float ",
            b"!!binary ",
            b"&a ",
            b"*a",
            b"<<: ",
            b"? ",
            b"- ",
            b": ",
        ),
        *(
            b"2001-99-99",
            b"0x_",
            b".nan",
            b".inf",
            b"1.0e+30",
            b"1:30",
            b'"\\ud800"',
            b'"\\0"',
            b"\n#!env\n",
            b"\n#!set\n",
        ),
        *(b"FEEDER_QUEUE__TOTAL=", b"FEEDER_MULTICAST__LINES__A__GROUP=", b"multicast.lines.A.group=", b"\t", b"---\n"),
    ),
    "listen": (
        *(b"--line", b"A=239.77.0.0@lo", b"--port", b"--partitions", b"--levels", b"--timeout", b"--once", b"--json"),
        *(
            b"linear:BTCUSDT",
            b"option:",
            b"nan",
            b"1e999",
            b"-1",
            b"0",
            b"65535",
            b"\n",
            b"\xff",
            b"--stats",
            b"--help",
        ),
    ),
    "multicast": (
        *(b"\x00\x00", b"\x01\x01\x05\x07", b"\x00\x02\x01\x09", b"\x00\x05\x00\x00", b"\x02\x00", b"\x02\x02"),
        *(b"\x03", b"\x04\xff\xff", b"\x04\x55\x55", b"\x05", b"\x06\x01", b"BF\x01\x20", b"\x46\x42\x01\x00"),
        # An altered copy of a late datagram: which one, one change, where (header fields, first frame), how wide, what.
        *(bytes([7, pick, 0, at, 0, 3]) + b"\xff" * 7 + b"\x7f" for pick in (0, 2, 5) for at in (8, 16, 48, 56, 72)),
        *(bytes([7, pick, 0, at, 0, 0, value]) for pick in (0, 1, 6) for at, value in ((6, 32), (3, 64), (7, 0))),
        *(bytes([7, pick, 0, at, 0, 1, 8, 0]) for pick in (0, 3, 8) for at in (32, 40, 42, 46)),
    ),
    "rest": (
        *(b"\n%%\n", b"!copy\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 no\r\n", b"Content-Length: ", b"\r\n\r\n"),
        *(b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n", b"Location: /\r\n", b"HTTP/1.1 302 x\r\n"),
        *(
            b'"retCode":0',
            b'"retCode":10006',
            b'"result":',
            b'"list":',
            b'"nextPageCursor":"',
            b'"tickSize":"',
            b"[" * 500,
        ),
        *(
            b'"qtyStep":"',
            b'"symbol":"BTCUSDT"',
            b'"status":"Trading"',
            b'"timeNano":"',
            b"1e-5",
            b"-0.1",
            b"0.00",
            b"9" * 40,
        ),
        *(
            b"0." + b"0" * 17 + b"1",
            b'"fetched_at_ns":',
            b'"rest_url":"http://here"',
            b"\\ud800",
            b"\xff",
            b"{}",
            b"null",
        ),
    ),
    "venue": (
        *venue.directives(),
        *(topic.encode() for topic in venue.TOPICS),
        *(b"publicTrade.BTCUSDT", b"publicTrade.BTC", b"publicTrade.XRPUSDT", b'"topic":"', b'"type":"delta"'),
        *(b'"type":"snapshot"', b'"type":"COMMAND_RESP"', b'"data":', b'"u":', b'"seq":', b'"b":[', b'"a":['),
        *(b'"success":true', b'"success":false', b'"op":"subscribe"', b'"req_id":"1"', b'"ret_msg":"', b'"ts":'),
        *(b'["100","1"]', b'"failTopics":["', b'"successTopics":["', b'"req_id":""', b'"pong"', b'"op":"unsubscribe"'),
        *(b"1.00000000000000000000", b"0.0000001", b"0.000000000000000000001", b"9223372036854775807", b"1e3", b"-1"),
        *(b"\xff", b"\\ud800", b"\\u0000", b"\xd9\xa1", b"[[[[[[[[", b'{"a":' * 8, b"NaN", b"Infinity", b".", b" "),
    ),
}
"""Pieces worth putting together, for mutation."""
