"""A loop that stood still is noticed by how late it wakes."""

import asyncio

from feeder.bybit.system.loop_lag import LOOK_SECONDS, LoopLag
from feeder.clock import ManualClock


async def test_the_longest_standstill_is_kept_until_it_is_told() -> None:
    clock = ManualClock()
    late = [0.0, 2.0, 0.75]

    async def sleep(seconds: float) -> None:
        assert seconds == LOOK_SECONDS
        if not late:
            await asyncio.Event().wait()
        clock.advance(seconds + late.pop(0))

    lag = LoopLag(clock, sleep)
    await lag.aclose()
    lag.start()
    await asyncio.sleep(0)
    assert lag.worst == 2.0
    lag.reset()
    assert lag.worst == 0.0
    late += [0.0, 0.75]
    await lag.aclose()
    lag.start()
    await asyncio.sleep(0)
    assert lag.worst == 0.75
    await lag.aclose()
