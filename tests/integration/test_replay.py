"""Recorded days of the exchange, replayed at their own pace through simulator and feeder, read by a foreign decoder."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.helpers.processes import feeder, multicast_section, simulator, until

foreign = pytest.importorskip("tests.helpers.foreign", reason="the foreign SBE decoder comes with the extra `dev`")

RECORDINGS = Path(os.environ.get("FEEDER_RECORDINGS", ""))
STREAMS = [
    ("linear", "linear-8-symbols-30s.jsonl.gz", 50),
    ("spot", "spot-testnet-25s.jsonl", 50),
    ("spot", "spot-testnet-25s.jsonl", 1),
    ("spot", "spot-mainnet-btcusdt.jsonl", 50),
]


async def replay(folder: Path, category: str, name: str, depth: int) -> tuple[int, str]:
    """Replay one file; (books compared, what is wrong)."""
    path = RECORDINGS / name
    prefix = f"orderbook.{depth}."
    expected = {t.removeprefix(prefix): h for t, h in foreign.replayed(path).items() if t.startswith(prefix)}
    section = multicast_section()
    async with simulator(f"--replay={category}={path}", "--speed=1") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": category, "depth": depth, "symbols": sorted(expected)}],
            "multicast": section,
        }
        captures = [foreign.Capture(line["group"], section["port"]) for line in section["lines"].values()]
        with captures[0] as a, captures[1] as b:
            async with feeder(folder, settings) as running:
                ends = {s: max(h) for s, h in expected.items()}

                def finished() -> bool:
                    books = addresses.get("/simulator/books")[1]
                    books = books["books"] if isinstance(books, dict) else books
                    us = {row["symbol"]: row["u"] for row in books if row["depth"] == depth}
                    return all((us.get(symbol) or 0) >= u for symbol, u in ends.items())

                for _ in range(90):
                    await asyncio.sleep(1)
                    if await asyncio.to_thread(finished):
                        break
                assert await running.end() == 0, running.log
                await until(lambda: len(a.datagrams) == len(b.datagrams), 5, "both lines to bring the same")
    assert sorted(a.datagrams) == sorted(b.datagrams)
    reader = foreign.Reader()
    for datagram in a.datagrams:
        reader.feed(datagram)
    if reader.conflated:
        return 0, f"{reader.conflated} conflated"
    compared = 0
    for symbol, history in expected.items():
        read = reader.history[foreign.identity(category, symbol)]
        if set(history) - set(read):
            return compared, f"{symbol}: updates never published: {sorted(set(history) - set(read))[:5]}"
        for update_id, book in history.items():
            if read[update_id] != book:
                return compared, f"{symbol} differs at update {update_id}"
            compared += 1
    return compared, ""


@pytest.mark.skipif(not RECORDINGS.name, reason="FEEDER_RECORDINGS does not name the folder of recordings")
async def test_every_recorded_book_equals_a_naive_replay_at_every_update(tmp_path):
    folders = [tmp_path / str(n) for n in range(len(STREAMS))]
    for folder in folders:
        folder.mkdir()
    results = await asyncio.gather(*(replay(f, *stream) for f, stream in zip(folders, STREAMS, strict=True)))
    assert [problem for _, problem in results] == [""] * len(STREAMS)
    compared = [count for count, _ in results]
    assert compared[0] == 3260  # 8 snapshots and 3,252 deltas
    assert compared[1] == 19
    assert compared[2] >= 12
    assert compared[3] == 9
