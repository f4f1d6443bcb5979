"""The exchange misbehaves while the consumer's network does: two things lost at once are not one thing believed.

Every book that the consumer shows as LIVE is held against the exchange's at the same update, at every change of it.
"""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from loss import Network, parse
from loss_subscriber import LossySubscriber

from feeder.client import HoleFilled, PacketsLost, ViewStatus
from feeder.wire.messages import Kind
from tests.helpers.scene import Scene, scene

_LOSSY = "random:0.05@A,B;burst:1,30,0.002@A,B;random:0.2@R"
_UNRULY = "random:0.03,together@A,B;duplicate:0.05,0.02;reorder:16,0.004;delay:0.001,0.003@B;random:1@R#books"
_DEAF = "random:0.1,together@A,B;random:1@R"  # nothing that was lost comes again

_BOOKS = """
    - {at: 3.5, fault: gap, category: linear, symbol: BTCUSDT}
    - {at: 3.6, fault: out_of_order, category: linear, symbol: ETHUSDT}
    - {at: 3.7, fault: snapshot, category: spot, symbol: BTCUSDT}
    - {at: 3.8, fault: duplicate, category: spot, symbol: ETHUSDT}
    - {at: 4.1, fault: crossed, category: spot, symbol: BTCUSDT}
    - {at: 4.3, fault: restart, category: linear, symbol: ETHUSDT}
    - {at: 4.5, fault: malformed, category: spot, symbol: ETHUSDT}
    - {at: 4.9, fault: tick_change, category: linear, symbol: BTCUSDT, tick: "0.001"}
    - {at: 5.5, fault: gap, category: spot, symbol: ETHUSDT}
    - {at: 5.7, fault: gap, category: linear, symbol: ETHUSDT}
"""
_CONNECTIONS = """
    - {at: 3.5, fault: bursty, category: linear, seconds: 1}
    - {at: 4.0, fault: half_open, category: spot, seconds: 2}
    - {at: 5.0, fault: disconnect, category: linear}
    - {at: 5.5, fault: gap, category: linear, symbol: ETHUSDT}
    - {at: 6.0, fault: raw, category: linear, text: '{"topic":'}
    - {at: 6.5, fault: disconnect}
"""
_STORMS = """
    - {at: 3.5, fault: disconnect}
    - {at: 3.5, fault: surge, times: 3, seconds: 3}
    - {at: 4.5, fault: disconnect}
    - {at: 5.3, fault: snapshot, category: linear, symbol: BTCUSDT}
    - {at: 5.3, fault: snapshot, category: spot, symbol: BTCUSDT}
    - {at: 5.5, fault: disconnect, category: linear}
    - {at: 5.6, fault: snapshot, category: spot, symbol: ETHUSDT}
    - {at: 5.7, fault: disconnect, category: spot}
"""


@asynccontextmanager
async def behind(tmp_path, faults: str, script: str | None = None):
    """A scene whose consumer stands behind such a network from now on."""
    network = Network(parse(faults), seed=7)
    network.active = False
    async with scene(
        tmp_path, symbols=8, rate=300, script=script, subscriber=partial(LossySubscriber, network=network)
    ) as staged:
        network.active = True
        yield staged


def holes(staged: Scene) -> list[PacketsLost]:
    """Of the books, as the consumer is told of them from now on."""
    told: list[PacketsLost] = []
    staged.consumer.on(PacketsLost, lambda event: told.append(event) if event.kind is Kind.BOOKS else None)
    return told


async def well_again(staged: Scene, seconds: float = 60) -> None:
    """The network is good again; every book is LIVE and the exchange's, and none was ever LIVE and wrong."""
    await staged.audit()
    assert staged.auditor.wrong == []
    assert staged.consumer.lost > 0
    staged.consumer.network.active = False
    await asyncio.sleep(0.3)
    await staged.ends_well(seconds)


@pytest.mark.parametrize(
    ("script", "network"),
    [(_BOOKS, _LOSSY), (_CONNECTIONS, _UNRULY), (_STORMS, _DEAF)],
    ids=["books-lossy", "connections-unruly", "storms-deaf"],
)
async def test_a_script_of_trouble_behind_a_bad_network_never_shows_a_wrong_book(tmp_path, script, network):
    async with behind(tmp_path, network, script) as staged:
        lost = holes(staged)
        faults = script.count("fault:")
        await staged.until(lambda: len(staged.told_by_simulator()) == faults, 30, "the script's end")
        await staged.pass_time(0.5)
        assert lost
        await well_again(staged)


async def test_a_connection_lost_while_the_consumer_hears_nothing_is_known_when_it_hears_again(tmp_path):
    """The word that the books are STALE is lost on both lines: no consumer goes on believing them."""
    async with behind(tmp_path, "down:0,1e9@A,B") as staged:
        keys = {key for key in staged.consumer.books if key[0] == "linear"}
        await staged.inject("half_open", category="linear")  # silent: found out, and told, 5 s later
        await staged.until(
            lambda: all(view.status is ViewStatus.FEEDER_LOST for view in staged.consumer.books.values()),
            10,
            "nothing heard",
        )
        await staged.feeder.wait_for_log("book stale", 20)
        staged.consumer.network.active = False
        await staged.until(
            lambda: not any(staged.consumer.books[key].status is ViewStatus.FEEDER_LOST for key in keys), 5, "heard"
        )
        await well_again(staged)


async def test_lost_stale_words_are_asked_for_and_arrive(tmp_path):
    """Both lines lose a fifth of their packets together; the feeder tells of gaps all the while."""
    async with behind(tmp_path, "random:0.2,together@A,B#books") as staged:
        filled: list[HoleFilled] = []
        staged.consumer.on(HoleFilled, filled.append)
        lost = holes(staged)
        for category, symbol in sorted(staged.consumer.books):  # each once: a book that is resubscribed has no gap
            await staged.inject("gap", category=category, symbol=symbol)
            await asyncio.sleep(0.4)
        every = set(staged.consumer.books)
        await staged.until(lambda: staged.lost == every, 10, "every book lost for a time")
        assert len(lost) > 10
        assert len(filled) > len(lost) / 2
        await well_again(staged)
