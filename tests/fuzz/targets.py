"""The fuzz targets by name: each takes bytes and raises when something that must hold does not."""

from collections.abc import Callable

from tests.fuzz import configurations

TARGETS: dict[str, Callable[[bytes], None]] = {
    "config": configurations.run,
    "listen": configurations.listen,
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
}
"""Pieces worth putting together, for mutation."""
