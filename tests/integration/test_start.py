"""What is wrong at the start: a mistake in the file is 78, what the machine lacks now is 1, the rest costs no book."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from tests.helpers.processes import feeder, multicast_section, simulator


def settings(websocket: str = "ws://127.0.0.1:9", rest: str = "http://127.0.0.1:9", **more: Any) -> dict[str, Any]:
    return {
        "exchange": {"websocket_url": websocket, "rest_url": rest},
        "subscriptions": [{"category": "linear", "symbols": "all"}],
        "multicast": multicast_section(),
        "control": {"socket": None},
        "log": {"format": "json"},
        **more,
    }


async def ended(folder: Path, given: dict[str, Any]) -> tuple[int, str]:
    """(exit code, what was said) of a feeder that cannot run."""
    async with feeder(folder, given) as program:
        return await asyncio.wait_for(program.process.wait(), 20), program.log


async def test_a_port_in_use_is_exit_1_and_named(tmp_path):
    given = settings()
    port = given["multicast"]["port"] + 2 * 16 + 5
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # shared, each request would reach one of the two
        other.bind(("127.0.0.1", port))
        code, said = await ended(tmp_path, given)
    assert code == 1
    assert f"multicast.port: cannot listen for retransmit requests on 127.0.0.1:{port}: Address already in use" in said
    assert "Traceback" not in said


async def test_an_interface_that_is_not_there_yet_is_exit_1_and_named(tmp_path):
    given = settings()
    given["multicast"]["lines"]["B"]["interface"] = "nosuch0"
    code, said = await ended(tmp_path, given)
    assert code == 1
    assert "multicast.lines.B.interface: no interface 'nosuch0'; wait until it is there" in said


async def test_a_bad_configuration_is_exit_78_with_key_and_remedy(tmp_path):
    code, said = await ended(tmp_path, settings(queue={"capacity": 0}))
    assert code == 78
    assert "queue.capacity: 0 updates; use at least 1" in said
    assert "Traceback" not in said


async def test_a_state_directory_that_cannot_be_used_costs_the_copy_and_no_book(tmp_path):
    (tmp_path / "file").touch()
    async with simulator("--symbols=3", "--updates-per-second=30") as (_, exchange):
        given = settings(exchange.websocket, exchange.rest, state={"directory": str(tmp_path / "file" / "state")})
        async with feeder(tmp_path, given) as program:
            await program.wait_for_log("book live")
            lines = [json.loads(line) for line in program.log.splitlines()]
            (said,) = [line for line in lines if line["event"] == "instruments not kept"]
            assert said["level"] == "warning"
            assert str(tmp_path / "file" / "state") in said["error"]
            assert await program.end() == 0


async def test_a_copy_that_cannot_be_read_is_named_while_rest_is_down_and_does_not_end_the_feeder(tmp_path):
    (tmp_path / "state" / "instruments-linear.json").mkdir(parents=True)
    async with feeder(tmp_path, settings(state={"directory": str(tmp_path / "state")})) as program:
        await program.wait_for_log("instruments not loaded")
        assert f"the copy {tmp_path}/state/instruments-linear.json is unreadable" in program.log
        assert await program.end() == 0


async def test_a_venue_that_leaves_a_request_unanswered_is_asked_again_soon(tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text("- {fault: rest, how: hang, times: 1}", "utf-8")
    async with (
        simulator("--symbols=3", "--updates-per-second=30", f"--faults={script}") as (_, exchange),
        feeder(tmp_path, settings(exchange.websocket, f"{exchange.rest}/")) as program,
    ):
        async with asyncio.timeout(10):  # 5 s for a request; a book that waits for its scale is held for 10 s
            await program.wait_for_log("book live")
        assert await program.end() == 0
