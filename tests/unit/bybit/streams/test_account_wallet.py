"""The rules by which a wallet is merged."""

from decimal import Decimal

import pytest

from feeder.bybit.streams.account_state import AccountState
from feeder.bybit.streams.messages import WalletUpdate

from .account_rows import T0, coin, wallet


@pytest.fixture
def state() -> AccountState:
    return AccountState()


def test_only_coins_that_changed_are_told(state: AccountState) -> None:
    state.on_wallet(wallet(USDT="10", BTC="1"))
    told = state.on_wallet(wallet(T0 + 1, USDT="9", BTC="1"))
    assert told is not None
    assert [each.coin for each in told.coins] == ["USDT"]
    assert state.on_wallet(wallet(T0 + 2, USDT="9")) is None
    assert {name: each.wallet_balance for name, each in state.coins.items()} == {"USDT": 9, "BTC": 1}


def test_an_older_wallet_changes_nothing(state: AccountState) -> None:
    state.on_wallet(wallet(T0 + 5, USDT="10"))
    assert state.on_wallet(wallet(T0 + 4, USDT="9")) is None
    assert state.coins["USDT"].wallet_balance == 10
    assert state.on_wallet(wallet(T0 + 5, USDT="8"))  # of one millisecond, the last


def test_rest_replaces_the_wallet_but_for_what_came_since_it_was_asked(state: AccountState) -> None:
    state.on_wallet(wallet(USDT="10", BTC="1", ETH="5"))
    asked = state.moment
    state.on_wallet(wallet(T0 + 5, USDT="20"))
    told = state.take_wallet(wallet(USDT="11", BTC="2"), asked, T0 + 9)
    assert told is not None
    assert {each.coin: each.wallet_balance for each in told.coins} == {"BTC": 2, "ETH": 0}
    assert {name: each.wallet_balance for name, each in state.coins.items()} == {"USDT": 20, "BTC": 2}


def test_an_event_made_before_rest_s_answer_and_told_after_it_counts(state: AccountState) -> None:
    state.take_wallet(wallet(USDT="11"), state.moment, T0 + 9)
    assert state.on_wallet(wallet(T0 + 5, USDT="12"))
    assert state.coins["USDT"].wallet_balance == 12
    assert state.totals is not None
    assert state.totals.creation_time == T0 + 5
    assert not state.totals.coins


def test_the_wallet_of_another_account_is_not_this_one_s(state: AccountState) -> None:
    state.on_wallet(wallet(BTC="1"))
    inverse = wallet(T0 + 1, BTC="5")
    inverse.account_type = "CONTRACT"
    assert state.on_wallet(inverse) is None
    assert state.coins["BTC"].wallet_balance == 1
    assert state.totals is not None
    assert state.totals.account_type == "UNIFIED"


def test_a_coin_told_as_zero_is_gone_when_rest_does_not_list_it(state: AccountState) -> None:
    state.on_wallet(wallet(BTC="0"))
    assert state.take_wallet(wallet(), state.moment, T0) is None
    assert not state.coins


def test_the_account_as_a_whole_is_of_its_latest_event(state: AccountState) -> None:
    def of(at: int, equity: int) -> WalletUpdate:
        told = wallet(at)
        told.total_equity = Decimal(equity)
        return told

    connected = state.moment
    state.on_wallet(of(T0 + 5, 10))
    state.on_wallet(of(T0 + 4, 9))
    state.take_wallet(of(T0 + 9, 8), connected, T0 + 9)
    assert state.totals is not None
    assert state.totals.total_equity == 10
    state.take_wallet(of(T0 + 9, 7), state.moment, T0 + 9)
    assert state.totals.total_equity == 7


def test_coins_compare_by_value(state: AccountState) -> None:
    state.on_wallet(wallet(USDT="10.0"))
    assert state.on_wallet(wallet(USDT="10")) is None
    assert state.coins["USDT"] == coin("USDT", "10")
