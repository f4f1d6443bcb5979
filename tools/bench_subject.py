"""The program under test: `python -m feeder run` of some checkout, on a core of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import yaml
from bench_child import BenchError, bind, cpu_ns, memory

THIS_CHECKOUT = Path(__file__).parent.parent
PARTITIONS = 4
GROUPS = {"A": "239.77.0.0", "B": "239.78.0.0"}
RAW_GROUP = "239.79.0.0"  # of the bare relay
INTERFACE = "127.0.0.1"
_EXPORTER_SECONDS = 20.0
_LOOK_SECONDS = 0.05


def cores() -> tuple[int, int]:
    """The subject's core and everybody else's; the same one if there is no other."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def feed_port() -> int:
    """A base port that no other bench of this machine uses at the same time."""
    return 10_000 + os.getpid() % 100 * 100


class Subject:
    """A running feeder; `with` ends it. `depth` and the addresses as the load has them.

    With `metrics` its exporter serves `metrics_url`; `shard` is `k/n`.
    """

    def __init__(
        self,
        checkout: Path,
        *,
        depth: int,
        websocket: str,
        rest: str,
        port: int,
        metrics: bool = False,
        shard: str | None = None,
    ) -> None:
        listen = f"127.0.0.1:{port + 99}"
        self.metrics_url = f"http://{listen}/metrics"
        self._folder = tempfile.TemporaryDirectory(prefix="feeder-bench-")
        folder = Path(self._folder.name)
        self._log = folder / "feeder.log"
        self._environment = {**os.environ, "PYTHONPATH": str(checkout)}
        config = folder / "feeder.yaml"
        settings = {
            "exchange": {"websocket_url": websocket, "rest_url": rest},
            "subscriptions": [{"category": "linear", "symbols": "all", "depth": depth, "trades": False}],
            "multicast": {
                "port": port,
                "partitions": PARTITIONS,
                "end_of_session_seconds": 0.1,
                "lines": {name: {"group": group, "interface": INTERFACE} for name, group in GROUPS.items()},
            },
            "state": {"directory": str(folder / "state")},
            "control": {"socket": str(folder / "control.sock")},
            "log": {"level": "warning", "format": "json"},
        }
        self._accept(config, settings, (listen,) if metrics else (None, listen))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "feeder", "run", f"--config={config}", *([f"--shard={shard}"] if shard else [])],
                cwd=folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt from the terminal is the bench's affair
                preexec_fn=partial(bind, cores()[0]),
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def check(self) -> None:
        """Raises BenchError when it runs no more."""
        if self._process.poll() is not None:
            raise BenchError(f"feeder ended with {self._process.returncode}: {self.last_words()}")

    def exporter(self) -> int:
        """The process id of its exporter, once that answers. Raises BenchError when it does not."""
        end = time.monotonic() + _EXPORTER_SECONDS
        while time.monotonic() < end:
            self.check()
            try:
                with urllib.request.urlopen(self.metrics_url, timeout=_EXPORTER_SECONDS):
                    return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()[0])
            except OSError:
                time.sleep(_LOOK_SECONDS)
        raise BenchError(f"its exporter does not answer: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it logged."""
        return self._log.read_text("utf-8", errors="replace")[-2000:]

    def logged(self) -> dict[str, int]:
        """How often it said what, at the level of a warning or above."""
        said: Counter[str] = Counter()
        for line in self._log.read_text("utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                said[entry["event"]] += entry.get("suppressed", 1)
            except (ValueError, KeyError, TypeError):
                said[line[:100]] += 1  # a traceback, or the words of another program
        return dict(said)

    def cpu_ns(self) -> int:
        """CPU time of all its threads; programs it started are not part of it."""
        self.check()
        return cpu_ns(self.pid)

    def memory(self) -> dict[str, int]:
        """Bytes: rss, pss, uss, peak."""
        self.check()
        return dict(memory(self.pid))

    def _accept(self, config: Path, settings: dict[str, Any], listens: Sequence[str | None]) -> None:
        """Write the first configuration that the checkout takes: without its exporter, if nobody wants it."""
        for listen in listens:
            config.write_text(yaml.safe_dump({**settings, "telemetry": {"listen": listen}}), "utf-8")
            result = subprocess.run(
                [sys.executable, "-m", "feeder", "check", f"--config={config}"],
                cwd=config.parent,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode == 0:
                return
        raise BenchError(f"feeder check refuses the bench's configuration: {result.stdout}{result.stderr}")
