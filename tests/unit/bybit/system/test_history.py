"""Bars in pages: what is asked for, what is kept, what is missing."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from feeder.bybit.rest.reply import Page, Reply
from feeder.bybit.rest.results.market import Candle
from feeder.bybit.system.history import Candles, History, HistoryPages
from feeder.bybit.system.history_bars import Span, number_of, start_of
from feeder.clock import ManualClock
from feeder.errors import ParameterError, RestError

MINUTE = 60_000
DAY = 1440 * MINUTE
NOW = int(datetime(2026, 3, 1, 12, 30, 30, tzinfo=UTC).timestamp()) * 1000
LAUNCH = int(datetime(2025, 6, 10, 8, 0, tzinfo=UTC).timestamp()) * 1000


class Venue:
    """Bars without end from LAUNCH on, but for those in `holes` (their beginnings, ms), as the venue tells them."""

    def __init__(self) -> None:
        self.now = NOW
        self.launch = LAUNCH
        self.holes: set[int] = set()
        self.asked: list[tuple[str, str, int | None, int | None]] = []
        self.error: RestError | None = None
        self.behind = 0  # ms, of what we take for its time
        self.generous = False  # tells bars before the start, too
        self.gate: asyncio.Event | None = None  # answers are made before it and sent behind it

    def venue_ms(self) -> int:
        return self.now - self.behind

    async def klines(
        self, category: Any, symbol: str, interval: Any, *, start: int | None, end: int | None, limit: int | None
    ) -> Reply[Page[Candle]]:
        self.asked.append((symbol, interval, start, end))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        assert limit is not None
        assert limit <= 1000
        newest = number_of(interval, min(self.now, self.now if end is None else end))
        oldest = max(number_of(interval, self.launch), newest - limit + 1)
        begins = [start_of(interval, number) for number in range(newest, oldest - 1, -1)]
        rows = [candle(ms) for ms in begins if ms not in self.holes and (start is None or self.generous or ms >= start)]
        if self.gate is not None:
            await self.gate.wait()
        return Reply(Page(rows), b"", self.now)


def candle(start_ms: int) -> Candle:
    return Candle(start_ms, *[Decimal(start_ms)] * 6)


class Asker:
    """A history with its venue."""

    def __init__(self, pages: int = 10) -> None:
        self.venue = Venue()
        self.pages = HistoryPages(self.venue, pages, ManualClock())
        self.told: list[tuple[int, int]] = []

    def history(self, interval: str, start: Any, end: Any = None, category: str = "linear") -> History:
        def tell(_history: History, asked: int, missing: int) -> None:
            self.told.append((asked, missing))

        return History(self.pages, category, "BTCUSDT", interval, start, end, tell)

    async def list(self, interval: str, start: Any, end: Any = None) -> Candles:
        return await self.history(interval, start, end).list()

    def requests(self) -> int:
        count = len(self.venue.asked)
        self.venue.asked.clear()
        return count


@pytest.fixture
def asker() -> Asker:
    return Asker()


def begins(candles: Candles) -> list[int]:
    return [each.start_ms for each in candles.candles]


async def test_bars_come_oldest_first_from_start_on_and_before_end(asker: Asker) -> None:
    start = NOW - 3000 * MINUTE
    candles = await asker.list("1", start, start + 2500 * MINUTE)
    first = -(-start // MINUTE) * MINUTE
    assert begins(candles) == list(range(first, start + 2500 * MINUTE, MINUTE))
    assert (candles.missing, candles.running) == ([], None)
    assert asker.told == [(2500, 0)]


async def test_an_end_on_the_grid_is_not_in_it_and_a_start_is(asker: Asker) -> None:
    start = NOW // MINUTE * MINUTE - 10 * MINUTE
    assert begins(await asker.list("1", start, start + 2 * MINUTE)) == [start, start + MINUTE]


async def test_finished_bars_are_asked_for_once(asker: Asker) -> None:
    start = NOW - 3000 * MINUTE
    first = await asker.list("1", start, start + 2500 * MINUTE)
    first_page, last_page = (number_of("1", ms) // 1000 for ms in (begins(first)[0], begins(first)[-1]))
    assert asker.requests() == last_page - first_page + 1
    assert await asker.list("1", start, start + 2500 * MINUTE) == first
    assert begins(await asker.list("1", start + 500 * MINUTE, start + 600 * MINUTE)) == begins(first)[500:600]
    assert asker.requests() == 0


async def test_the_bar_that_is_running_is_told_and_never_kept(asker: Asker) -> None:
    start = NOW - 5 * MINUTE
    first = await asker.list("1", start)
    assert first.running is not None
    assert first.running.start_ms == NOW // MINUTE * MINUTE
    assert begins(first)[-1] == first.running.start_ms - MINUTE
    asker.requests()
    asker.venue.now += MINUTE
    later = await asker.list("1", start)
    assert begins(later) == [*begins(first), first.running.start_ms]
    assert later.running is not None
    [(_, _, asked_from, _)] = asker.venue.asked  # only for what was not finished then
    assert asked_from == first.running.start_ms


async def test_a_bar_that_ended_this_instant_may_still_change(asker: Asker) -> None:
    asker.venue.now = NOW // MINUTE * MINUTE + 400  # ms after the minute
    candles = await asker.list("1", NOW - 5 * MINUTE)
    assert begins(candles)[-1] == NOW // MINUTE * MINUTE - 2 * MINUTE
    assert candles.running is not None
    assert candles.running.start_ms == NOW // MINUTE * MINUTE - MINUTE  # no bar is left out in between
    running = (await asker.list("1", NOW // MINUTE * MINUTE)).running
    assert running is not None
    assert running.start_ms == NOW // MINUTE * MINUTE


async def test_a_finished_bar_is_kept_once_the_venue_had_time_to_end_it(asker: Asker) -> None:
    minute = NOW // MINUTE * MINUTE
    asker.venue.now = minute + 2000
    assert begins(await asker.list("1", minute - 3 * MINUTE, minute))[-1] == minute - MINUTE
    asker.requests()
    asker.venue.now = minute + 9999
    await asker.list("1", minute - 3 * MINUTE, minute)
    [(_, _, asked_from, _)] = asker.venue.asked
    assert asked_from == minute - MINUTE
    asker.venue.now = minute + 10_000
    await asker.list("1", minute - 3 * MINUTE, minute)
    asker.requests()
    await asker.list("1", minute - 3 * MINUTE, minute)
    assert asker.requests() == 0


async def test_the_youngest_bar_is_not_missing_while_the_venue_may_still_tell_it(asker: Asker) -> None:
    minute = NOW // MINUTE * MINUTE
    asker.venue.holes = {minute - MINUTE, minute}  # it is late
    asker.venue.now = minute + 3000
    late = await asker.list("1", minute - 3 * MINUTE)
    assert (begins(late), late.missing) == ([minute - 3 * MINUTE, minute - 2 * MINUTE], [])
    assert asker.told[-1] == (2, 0)
    asker.venue.holes.clear()
    assert begins(await asker.list("1", minute - 3 * MINUTE))[-1] == minute - MINUTE
    asker.venue.holes = {minute, minute + MINUTE}
    asker.venue.now = minute + MINUTE + 10_000  # it will not come any more
    gone = await asker.list("1", minute - 3 * MINUTE)
    assert gone.missing == [Span(minute, minute + MINUTE, 1)]


async def test_a_bar_before_the_start_is_not_the_running_one_of_it(asker: Asker) -> None:
    assert await asker.list("1", NOW + 20_000) == Candles([], [], None)
    assert asker.told == [(0, 0)]


async def test_bars_of_the_past_need_no_request_while_one_runs(asker: Asker) -> None:
    start = NOW - 5 * MINUTE
    await asker.list("1", start)
    asker.requests()
    await asker.list("1", start, NOW // MINUTE * MINUTE)
    assert asker.requests() == 0


async def test_two_who_ask_at_once_make_one_request_a_page(asker: Asker) -> None:
    start = NOW // MINUTE // 1000 * 1000 * MINUTE - 2000 * MINUTE
    one, other = await asyncio.gather(*(asker.list("1", start, start + 1000 * MINUTE) for _ in range(2)))
    assert one == other
    assert asker.requests() == 1
    assert asker.pages.counts.joined == 1


async def test_holes_are_told_as_spans_even_over_the_end_of_a_page(asker: Asker) -> None:
    page = NOW // MINUTE // 1000 * 1000 * MINUTE - 1000 * MINUTE
    holes = [*range(page - 3 * MINUTE, page + 2 * MINUTE, MINUTE), page + 10 * MINUTE]
    asker.venue.holes = set(holes)
    candles = await asker.list("1", page - 100 * MINUTE, page + 100 * MINUTE)
    assert candles.missing == [
        Span(page - 3 * MINUTE, page + 2 * MINUTE, 5),
        Span(page + 10 * MINUTE, page + 11 * MINUTE, 1),
    ]
    assert len(candles.candles) == 194
    assert asker.told == [(200, 6)]
    assert asker.requests() == 2  # that there are older bars is seen without asking for the first


async def test_a_hole_at_the_start_is_one_when_there_are_older_bars(asker: Asker) -> None:
    page = NOW // MINUTE // 1000 * 1000 * MINUTE - 1000 * MINUTE
    asker.venue.holes = set(range(page, page + 5 * MINUTE, MINUTE))
    candles = await asker.list("1", page, page + 20 * MINUTE)
    assert candles.missing == [Span(page, page + 5 * MINUTE, 5)]
    assert asker.told == [(20, 5)]


async def test_a_hole_at_the_end_is_told_up_to_the_running_bar(asker: Asker) -> None:
    minute = NOW // MINUTE * MINUTE
    asker.venue.holes = set(range(minute - 3 * MINUTE, minute, MINUTE))
    candles = await asker.list("1", minute - 10 * MINUTE)
    assert candles.missing == [Span(minute - 3 * MINUTE, minute, 3)]
    assert candles.running is not None


async def test_a_page_without_any_bar_is_a_hole_too(asker: Asker) -> None:
    page = NOW // MINUTE // 1000 * 1000 * MINUTE - 3000 * MINUTE
    asker.venue.holes = set(range(page, page + 1000 * MINUTE, MINUTE))
    candles = await asker.list("1", page - 10 * MINUTE, page + 1010 * MINUTE)
    assert candles.missing == [Span(page, page + 1000 * MINUTE, 1000)]
    alone = await asker.list("1", page, page + 1000 * MINUTE)
    assert (alone.candles, alone.missing) == ([], candles.missing)


async def test_before_the_first_bar_nothing_is_missing_and_little_is_asked(asker: Asker) -> None:
    candles = await asker.list("1", datetime(2019, 1, 1, tzinfo=UTC), LAUNCH + 10 * MINUTE)
    assert begins(candles) == list(range(LAUNCH, LAUNCH + 10 * MINUTE, MINUTE))
    assert candles.missing == []
    assert asker.told == [(10, 0)]
    assert asker.requests() <= 7  # not a thousand empty pages: the first, four for the first bar, those with bars


async def test_a_symbol_without_bars_ends_at_once(asker: Asker) -> None:
    asker.venue.launch = NOW + 60 * DAY
    assert await asker.list("1", datetime(2019, 1, 1, tzinfo=UTC)) == Candles([], [], None)
    assert asker.requests() == 2
    asker.venue.now = asker.venue.launch + 30 * MINUTE + 30_000
    assert len((await asker.list("1", datetime(2019, 1, 1, tzinfo=UTC))).candles) == 30  # that it had none is not kept


async def test_the_future_is_not_asked_for(asker: Asker) -> None:
    assert await asker.list("1", NOW + 5000 * MINUTE, NOW + 10_000 * MINUTE) == Candles([], [], None)
    assert asker.requests() == 0
    await asker.list("1", NOW - 2 * MINUTE, 9_000_000_000_000)
    assert asker.requests() == 1


async def test_pages_are_bounded(asker: Asker) -> None:
    asker.pages.resize(2)
    start = NOW - 10_000 * MINUTE
    candles = await asker.list("1", start, start + 5000 * MINUTE)
    assert len(candles.candles) == 5000
    counts = asker.pages.counts
    assert counts.entries == 2
    assert counts.evicted >= 3


async def test_the_page_unused_for_longest_makes_room(asker: Asker) -> None:
    asker.pages.resize(2)
    page = NOW // MINUTE // 1000 * 1000 * MINUTE
    asked = []
    for back in (3, 2, 3, 1, 3, 2):
        asker.requests()
        await asker.list("1", page - back * 1000 * MINUTE, page - back * 1000 * MINUTE + MINUTE)
        asked.append(asker.requests())
    assert asked == [1, 1, 0, 1, 0, 1]


async def test_a_symbol_that_is_invalidated_is_asked_for_again(asker: Asker) -> None:
    start = NOW // MINUTE // 1000 * 1000 * MINUTE - 1000 * MINUTE
    await asker.list("1", start, start + 5 * MINUTE)
    assert asker.pages.invalidate("linear", "ETHUSDT") == 0
    assert asker.pages.invalidate("linear", "BTCUSDT") == 1
    asker.requests()
    await asker.list("1", start, start + 5 * MINUTE)
    assert asker.requests() == 1


async def test_so_is_when_its_first_bar_was(asker: Asker) -> None:
    requests = []
    for _ in range(2):
        await asker.list("1", 0, LAUNCH + MINUTE)
        requests.append(asker.requests())
        asker.pages.invalidate("linear")
    assert requests[0] == requests[1]
    await asker.list("1", 0, LAUNCH + MINUTE)
    asker.venue.launch += DAY
    asker.pages.invalidate()
    assert begins(await asker.list("1", 0, LAUNCH + DAY + MINUTE)) == [LAUNCH + DAY]


async def test_a_venue_whose_clock_goes_back_takes_no_bar_away(asker: Asker) -> None:
    start = NOW // MINUTE * MINUTE - 10 * MINUTE
    first = await asker.list("1", start)
    asker.venue.now -= 5 * MINUTE
    again = await asker.list("1", start, start + 20 * MINUTE)
    assert begins(again) == [ms for ms in begins(first) if ms < asker.venue.now + MINUTE]
    asker.venue.behind = -5 * MINUTE  # we have not noticed
    assert begins(await asker.list("1", start)) == begins(first)
    asker.venue.behind = 0
    asker.venue.now += 7 * MINUTE
    assert begins(await asker.list("1", start)) == list(range(start, start + 12 * MINUTE, MINUTE))


async def test_the_running_bar_is_found_though_our_idea_of_the_venues_time_is_behind(asker: Asker) -> None:
    asker.venue.behind = 45_000
    candles = await asker.list("1", NOW - 3 * MINUTE)
    assert candles.running is not None
    assert candles.running.start_ms == NOW // MINUTE * MINUTE


async def test_bars_that_were_not_asked_for_are_left_out(asker: Asker) -> None:
    asker.venue.generous = True
    start = NOW // MINUTE * MINUTE - 10 * MINUTE
    await asker.list("1", start)
    asker.venue.now += MINUTE
    assert begins(await asker.list("1", start)) == list(range(start, start + 11 * MINUTE, MINUTE))


async def test_an_answer_to_what_was_asked_before_the_invalidation_is_not_kept(asker: Asker) -> None:
    start = NOW // MINUTE // 1000 * 1000 * MINUTE - 1000 * MINUTE
    asker.venue.gate = asyncio.Event()
    before = asyncio.create_task(asker.list("1", start, start + 5 * MINUTE))
    for _ in range(5):
        await asyncio.sleep(0)
    asker.pages.invalidate("linear", "BTCUSDT")
    asker.venue.gate.set()
    assert len((await before).candles) == 5
    assert asker.pages.counts.entries == 0


async def test_who_joins_a_request_is_no_miss(asker: Asker) -> None:
    start = NOW // MINUTE // 1000 * 1000 * MINUTE - 2000 * MINUTE
    await asyncio.gather(*(asker.list("1", start, start + 1000 * MINUTE) for _ in range(3)))
    await asker.list("1", start, start + 1000 * MINUTE)
    counts = asker.pages.counts
    assert (counts.misses, counts.joined, counts.hits) == (1, 2, 1)


async def test_an_error_is_told_and_nothing_is_kept_of_it(asker: Asker) -> None:
    start = NOW // MINUTE // 1000 * 1000 * MINUTE - 1000 * MINUTE
    asker.venue.error = RestError("down")
    with pytest.raises(RestError, match="down"):
        await asker.list("1", start, start + 5 * MINUTE)
    asker.venue.error = None
    assert len((await asker.list("1", start, start + 5 * MINUTE)).candles) == 5
    assert asker.told == [(5, 0)]


async def test_an_iteration_may_be_left_and_begun_again(asker: Asker) -> None:
    minute = NOW // MINUTE * MINUTE
    asker.venue.holes = {minute - 1999 * MINUTE}
    history = asker.history("1", minute - 2000 * MINUTE)
    async for each in history:
        first = each
        break
    for _ in range(2):
        candles = await history.list()
        assert candles.candles[0] == first
        assert candles.missing == [Span(minute - 1999 * MINUTE, minute - 1998 * MINUTE, 1)]
    assert asker.told == [(2000, 1)] * 2


@pytest.mark.parametrize("interval", ["1", "720", "D", "W", "M"])
async def test_every_interval_has_its_own_grid(asker: Asker, interval: str) -> None:
    asker.venue.launch = int(datetime(2019, 1, 1, tzinfo=UTC).timestamp()) * 1000
    candles = await asker.list(interval, datetime(2025, 12, 1, tzinfo=UTC))
    assert candles.running is not None
    numbers = [number_of(interval, ms) for ms in begins(candles)]
    assert numbers == list(range(numbers[0], number_of(interval, NOW)))
    assert (candles.missing, candles.running.start_ms) == ([], start_of(interval, number_of(interval, NOW)))


def test_bars_begin_where_the_venues_do() -> None:
    moment = int(datetime(2024, 2, 29, 13, 37, tzinfo=UTC).timestamp() * 1000)
    begins = {interval: start_of(interval, number_of(interval, moment)) for interval in ("5", "240", "D", "W", "M")}
    assert {interval: datetime.fromtimestamp(ms / 1000, UTC).isoformat() for interval, ms in begins.items()} == {
        "5": "2024-02-29T13:35:00+00:00",
        "240": "2024-02-29T12:00:00+00:00",
        "D": "2024-02-29T00:00:00+00:00",
        "W": "2024-02-26T00:00:00+00:00",  # a Monday
        "M": "2024-02-01T00:00:00+00:00",
    }
    assert [number_of(interval, 0) for interval in ("1", "D", "W", "M")] == [0, 0, 0, 0]


async def test_a_datetime_is_taken_by_its_zone(asker: Asker) -> None:
    moment = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(hours=8)))
    as_ms = int(moment.timestamp()) * 1000
    assert begins(await asker.list("60", there, there + timedelta(hours=2))) == [as_ms, as_ms + 60 * MINUTE]


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        (("1", datetime(2026, 1, 1)), "start: has no time zone"),  # noqa: DTZ001 - what is tried
        (("1", 1.5), "start: must be ms"),
        (("1", -1), "start: -1 is no time"),
        (("1", 1_795_274_700), "start: 1795274700 looks like seconds; give ms"),
        (("1", NOW, 99_999_999_999), "end: 99999999999 looks like seconds; give ms"),
        (("1", NOW, NOW), "end: must be later"),
        (("1", NOW, True), "end: must be ms"),
        (("2", NOW), "interval: '2' is none; use one of 1, 3"),
    ],
)
def test_what_cannot_be_asked_for_is_named(asker: Asker, given: tuple[Any, ...], parameter: str) -> None:
    with pytest.raises(ParameterError, match=f"history: {parameter}"):
        asker.history(*given)


def test_options_have_no_bars(asker: Asker) -> None:
    with pytest.raises(ParameterError, match="'option' has no bars"):
        asker.history("1", NOW, category="option")


@pytest.mark.parametrize("seed", range(20))
async def test_any_question_has_the_answer_of_a_plain_walk_over_all_bars(seed: int) -> None:
    random = Random(seed)
    asker = Asker(pages=random.choice([1, 2, 50]))
    venue = asker.venue
    interval = random.choice(["1", "5", "60", "D", "W", "M"])
    length = {"1": 1, "5": 5, "60": 60, "D": 1440, "W": 10080, "M": 43200}[interval] * MINUTE
    bars = {"D": 4000, "W": 1500, "M": 300}.get(interval, 4000)
    venue.launch = start_of("1", number_of("1", NOW - random.randrange(1, bars) * length))
    first = number_of(interval, venue.launch)
    present = list(range(first, number_of(interval, NOW) + 1))
    for _ in range(random.randrange(4)):
        begin, count = random.choice(present), random.choice([1, 3, 50, 1200])
        # Not the first: of what no bar is known, nothing is missing.
        venue.holes |= {start_of(interval, number) for number in range(max(begin, first + 1), begin + count)}
    for _ in range(8):
        start = NOW - random.randrange(0, bars + bars // 8) * length
        end = random.choice([None, start + random.randrange(1, bars) * length])
        venue.now += random.randrange(0, 3) * MINUTE
        told = await asker.list(interval, start, end)
        finished = number_of(interval, venue.now - 1000)
        if start_of(interval, finished) in venue.holes:  # what is behind its last bar may come yet, for a while
            newest = max((n for n in present if n < finished and start_of(interval, n) not in venue.holes), default=-1)
            finished = min(finished, max(newest + 1, number_of(interval, venue.now - 10_000)))
        wanted = [
            number
            for number in range(first, finished)
            if start <= start_of(interval, number) < (end or venue.now + length)
        ]
        there = [number for number in wanted if start_of(interval, number) not in venue.holes]
        assert begins(told) == [start_of(interval, number) for number in there]
        missing = [
            number
            for span in told.missing
            for number in range(number_of(interval, span.start_ms), number_of(interval, span.end_ms))
        ]
        assert missing == [number for number in wanted if number not in set(there)]
        assert asker.told[-1] == (len(wanted), len(missing))
        assert all(one.end_ms < other.start_ms for one, other in pairwise(told.missing))
        runs = end is None or start_of(interval, number_of(interval, venue.now)) < end
        hidden = start_of(interval, number_of(interval, venue.now)) in venue.holes
        begun = start <= start_of(interval, number_of(interval, venue.now))
        assert (told.running is not None) == (runs and begun and not hidden), (start, end, told.running)
