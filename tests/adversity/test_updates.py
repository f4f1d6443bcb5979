"""One symbol's messages are wrong, feeder and consumer are the real ones: its book alone is given up, and comes back.

At every change of every book that the consumer shows as LIVE, it is held against the exchange's own at that update.
"""

import pytest

from feeder.client import StatusChanged, ViewStatus
from feeder.market.status import StatusReason
from tests.helpers.scene import Scene, scene

VICTIM = ("linear", "BTCUSDT")
TOPIC = "orderbook.50.BTCUSDT"
BOOK = {"category": "linear", "symbol": "BTCUSDT"}


async def lost_and_found(staged: Scene, reason: StatusReason | None) -> None:
    """The victim went STALE (for this reason), came back, and is right; nobody else's book was touched."""

    def lost() -> bool:
        return VICTIM in staged.lost if reason is None else staged.is_lost(VICTIM, ViewStatus.STALE, reason)

    await staged.until(lost, 15, f"{VICTIM} STALE {reason}")
    await staged.ends_well()
    assert staged.lost == {VICTIM}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("gap", StatusReason.GAP),
        ("out_of_order", StatusReason.GAP),
        ("crossed", StatusReason.CROSSED),
        ("malformed", StatusReason.MALFORMED),
    ],
)
async def test_an_update_that_is_not_as_it_should_be_takes_its_book_down_until_a_snapshot(tmp_path, fault, reason):
    async with scene(tmp_path) as staged:
        await staged.inject(fault, **BOOK)
        await lost_and_found(staged, reason)


async def test_the_two_books_of_one_symbol_have_nothing_to_do_with_each_other(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("gap", category="spot", symbol="BTCUSDT")
        await staged.until(lambda: bool(staged.lost), 15, "a book STALE")
        await staged.ends_well()
        assert staged.lost == {("spot", "BTCUSDT")}


@pytest.mark.parametrize("fault", ["duplicate", "snapshot", "restart"])
async def test_what_is_odd_but_harmless_takes_no_book_down(tmp_path, fault):
    async with scene(tmp_path) as staged:
        for _ in range(5):
            await staged.inject(fault, **BOOK)
            await staged.pass_time(0.2)
        await staged.ends_well()
        assert not staged.lost


async def test_a_book_broken_again_and_again_is_not_live_in_between_unless_it_is_right(tmp_path):
    script = "\n".join(
        f"- {{at: {5 + n * 0.4:.1f}, fault: {fault}, category: linear, symbol: BTCUSDT}}"
        for n, fault in enumerate(["gap", "restart", "out_of_order", "snapshot", "crossed", "duplicate", "gap"])
    )
    async with scene(tmp_path, script=script) as staged:
        await staged.until(lambda: len(staged.told_by_simulator()) == 7, 20, "the script's end")
        await staged.until(lambda: VICTIM in staged.lost, 15, "the victim STALE")
        await staged.ends_well(60)
        assert staged.lost == {VICTIM}


async def test_a_resubscription_that_is_refused_is_asked_for_again(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("refuse", **BOOK, times=2)
        await staged.inject("gap", **BOOK)
        await lost_and_found(staged, StatusReason.GAP)
        assert staged.is_lost(VICTIM, ViewStatus.STALE, StatusReason.REFUSED)


HEAD = '{"topic":"orderbook.50.SYMBOL","type":"delta","ts":1,"cts":1,"data":'
NONSENSE = [
    HEAD + "null}",
    HEAD + '{"b":[["1","0.1234567890123456789"]],"a":[],"u":5,"seq":1}}',  # finer than 10^-18
    HEAD + '{"b":[["%s","1"]],"a":[],"u":5,"seq":1}}' % ("9" * 40),  # beyond 64 bits
    HEAD + '{"b":[["-1","1"]],"a":[],"u":5,"seq":1}}',
    HEAD + '{"b":[["1","1e3"]],"a":[],"u":5,"seq":1}}',
    HEAD + '{"b":[["1"]],"a":[],"u":5,"seq":1}}',
    HEAD + '{"b":[[1,1]],"a":[],"u":5,"seq":1}}',
    HEAD + '{"b":[["1","1"]],"a":[],"u":"5","seq":1}}',
    HEAD + '{"b":[["1","1"]],"a":[],"u":null,"seq":1}}',
    HEAD + '{"b":[["1","1"]],"a":[],"u":1000000000000000000000000000000,"seq":1}}',
]


async def test_messages_that_make_no_sense_take_their_own_books_down_and_no_other(tmp_path):
    # The messages are of 1970: what is tried here is their form.
    settings = {"freshness": {"max_lag_seconds": None}}
    async with scene(tmp_path, symbols=2 * len(NONSENSE) + 2, settings=settings) as staged:
        linear = sorted(key for key in staged.consumer.books if key[0] == "linear")
        victims = dict(zip(linear, NONSENSE, strict=False))
        for (category, symbol), text in victims.items():
            await staged.inject("raw", category=category, text=text.replace("SYMBOL", symbol))
        await staged.until(lambda: staged.lost >= victims.keys(), 15, "every victim STALE")
        await staged.ends_well()
        assert staged.lost == victims.keys()
        reasons = {key: {c.reason for c in staged.auditor.changes[key]} for key in victims}
        assert all(StatusReason.MALFORMED in reasons[key] for key in list(victims)[:-1]), (
            reasons
        )  # the last is a gap first


async def test_what_nobody_asked_for_is_ignored(tmp_path):
    async with scene(tmp_path) as staged:
        for text in (
            '{"topic":"orderbook.50.NOBODYUSDT","type":"delta","ts":1,"data":{"s":"X","b":[],"a":[],"u":1,"seq":1}}',
            '{"topic":"tickers.BTCUSDT","type":"snapshot","ts":1,"data":{"symbol":"BTCUSDT"}}',
            '{"success":true,"ret_msg":"","op":"subscribe","req_id":"never asked"}',
            '{"what":"ever"}',
            "[]",
            '"text"',
        ):
            await staged.inject("raw", category="linear", text=text)
        await staged.pass_time(0.5)
        await staged.ends_well()
        assert not staged.lost


async def test_a_crossing_update_is_never_shown_as_live(tmp_path):
    crossed: list[str] = []
    async with scene(tmp_path) as staged:
        view = staged.consumer.book(*VICTIM)

        def watch(_: object) -> None:
            bid, ask = view.best_bid(), view.best_ask()
            if view.is_live and bid is not None and ask is not None and bid[0] >= ask[0]:
                crossed.append(f"{bid} {ask}")

        staged.consumer.on(StatusChanged, watch)
        for _ in range(3):
            await staged.inject("crossed", **BOOK)
            await staged.pass_time(0.3)
        await lost_and_found(staged, StatusReason.CROSSED)
        assert not crossed
