"""The account: what is sent, and what the venue's answers are read as."""

from decimal import Decimal

from feeder.bybit.rest.endpoints import typed
from feeder.bybit.rest.results.account import AccountInfo, CoinBalance, FeeRate, Wallet

from .recorder import Recorder, assert_same, raw_result, unseen


async def test_every_field_of_the_answers_is_there_with_its_value() -> None:
    seen: set[tuple[type, str]] = set()
    wallet = await Recorder("wallet-balance").wallet_balance()
    assert_same(wallet.result, raw_result("wallet-balance"), "wallet", seen)
    linear = await Recorder("fee-rates-linear").fee_rates("linear")
    assert_same(linear.result, raw_result("fee-rates-linear"), "linear", seen)
    option = await Recorder("fee-rates-option").fee_rates("option", base_coin="SOL")
    assert_same(option.result, raw_result("fee-rates-option"), "option", seen)
    info = await Recorder("account-info").account_info()
    assert_same(info.result, raw_result("account-info"), "info", seen)
    assert unseen(seen, Wallet, CoinBalance, FeeRate, AccountInfo) == set()


async def test_the_wallet_is_asked_for_with_its_type_and_some_coins() -> None:
    venue = Recorder("wallet-balance", "wallet-balance")
    await venue.wallet_balance()
    assert venue.sent == [(typed.WALLET_BALANCE, {"accountType": "UNIFIED"})]
    await venue.wallet_balance(coin="USDT,USDC")
    assert venue.parameters == {"accountType": "UNIFIED", "coin": "USDT,USDC"}


async def test_a_wallet_has_its_totals_and_coins() -> None:
    (wallet,) = (await Recorder("wallet-balance").wallet_balance()).result.entries
    assert wallet.total_equity == Decimal("10460.00286")
    assert wallet.account_im_rate == Decimal("0.0382")
    assert wallet.total_perp_upl == Decimal("17.25")
    usdt, sol = wallet.coins
    assert usdt.available_to_withdraw is None
    assert sol.total_order_im is None
    assert (usdt.collateral_switch, sol.collateral_switch) == (True, False)


async def test_fees_are_per_symbol_or_of_options_per_coin() -> None:
    venue = Recorder("fee-rates-linear", "fee-rates-option")
    (linear,) = (await venue.fee_rates("linear", symbol="SOLUSDT")).result.entries
    assert venue.parameters == {"category": "linear", "symbol": "SOLUSDT"}
    assert linear == FeeRate("SOLUSDT", None, Decimal("0.00055"), Decimal("-0.00005"))
    (option,) = (await venue.fee_rates("option", base_coin="SOL")).result.entries
    assert venue.parameters == {"category": "option", "baseCoin": "SOL"}
    assert option == FeeRate(None, "SOL", Decimal("0.0003"), Decimal("0.0002"))


async def test_the_account_s_settings_need_no_parameters() -> None:
    venue = Recorder("account-info")
    info = (await venue.account_info()).result
    assert venue.sent == [(typed.ACCOUNT_INFO, {})]
    assert (info.margin_mode, info.is_master_trader, info.updated_time) == ("REGULAR_MARGIN", False, 1780000000000)
