import json
from collections import Counter
from decimal import Decimal

import pytest

from feeder.clock import ManualClock
from feeder.simulator.exchange import Exchange
from feeder.simulator.seeded import SeededSource, spread_rate
from feeder.simulator.universe import universe
from tests.unit.simulator.clients import NaiveBook, SpyClient, pass_time


def _exchange(
    clock: ManualClock, *, category: str = "linear", symbols: int = 4, rate: float = 100, seed: int = 1
) -> Exchange:
    return Exchange(SeededSource(universe([category], symbols), seed, rate, clock), seed, clock)


@pytest.mark.parametrize(
    ("category", "topic", "levels"),
    [
        ("linear", "orderbook.50.BTCUSDT", 50),
        ("linear", "orderbook.200.BTCUSDT", 200),
        ("inverse", "orderbook.1000.BTCUSD", 1000),
        ("spot", "orderbook.50.ETHUSDT", 50),
        ("option", "orderbook.25.BTC-25DEC26-100000-C", 25),
        ("option", "orderbook.100.BTC-25DEC26-100000-C", 100),
    ],
)
def test_snapshot_and_deltas_keep_the_window_exact(category: str, topic: str, levels: int) -> None:
    clock = ManualClock()
    exchange = _exchange(clock, category=category, rate=160)
    client = SpyClient(exchange, category)
    client.subscribe(topic)
    book, count = NaiveBook(), 0
    _, depth, symbol = topic.split(".")
    for _ in range(200):
        pass_time(exchange, clock, 0.02)
        for message in client.take_data(topic):
            assert message["type"] == ("delta" if count else "snapshot")
            book.apply(message)
            count += 1
            assert (len(book.bids), len(book.asks)) == (levels, levels)
            assert not book.is_crossed()
            assert message["cts"] <= message["ts"] <= clock.wall_ns() // 1_000_000
    assert count > 15
    state = exchange.source.book(category, symbol, int(depth))
    assert state is not None
    assert (state.book.u, state.book.seq) == (book.u, book.seq)


def test_every_past_book_is_told_as_the_subscriber_had_it() -> None:
    clock = ManualClock()
    exchange = _exchange(clock)
    client = SpyClient(exchange)
    client.subscribe("orderbook.50.BTCUSDT")
    pass_time(exchange, clock, 3)
    state = exchange.source.book("linear", "BTCUSDT", 50)
    assert state is not None
    book = NaiveBook()
    for message in client.take_data():
        book.apply(message)
        past = state.book.at(book.u)
        assert past is not None
        levels, seq = past
        assert seq == book.seq
        bids = {state.scale.price(~key): state.scale.size(size) for key, size in levels.items() if key < 0}
        asks = {state.scale.price(key): state.scale.size(size) for key, size in levels.items() if key >= 0}
        assert (bids, asks) == (book.bids, book.asks)


@pytest.mark.parametrize(("depth", "period_ms"), [(1, 10), (50, 20), (200, 100), (1000, 200)])
def test_pushes_stand_on_the_depths_grid_with_a_phase_of_the_symbol(depth: int, period_ms: int) -> None:
    clock = ManualClock(wall_ns=1_700_000_000_000_000_000, monotonic=1000.0)
    exchange = _exchange(clock, symbols=2, rate=80)
    client = SpyClient(exchange)
    phases = {}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        client.subscribe(f"orderbook.{depth}.{symbol}")
        client.take()
        seen = Counter()
        for _ in range(4000):
            clock.advance(0.001)
            exchange.advance(limit=1000)
            seen.update(message["ts"] % period_ms for message in client.take_data())
        # Seen at the first whole millisecond after it; a level-1 repeat stands on its own 3 s.
        assert seen.most_common(1)[0][1] >= sum(seen.values()) - 2
        phases[symbol] = seen.most_common(1)[0][0]
        client.unsubscribe(f"orderbook.{depth}.{symbol}")
    assert len(set(phases.values())) == 2 or period_ms == 10


def test_nothing_is_sent_while_nothing_changes() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=1, rate=0.0001)
    client = SpyClient(exchange)
    client.subscribe("orderbook.50.BTCUSDT", "orderbook.200.BTCUSDT")
    client.take()
    pass_time(exchange, clock, 20)
    assert client.take() == []


def test_level_one_is_snapshots_only_and_repeats_its_u_after_three_quiet_seconds() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=1, rate=0.0001)
    client = SpyClient(exchange)
    client.subscribe("orderbook.1.BTCUSDT")
    (first,) = client.take_data()
    pass_time(exchange, clock, 2.99)
    assert client.take_data() == []
    pass_time(exchange, clock, 0.02)
    (repeat,) = client.take_data()
    assert repeat["type"] == "snapshot"
    assert repeat["data"]["u"] == first["data"]["u"]
    assert repeat["ts"] > first["ts"]
    pass_time(exchange, clock, 6)
    assert len(client.take_data()) == 2


def test_level_one_counts_its_changes_and_is_the_top_of_the_deeper_book() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=1, rate=30)
    client = SpyClient(exchange)
    client.subscribe("orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT")
    deep, top = NaiveBook(), None
    compared = last_u = 0
    for _ in range(4000):
        pass_time(exchange, clock, 0.005)
        for message in client.take_data():
            if message["topic"].startswith("orderbook.50."):
                deep.apply(message)
            else:
                assert message["type"] == "snapshot"
                assert message["data"]["u"] - last_u in (0, 1) or not last_u
                top, last_u = message["data"], message["data"]["u"]
                assert (len(top["b"]), len(top["a"])) == (1, 1)
            if top is not None and deep.seq == top["seq"]:
                bids, asks = deep.sides()
                assert (bids[:1], asks[:1]) == (top["b"], top["a"])
                compared += 1
    assert compared > 50


def test_each_depth_has_its_own_u_and_all_share_the_cross_sequence() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=1, rate=30)
    client = SpyClient(exchange)
    client.subscribe("orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT", "orderbook.200.BTCUSDT", "publicTrade.BTCUSDT")
    pass_time(exchange, clock, 10)
    us: dict[str, set[int]] = {}
    sequences: dict[str, set[int]] = {}
    for message in client.take_data():
        rows = message["data"] if isinstance(message["data"], list) else [message["data"]]
        sequences.setdefault(message["topic"], set()).update(row["seq"] for row in rows)
        if "u" in rows[0]:
            us.setdefault(message["topic"], set()).add(rows[0]["u"])
    assert not set.intersection(*us.values())
    assert sequences["publicTrade.BTCUSDT"] <= sequences["orderbook.50.BTCUSDT"]
    assert sequences["orderbook.1.BTCUSDT"] - sequences["orderbook.50.BTCUSDT"] == set()


def test_a_trade_takes_from_the_best_level_of_the_book_before_it() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=1, rate=20)
    client = SpyClient(exchange)
    client.subscribe("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT")
    book, checked = NaiveBook(), 0
    for _ in range(6000):
        pass_time(exchange, clock, 0.005)
        for message in client.take_data():
            if message["topic"].startswith("orderbook"):
                book.apply(message)
                continue
            bids, asks = book.sides()
            levels = asks if message["data"][0]["S"] == "Buy" else bids
            for row, (price, size) in zip(message["data"], levels, strict=False):
                assert row["p"] == price
                assert Decimal(row["v"]) <= Decimal(size)
                checked += 1
    assert checked > 20


def test_a_second_subscriber_gets_a_snapshot_at_the_topics_u_and_goes_on_from_there() -> None:
    clock = ManualClock()
    exchange = _exchange(clock)
    clients = [SpyClient(exchange)]
    clients[0].subscribe("orderbook.50.BTCUSDT")
    for _ in range(40):  # now and then in the middle of a change that is not pushed yet
        pass_time(exchange, clock, 0.037, turn=0.001)
        clients.append(SpyClient(exchange))
        clients[-1].subscribe("orderbook.50.BTCUSDT")
    pass_time(exchange, clock, 1)
    books = []
    for client in clients:
        book = NaiveBook()
        for message in client.take_data():
            book.apply(message)
        books.append((book.u, book.sides()))
    assert all(book == books[0] for book in books)


def test_a_topic_goes_on_counting_after_it_was_left_alone() -> None:
    clock = ManualClock()
    exchange = _exchange(clock)
    client, other = SpyClient(exchange), SpyClient(exchange)
    client.subscribe("orderbook.50.BTCUSDT")
    other.subscribe("orderbook.200.BTCUSDT")
    pass_time(exchange, clock, 1)
    before = client.take_data()[-1]["data"]["u"]
    client.unsubscribe("orderbook.50.BTCUSDT")
    pass_time(exchange, clock, 1)
    assert client.take_data() == []
    client.subscribe("orderbook.50.BTCUSDT")
    snapshot = client.take_data()[0]
    assert snapshot["type"] == "snapshot"
    assert snapshot["data"]["u"] == before + 1


def test_nobody_watching_means_nothing_to_do() -> None:
    clock = ManualClock()
    exchange = _exchange(clock)
    assert exchange.next_due() is None
    client = SpyClient(exchange)
    client.subscribe("orderbook.1.BTCUSDT", "publicTrade.ETHUSDT")
    exchange.disconnect(client.client)
    client.take()
    pass_time(exchange, clock, 10)
    assert exchange.next_due() is None
    assert client.take() == []


def test_option_trades_come_per_base_coin() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, category="option", symbols=4, rate=160)
    client = SpyClient(exchange, "option")
    client.subscribe("publicTrade.BTC")
    pass_time(exchange, clock, 10)
    rows = [row for message in client.take_data("publicTrade.BTC") for row in message["data"]]
    assert len({row["s"] for row in rows}) > 1
    assert all({"s", "mP", "iP", "mIv", "iv"} <= row.keys() for row in rows)


@pytest.mark.parametrize(("symbols", "rate"), [(20, 400), (200, 1500), (3, 1000)])
def test_the_market_makes_about_the_updates_it_was_asked_for(symbols: int, rate: float) -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=symbols, rate=rate)
    client = SpyClient(exchange)
    client.subscribe(*(f"orderbook.50.{listing.symbol}" for listing in exchange.source.listings("linear")))
    client.take()
    pass_time(exchange, clock, 5)
    expected = min(rate, 50 * symbols) * 5
    assert 0.9 * expected < len(client.received) < 1.1 * expected


def test_rates_are_zipf_like_capped_and_add_up() -> None:
    rates = spread_rate(5000, 800)
    assert sum(rates) == pytest.approx(5000)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 40
    assert rates[-1] < 5
    assert spread_rate(10_000, 10) == [50] * 10
    assert spread_rate(410, 10) == [41] * 10


def test_the_same_seed_gives_the_same_stream() -> None:
    streams = []
    for seed in (7, 7, 8):
        clock = ManualClock()
        exchange = _exchange(clock, seed=seed)
        client = SpyClient(exchange)
        client.subscribe("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT")
        pass_time(exchange, clock, 2)
        streams.append(b"".join(sorted(client.received)))
    assert streams[0] == streams[1]
    assert streams[0] != streams[2]


@pytest.mark.parametrize(
    "topic",
    [
        "orderbook.500.BTCUSDT",
        "orderbook.25.BTCUSDT",
        "orderbook.30.BTCUSDT",
        "orderbook.50.btcusdt",
        "orderbook.50.NOPEUSDT",
        "orderbook.50",
        "orderbook.x.BTCUSDT",
        "orderbook..BTCUSDT",
        "orderbook.50.BTCUSDT.extra",
        "publicTrade.",
        "publicTrade.NOPEUSDT",
        "tickers.BTCUSDT",
        "",
        "orderbook." + "9" * 5000 + ".BTCUSDT",
    ],
)
def test_topics_that_are_not_on_offer_are_refused(topic: str) -> None:
    clock = ManualClock()
    client = SpyClient(_exchange(clock))
    client.subscribe(topic)
    (reply,) = client.take()
    assert reply["ret_msg"] == f"error:handler not found,topic:{topic}"


def test_a_held_up_process_does_not_make_up_for_lost_hours() -> None:
    clock = ManualClock()
    exchange = _exchange(clock, symbols=1, rate=40)
    client = SpyClient(exchange)
    client.subscribe("orderbook.50.BTCUSDT")
    client.take()
    clock.advance(7200)
    exchange.advance(limit=1_000_000)
    assert len(client.received) < 100
    book = json.loads(client.received[-1])
    assert book["ts"] == clock.wall_ns() // 1_000_000


def test_a_followed_market_moves_without_a_subscriber_until_all_have_left() -> None:
    clock = ManualClock()
    exchange = _exchange(clock)
    source = exchange.source

    def moved() -> bool:
        before = source.touch("linear", "BTCUSDT")
        pass_time(exchange, clock, 2)
        after = source.touch("linear", "BTCUSDT")
        assert before is not None
        assert after is not None
        return before.seq != after.seq

    assert not moved()
    source.follow("linear", "BTCUSDT", clock.monotonic())
    source.follow("linear", "BTCUSDT", clock.monotonic())
    assert moved()
    source.leave("linear", "BTCUSDT")
    assert moved()
    source.leave("linear", "BTCUSDT")
    pass_time(exchange, clock, 2)
    assert not moved()
    assert source.next_due() is None


def test_a_symbols_place_is_among_its_own_category() -> None:
    source = SeededSource(universe(["linear", "spot"], 6), 1, 100, ManualClock())
    for category in ("linear", "spot"):
        for place, listing in enumerate(source.listings(category)):
            assert source.find(category, listing.symbol) == (place, listing)
    assert source.find("spot", "NOPE") is None
