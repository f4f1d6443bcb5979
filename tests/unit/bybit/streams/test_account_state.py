"""The rules by which an account is merged, one by one."""

import random
import tracemalloc
from decimal import Decimal

import msgspec
import pytest

from feeder.bybit.streams.account_state import AccountState, PositionKey
from feeder.bybit.streams.final_statuses import GONE

from .account_rows import T0, fill, order, position, wallet

BTC = PositionKey("linear", "BTCUSDT", 0)


@pytest.fixture
def state() -> AccountState:
    return AccountState()


# Orders


def test_a_new_order_is_open_and_found_by_both_names(state: AccountState) -> None:
    told = order(order_link_id="mine")
    assert state.on_order(told) is told
    assert state.orders == {"o1": told}
    assert state.order("o1") is state.order("mine") is told


def test_a_repeated_order_event_is_told_once(state: AccountState) -> None:
    assert state.on_order(order())
    assert state.on_order(order()) is None
    assert state.on_order(order(at=T0 + 5)) is None  # a later message with nothing new


def test_what_changes_is_told(state: AccountState) -> None:
    state.on_order(order(take_profit=Decimal(120)))
    assert state.on_order(order(at=T0 + 1, price=Decimal(99), take_profit=Decimal(120)))
    assert state.on_order(order(at=T0 + 2, price=Decimal(99)))  # the take profit is gone


def test_an_older_event_changes_nothing(state: AccountState) -> None:
    state.on_order(order(at=T0 + 9, price=Decimal(99)))
    assert state.on_order(order(at=T0 + 5, price=Decimal(98))) is None
    assert state.orders["o1"].price == 99
    assert state.outdated == 1


def test_an_event_older_than_one_that_told_nothing_new_changes_nothing(state: AccountState) -> None:
    state.on_order(order())
    state.on_order(order(at=T0 + 9))
    assert state.on_order(order(at=T0 + 5, price=Decimal(98))) is None


def test_more_executed_is_later_whatever_the_time(state: AccountState) -> None:
    state.on_order(order(status="PartiallyFilled", done="5", at=T0 + 9))
    assert state.on_order(order(status="PartiallyFilled", done="3", at=T0 + 10)) is None
    assert state.on_order(order(status="PartiallyFilled", done="6", at=T0 + 8))
    assert state.orders["o1"].cum_exec_qty == 6


def test_of_one_millisecond_the_stream_s_last_counts(state: AccountState) -> None:
    state.on_order(order(price=Decimal(99)))
    assert state.on_order(order(price=Decimal(98)))
    assert state.orders["o1"].price == 98


@pytest.mark.parametrize("status", ["Filled", "Cancelled", "Rejected", "PartiallyFilledCanceled", "Deactivated"])
def test_a_closed_order_never_opens_again(state: AccountState, status: str) -> None:
    state.on_order(order())
    assert state.on_order(order(status=status, at=T0 + 1))
    assert not state.orders
    for late in ("New", "PartiallyFilled", "Untriggered", "Triggered"):
        assert state.on_order(order(status=late, at=T0 + 99, done="3")) is None
        assert state.take_order(order(status=late, at=T0 + 99), state.moment) is None
    assert not state.orders
    assert state.closed["o1"].order_status == status


def test_a_close_counts_even_if_its_time_is_earlier(state: AccountState) -> None:
    state.on_order(order(at=T0 + 9))
    assert state.on_order(order(status="Cancelled", at=T0 + 8))
    assert "o1" in state.closed


def test_of_two_filled_messages_one_is_told(state: AccountState) -> None:
    state.on_order(order())
    assert state.on_order(order(status="Filled", done="10", at=T0 + 1, reject_reason="EC_NoError"))
    too_late = {"cancel_type": "CancelByUser", "reject_reason": "EC_OrigClOrdIDDoesNotExist"}
    assert state.on_order(order(status="Filled", done="10", at=T0 + 2, **too_late)) is None
    assert state.closed["o1"].reject_reason == "EC_NoError"


def test_a_fill_that_came_before_the_cancellation_it_met_counts(state: AccountState) -> None:
    state.on_order(order(status="Cancelled", done="0"))
    assert state.on_order(order(status="Filled", done="10"))
    assert state.closed["o1"].order_status == "Filled"


def test_a_conditional_order_is_triggered_and_goes_on(state: AccountState) -> None:
    assert state.on_order(order(status="Untriggered"))
    assert "o1" in state.orders
    assert state.on_order(order(status="Triggered"))
    assert "o1" not in state.orders
    assert state.on_order(order(status="New"))
    assert "o1" in state.orders
    assert "o1" not in state.closed
    assert state.on_order(order(status="Triggered", at=T0 + 9)) is None
    assert state.on_order(order(status="Untriggered", at=T0 + 9)) is None
    assert state.on_order(order(status="Filled", done="10"))


def test_a_status_that_nobody_knows_yet_is_taken_for_an_open_one(state: AccountState) -> None:
    assert state.on_order(order(status="Resting"))
    assert "o1" in state.orders


def test_rest_with_a_later_time_is_believed(state: AccountState) -> None:
    state.on_order(order())
    assert state.take_order(order(at=T0 + 1, price=Decimal(99)), 0)
    assert state.orders["o1"].price == 99


def test_rest_with_an_earlier_time_is_not_believed_even_after_a_reconnect(state: AccountState) -> None:
    state.on_order(order(at=T0 + 5))
    assert state.take_order(order(at=T0, price=Decimal(99)), state.moment) is None
    assert state.orders["o1"].price == 100


def test_on_a_tie_the_stream_of_this_connection_is_believed(state: AccountState) -> None:
    connected = state.moment
    state.on_order(order(price=Decimal(99)))
    assert state.take_order(order(price=Decimal(98)), connected) is None
    assert state.orders["o1"].price == 99


def test_on_a_tie_what_is_known_from_before_the_connection_loses_to_rest(state: AccountState) -> None:
    state.on_order(order(price=Decimal(99)))
    connected = state.moment
    assert state.take_order(order(price=Decimal(98)), connected)
    assert state.on_order(order(price=Decimal(97)))  # and the stream goes on from there
    assert state.orders["o1"].price == 97


def test_a_repeated_event_on_this_connection_makes_the_order_of_this_connection(state: AccountState) -> None:
    state.on_order(order(price=Decimal(99)))
    connected = state.moment
    state.on_order(order(price=Decimal(99)))
    assert state.take_order(order(price=Decimal(98)), connected) is None
    assert not state.orders_before("linear", connected)


def test_a_list_that_leaves_out_what_the_stream_tells_is_no_change(state: AccountState) -> None:
    state.on_order(order(closed_pnl=Decimal(3)))
    row = order(closed_pnl=None, parent_order_link_id="p")
    assert state.take_order(row, state.moment) is None
    assert state.orders["o1"].closed_pnl == 3


def test_an_order_that_nobody_knows_is_gone_until_somebody_does(state: AccountState) -> None:
    state.on_order(order())
    gone = state.forget_order("o1", state.moment)
    assert gone is not None
    assert gone.order_status == GONE
    assert not state.orders
    assert state.take_order(order(status="Cancelled"), state.moment)
    assert state.closed["o1"].order_status == "Cancelled"


def test_an_order_told_since_is_not_forgotten(state: AccountState) -> None:
    asked = state.moment
    state.on_order(order())
    assert state.forget_order("o1", asked) is None
    assert state.forget_order("never", asked) is None
    assert "o1" in state.orders


def test_of_two_orders_with_one_link_the_later_is_meant(state: AccountState) -> None:
    state.on_order(order("new", order_link_id="mine", created_time=T0 + 9))
    state.take_order(order("old", "Cancelled", order_link_id="mine", created_time=T0), state.moment)
    assert state.order("mine") is state.orders["new"]
    state.on_order(order("newer", order_link_id="mine", created_time=T0 + 10))
    assert state.order("mine") is state.orders["newer"]


def test_a_forgotten_order_takes_its_link_with_it_only_where_that_is_still_its_own() -> None:
    state = AccountState(closed_orders=1)
    state.on_order(order("old", "Cancelled", order_link_id="mine"))
    state.on_order(order("new", order_link_id="mine"))
    state.on_order(order("another", "Cancelled"))
    assert "old" not in state.closed
    assert state.order("mine") is state.orders["new"]


# Fills


def test_a_fill_is_counted_once_whoever_tells_it(state: AccountState) -> None:
    assert state.take_fill(fill())
    assert state.take_fill(fill()) is None
    assert state.fills.repeated == 1
    assert [each.exec_id for each in state.recent_fills] == ["e1"]


def test_one_exec_id_of_two_symbols_or_categories_are_two_fills(state: AccountState) -> None:
    assert state.take_fill(fill())
    assert state.take_fill(fill(symbol="ETHUSDT"))
    assert state.take_fill(fill(category="spot"))
    assert state.take_fill(fill(symbol="ETHUSDT")) is None


def test_a_fill_older_than_those_forgotten_is_not_counted_again() -> None:
    state = AccountState(known_fills=3)
    for number in range(5):
        assert state.take_fill(fill(f"e{number}", at=T0 + number))
    assert len(state.fills) == 3
    assert state.take_fill(fill("e0", at=T0)) is None
    assert state.fills.too_old == 1


# Positions


def test_a_position_opens_changes_and_closes(state: AccountState) -> None:
    assert state.on_position(position("1"))
    assert state.positions[BTC].size == 1
    assert state.on_position(position("2", seq=6, at=T0 + 1))
    assert state.on_position(position("0", seq=7, at=T0 + 2))
    assert not state.positions


def test_a_position_told_again_after_an_order_is_no_change(state: AccountState) -> None:
    state.on_position(position("1"))
    assert state.on_position(position("1", seq=6, mark_price=Decimal(101), unrealised_pnl=Decimal(1))) is None
    assert state.positions[BTC].mark_price == 101  # but it is kept
    assert state.on_position(position("0", seq=1, at=T0 - 5)) is None


def test_an_empty_position_that_was_never_held_is_not_told(state: AccountState) -> None:
    assert state.on_position(position("0")) is None
    assert not state.positions


def test_an_older_position_does_not_open_a_closed_one(state: AccountState) -> None:
    state.on_position(position("1", seq=5))
    state.on_position(position("0", seq=9, at=T0 + 3))
    assert state.on_position(position("1", seq=8, at=T0 + 2)) is None
    assert not state.positions


def test_a_setting_changes_the_time_and_not_the_sequence(state: AccountState) -> None:
    state.on_position(position("1", leverage=Decimal(10)))
    assert state.on_position(position("1", at=T0 + 1, leverage=Decimal(20)))
    assert state.on_position(position("1", at=T0, leverage=Decimal(10))) is None
    assert state.positions[BTC].leverage == 20


def test_a_setting_that_is_told_with_the_sequence_of_the_last_fill_counts(state: AccountState) -> None:
    state.on_position(position("1", seq=5, leverage=Decimal(10)))
    state.on_position(position("1", seq=8, leverage=Decimal(10)))  # after an order
    assert state.on_position(position("1", seq=5, at=T0 + 1, leverage=Decimal(20)))
    assert state.positions[BTC].leverage == 20
    assert state.on_position(position("2", seq=9, at=T0, leverage=Decimal(20)))  # the venue's clock was set back
    assert state.positions[BTC].size == 2


def test_where_sequence_and_time_contradict_rest_is_believed_over_what_was_before_the_connection(
    state: AccountState,
) -> None:
    state.on_position(position("1", seq=500, at=T0))
    connected = state.moment
    assert state.take_position(position("2", seq=3, at=T0 + 9), connected)  # as after the venue counts anew
    assert state.on_position(position("3", seq=4, at=T0 + 10))
    assert state.take_position(position("4", seq=3, at=T0 + 11), connected) is None


def test_both_sides_of_a_hedged_symbol_are_two_positions(state: AccountState) -> None:
    state.on_position(position("1", position_idx=1))
    state.on_position(position("2", position_idx=2))
    assert {key.position_idx for key in state.positions} == {1, 2}


def test_ties_of_positions_are_as_those_of_orders(state: AccountState) -> None:
    state.on_position(position("1"))
    connected = state.moment
    assert state.take_position(position("2"), connected)
    assert state.on_position(position("3"))
    assert state.take_position(position("4"), connected) is None
    assert state.take_position(position("5", seq=6), connected)


def test_an_empty_position_without_sequence_closes_one_of_before(state: AccountState) -> None:
    state.on_position(position("1"))
    never = position("0", seq=-1, at=0)
    assert state.take_position(never, state.moment)
    assert not state.positions


def test_a_position_that_is_not_there_any_more_is_forgotten(state: AccountState) -> None:
    state.on_position(position("1"))
    gone = state.forget_position(BTC, state.moment)
    assert gone is not None
    assert (gone.size, gone.side) == (0, None)
    assert not state.positions


def test_a_position_told_since_is_not_forgotten(state: AccountState) -> None:
    asked = state.moment
    state.on_position(position("1"))
    assert state.forget_position(BTC, asked) is None
    assert BTC in state.positions


# All of it


def test_any_order_of_repeated_events_ends_at_the_last_state() -> None:
    life = [
        order(status="Untriggered", at=T0),
        order(status="New", at=T0 + 1),
        order(status="New", at=T0 + 2, price=Decimal(101)),
        order(status="PartiallyFilled", done="4", at=T0 + 3, price=Decimal(101)),
        order(status="PartiallyFilled", done="4", at=T0 + 4, price=Decimal(102)),
        order(status="Filled", done="10", at=T0 + 5, price=Decimal(102)),
    ]
    for seed in range(200):
        rng = random.Random(seed)
        last = rng.randrange(len(life))
        events = life[: last + 1] * 2
        rng.shuffle(events)
        state = AccountState()
        connected = 0
        for event in events:
            copy = msgspec.structs.replace(event)
            if rng.random() < 0.5:
                state.on_order(copy)
            else:
                state.take_order(copy, connected)
            connected = state.moment if rng.random() < 0.2 else connected
        found = state.order("o1")
        assert found is not None
        assert (found.order_status, found.cum_exec_qty, found.price, found.updated_time) == (
            life[last].order_status,
            life[last].cum_exec_qty,
            life[last].price,
            life[last].updated_time,
        ), seed


def test_tables_and_memory_are_bounded() -> None:
    state = AccountState(closed_orders=200, known_fills=300, recent_fills=100)

    def trade(numbers: range) -> None:
        for number in numbers:
            name = f"{number:032d}"
            state.on_order(order(name, order_link_id=f"mine-{number}", at=T0 + number))
            state.on_order(order(name, "Filled", done="10", order_link_id=f"mine-{number}", at=T0 + number))
            state.take_fill(fill(name, name, at=T0 + number))
            state.on_position(position("1", symbol=f"BTC-{number}-C", category="option", seq=number))
            state.on_position(position("0", symbol=f"BTC-{number}-C", category="option", seq=number + 1))
            state.on_wallet(wallet(T0 + number, USDT=str(number)))

    tracemalloc.start()
    try:
        trade(range(6_000))  # more than the empty positions that are kept
        before, _ = tracemalloc.get_traced_memory()
        trade(range(6_000, 9_000))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000
    assert (len(state.orders), len(state.closed), len(state.fills), len(state.recent_fills)) == (0, 200, 300, 100)
    sizes = {name: len(table) for name, table in vars(state).items() if hasattr(table, "__len__")}
    assert max(sizes.values()) <= 5_000, sizes


def test_a_state_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="give at least 1"):
        AccountState(closed_orders=0)
    with pytest.raises(ValueError, match="give at least 1"):
        AccountState(known_fills=0)
