"""Keys, limits and REST faults of the simulator as its user meets them: over HTTP, in process and as a program."""

import base64
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from feeder.errors import FeederError
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.script import Rest, RestSkew
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.processes import simulator as simulator_process
from tests.unit.simulator.signer import signed

TIME = "/v5/market/time"
BALANCE = "accountType=UNIFIED"
WALLET = f"/v5/account/wallet-balance?{BALANCE}"
ORDER = '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"1000"}'
MARKET = SimulatorConfig(symbols=2, updates_per_second=80.0)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _code(http: aiohttp.ClientSession, url: str, headers: dict[str, Any] | None = None) -> int:
    async with http.get(url, headers=headers) as reply:
        code = (await reply.json())["retCode"]
        assert isinstance(code, int)
        return code


async def _inject(http: aiohttp.ClientSession, url: str, **entry: Any) -> list[str]:
    async with http.post(f"{url}/simulator/faults", json=entry) as reply:
        assert reply.status == 200, await reply.text()
        touched = (await reply.json())["touched"]
        assert isinstance(touched, list)
        return touched


async def test_the_published_key_is_good_at_once_and_no_other(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        assert await _code(http, simulator.rest_url + WALLET, signed(BALANCE)) == 0
        assert await _code(http, simulator.rest_url + WALLET, signed(BALANCE, ApiKey("sim-key", "guess"))) == 10004
        assert await _code(http, simulator.rest_url + WALLET, signed(BALANCE, ApiKey("mine", "sim-secret"))) == 10003
        async with http.get(simulator.rest_url + WALLET) as reply:
            assert reply.status == 401


async def test_keys_given_in_process_may_be_expired_or_bound_or_of_rsa(http: aiohttp.ClientSession) -> None:
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    expired = ApiKey("expired", "s", expired=True)
    bound = ApiKey("bound", "s", addresses=("10.0.0.1",))
    keys = (expired, bound, ApiKey("rsa", public_key_pem=public))
    async with Simulator(SimulatorConfig(symbols=2, keys=keys)) as simulator:
        url = simulator.rest_url + WALLET
        assert await _code(http, url, signed(BALANCE, expired)) == 33004
        assert await _code(http, url, signed(BALANCE, bound)) == 10010
        assert await _code(http, url, signed(BALANCE, DEFAULT_KEY)) == 10003
        headers = signed(BALANCE, ApiKey("rsa", "s"))
        assert await _code(http, url, headers) == 10004
        origin = f"{headers['X-BAPI-TIMESTAMP']}rsa5000{BALANCE}".encode()
        headers["X-BAPI-SIGN"] = base64.b64encode(private.sign(origin, PKCS1v15(), SHA256())).decode()
        assert await _code(http, url, headers) == 0


def test_a_key_that_cannot_be_used_stops_the_simulator_before_it_starts() -> None:
    with pytest.raises(FeederError, match="public key of API key rsa"):
        Simulator(SimulatorConfig(symbols=2, keys=(ApiKey("rsa", public_key_pem="none"),)))


async def test_a_clock_that_a_fault_sets_wrong_is_rests_alone(http: aiohttp.ClientSession) -> None:
    faults = [RestSkew(by=3600)]
    async with Simulator(SimulatorConfig(symbols=2, faults=faults)) as simulator:
        async with http.get(simulator.rest_url + TIME) as reply:
            body = await reply.json()
        told_ms = int(body["result"]["timeNano"]) // 1_000_000
        assert abs(body["time"] - told_ms) < 1000
        assert await _code(http, simulator.rest_url + WALLET, signed(BALANCE)) == 10002
        assert await _code(http, simulator.rest_url + WALLET, signed(BALANCE, at_ms=told_ms)) == 0
        assert await _inject(http, simulator.rest_url, fault="rest_skew", by=0) == ["/v5/"]
        assert await _code(http, simulator.rest_url + WALLET, signed(BALANCE)) == 0


async def test_an_order_whose_answer_is_lost_is_there(http: aiohttp.ClientSession) -> None:
    faults = [Rest(how="lost", method="POST", times=1)]
    async with Simulator(SimulatorConfig(symbols=2, faults=faults)) as simulator:
        with pytest.raises(aiohttp.ClientError):
            await http.post(simulator.rest_url + "/v5/order/create", data=ORDER, headers=signed(ORDER))
        query = "category=linear&symbol=BTCUSDT"
        async with http.get(f"{simulator.rest_url}/v5/order/realtime?{query}", headers=signed(query)) as reply:
            rows = (await reply.json())["result"]["list"]
        assert [(row["side"], Decimal(row["price"]), row["orderStatus"]) for row in rows] == [("Buy", 1000, "New")]


async def test_an_order_that_is_refused_on_request_is_not_there(http: aiohttp.ClientSession) -> None:
    faults = [Rest(ret_code=10016, method="POST", path="/v5/order/", times=1)]
    async with Simulator(SimulatorConfig(symbols=2, faults=faults)) as simulator:
        url = simulator.rest_url + "/v5/order/create"
        async with http.post(url, data=ORDER, headers=signed(ORDER)) as reply:
            assert (await reply.json())["retCode"] == 10016
        query = "category=linear&symbol=BTCUSDT"
        async with http.get(f"{simulator.rest_url}/v5/order/realtime?{query}", headers=signed(query)) as reply:
            assert (await reply.json())["result"]["list"] == []


async def test_the_program_takes_keys_and_limits_and_faults(http: aiohttp.ClientSession) -> None:
    options = ("--symbols=2", "--key=first:secret-1", "--key=second:secret-2", "--rest-limits")
    async with simulator_process(*options) as (program, addresses):
        url = addresses.rest
        first, second = ApiKey("first", "secret-1"), ApiKey("second", "secret-2")
        assert await _code(http, url + WALLET, signed(BALANCE, first)) == 0
        assert await _code(http, url + WALLET, signed(BALANCE, second)) == 0
        assert await _code(http, url + WALLET, signed(BALANCE)) == 10003
        touched = await _inject(http, url, fault="rest_limit", path="/v5/account/", requests=1, window=600)
        assert touched == ["/v5/account/"]
        assert await _code(http, url + WALLET, signed(BALANCE, first)) == 10006
        await _inject(http, url, fault="rest", ret_code=10016, times=1, path="/v5/market/")
        assert await _code(http, url + TIME) == 10016
        for _ in range(10_000):  # sooner or later there are 600 within 5 s, however busy the machine is
            async with http.get(url + TIME) as reply:
                if reply.status != 200:
                    break
                await reply.read()
        assert reply.status == 403
        assert await program.end() == 0
        assert "secret-1" not in program.log
