"""The screens with textual's own pilot, over a feed without sockets: keys lead where they say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("textual")

from textual.pilot import Pilot

from feeder.listen.screens import HelpPage, LadderPage, ListenApp, ListPage, Page, StatsPage
from feeder.listen.stats import column_meanings
from feeder.market.instrument import InstrumentKey
from tests.unit.listen.feeds import Watched

SIZE = (100, 24)


@asynccontextmanager
async def screens(watched: Watched, key: InstrumentKey | None = None) -> AsyncIterator[tuple[ListenApp, Pilot[None]]]:
    app = ListenApp(watched.board, ["receive buffer cut short"], key)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        yield app, pilot


def seen(app: ListenApp) -> list[str]:
    """What the terminal shows."""
    page = app.screen
    assert isinstance(page, Page)
    page.repaint()
    return [page.canvas.render_line(y).text.rstrip() for y in range(page.canvas.size.height)]


async def test_the_list_fills_the_screen_with_keys_on_its_last_line():
    async with screens(Watched("BTCUSDT", "ETHUSDT")) as (app, _):
        shown = seen(app)
        assert len(shown) == SIZE[1]
        assert shown[0].startswith(" 2 instruments  2 live")
        assert [text.split()[1] for text in shown[2:4]] == ["BTCUSDT", "ETHUSDT"]
        assert "q quit" in shown[-1]


async def test_enter_opens_the_ladder_of_the_book_under_the_cursor_and_escape_leads_back():
    async with screens(Watched("BTCUSDT", "ETHUSDT", "XRPUSDT")) as (app, pilot):
        for back in ("escape", "b"):
            await pilot.press("home", "down", "enter")
            assert isinstance(app.screen, LadderPage)
            assert seen(app)[0].startswith(" linear ETHUSDT  LIVE")
            await pilot.press(back)
            assert isinstance(app.screen, ListPage)


async def test_a_single_book_opens_as_a_ladder_which_escape_does_not_leave():
    async with screens(Watched("BTCUSDT", wanted=("BTCUSDT",)), ("linear", "BTCUSDT")) as (app, pilot):
        await pilot.press("escape")
        assert isinstance(app.screen, LadderPage)


async def test_a_book_that_changes_is_drawn_anew():
    watched = Watched()
    async with screens(watched, ("linear", "BTCUSDT")) as (app, _):
        assert "LIVE" in seen(app)[0]
        watched.source().stale()
        watched.run(0.1)
        shown = seen(app)
        assert "STALE: GAP" in shown[0]
        assert shown[2].startswith(" STALE: GAP - ")


async def test_the_filter_is_typed_kept_with_enter_and_dropped_with_escape():
    async with screens(Watched("BTCUSDT", "ETHUSDT")) as (app, pilot):
        await pilot.press("slash", *"q", "backspace", *"eth")
        page = app.screen
        assert isinstance(page, ListPage)
        assert page.books.filter == "eth"
        assert [text.split()[1] for text in seen(app)[2:] if text.startswith(" linear")] == ["ETHUSDT"]
        await pilot.press("enter", "enter")
        assert isinstance(app.screen, LadderPage), "keys are keys again"
        await pilot.press("escape", "escape")
        assert page.books.filter == ""
        await pilot.press("slash", *"btc", "escape")
        assert page.books.filter == ""
        assert "/ filter" in seen(app)[-1]


async def test_keys_sort_the_list():
    async with screens(Watched("BTCUSDT", "ETHUSDT")) as (app, pilot):
        await pilot.press("n")
        assert [text.split()[1] for text in seen(app)[2:4]] == ["ETHUSDT", "BTCUSDT"]
        for key, head in (("r", "upd/s▼"), ("a", "age▼"), ("t", "status▼"), ("n", "symbol▲"), ("n", "symbol▼")):
            await pilot.press(key)
            assert head in seen(app)[1]


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
async def test_help_is_wrapped_never_cut_and_explains_every_column(size):
    async with screens(Watched()) as (app, pilot):
        await pilot.resize_terminal(*size)
        await pilot.press("question_mark")
        page = app.screen
        assert isinstance(page, HelpPage)
        whole = [line.text for line in page.whole(size[0])]
        assert max(map(len, whole)) <= size[0]
        together = " ".join(" ".join(whole).split())
        for name, meaning in column_meanings():
            assert name in together
            assert " ".join(meaning.split()) in together
        assert "? help" in seen(app)[-1]
        assert "q quit" in seen(app)[-1]


async def test_statistics_and_help_open_over_any_screen_once():
    async with screens(Watched()) as (app, pilot):
        await pilot.press("enter", "s", "s")
        assert isinstance(app.screen, StatsPage)
        assert "books" in seen(app)[1]
        await pilot.press("end", *["down"] * 30)
        assert any("receive buffer cut short" in text for text in seen(app))
        await pilot.press("question_mark", "question_mark")
        assert isinstance(app.screen, HelpPage)
        assert any("FEEDER LOST" in text for text in seen(app))
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, LadderPage)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_q_and_ctrl_c_quit_from_every_screen(key):
    for way in ((), ("enter",), ("s",), ("question_mark",)):
        async with screens(Watched()) as (app, pilot):
            await pilot.press(*way)
            await pilot.press(key)
            await pilot.pause()
            assert not app.is_running
            assert app.return_code == 0


async def test_ctrl_c_quits_from_the_filter_too():
    async with screens(Watched()) as (app, pilot):
        await pilot.press("slash", "b", "ctrl+c")
        await pilot.pause()
        assert not app.is_running


async def test_the_mouse_moves_the_cursor_and_two_clicks_open_a_ladder():
    async with screens(Watched("BTCUSDT", "ETHUSDT", "XRPUSDT")) as (app, pilot):
        page = app.screen
        assert isinstance(page, ListPage)
        await pilot.click(page.canvas, offset=(5, 3))
        assert page.books.selected == ("linear", "ETHUSDT")
        await pilot.click(page.canvas, offset=(5, 4), times=2)
        assert isinstance(app.screen, LadderPage)
        assert seen(app)[0].startswith(" linear XRPUSDT")


async def test_another_size_of_terminal_is_filled_at_once():
    async with screens(Watched()) as (app, pilot):
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        shown = seen(app)
        assert len(shown) == 10
        assert max(map(len, shown)) <= 60
        assert "Enter" in shown[-1]
