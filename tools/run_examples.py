"""Run every example of tools/examples against an exchange simulator of its own, and show what each prints.

    make examples        or: .venv/bin/python tools/run_examples.py [NAME ...]

Exit code 0: each ended with 0.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from feeder.log import configure
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.server import Simulator, SimulatorConfig

EXAMPLES = Path(__file__).parent / "examples"
SECONDS = 60.0
"""At most, for each."""


async def run(names: list[str]) -> int:
    """The exit code of the worst."""
    worst = 0
    async with Simulator(SimulatorConfig(categories=("linear", "spot"))) as simulator:
        # Nothing of the account that whoever runs this may have.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BYBIT_")}
        environment |= {"BYBIT_API_KEY": DEFAULT_KEY.key, "BYBIT_API_SECRET": DEFAULT_KEY.secret}
        whole = {"BYBIT_BASE_URL": simulator.rest_url, "BYBIT_WEBSOCKET__URL": simulator.websocket_url}
        for path in sorted(EXAMPLES.glob("*.py")):
            if names and path.stem not in names:
                continue
            print(f"--- {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}", flush=True)
            of_rest = path.stem.startswith("rest_")  # those take an address; the others take all from the environment
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(path), *([f"--rest-url={simulator.rest_url}"] if of_rest else [])),
                env=environment if of_rest else environment | whole,
            )
            code: int | str
            try:
                code = await asyncio.wait_for(process.wait(), SECONDS)
            except TimeoutError:
                code = f"nothing within {SECONDS:g} s"
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if code:
                print(f"--- it ended with {code}")
                worst = 1
    return worst


def main() -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(description="Run the examples against the exchange simulator.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as rest_public; without one, all")
    args = parser.parse_args()
    unknown = set(args.names) - {path.stem for path in EXAMPLES.glob("*.py")}
    if unknown:
        parser.error(f"no such example: {', '.join(sorted(unknown))}")
    configure("warning")
    return asyncio.run(run(args.names))


if __name__ == "__main__":
    sys.exit(main())
