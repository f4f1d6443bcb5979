"""The bench's Prometheus: asks a feeder's exporter for its metrics at a steady pace. Knows nothing of feeder's code.

`bench_scraper.py URL`; lines on its input say:

    {"do": "start", "period": 1}    ask at once, and again every second
    {"do": "stop"}                  no more; what came of it
"""

import json
import sys
import threading
import time
import urllib.request
from typing import Any

from bench_child import reply

_ANSWER_SECONDS = 10.0  # Prometheus' own patience


class Scraper:
    """Asks in a thread of its own, so that commands are heard meanwhile."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seconds: list[float] = []
        self._failed: list[str] = []
        self._size = self._samples = 0

    def start(self, period: float) -> None:
        """Begin to ask."""
        self._stop.clear()
        self._seconds, self._failed = [], []
        self._thread = threading.Thread(target=self._run, args=(period,))
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """Seconds that each answer took, what failed, and the size of the last answer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return {"seconds": self._seconds, "failed": self._failed, "bytes": self._size, "samples": self._samples}

    def _run(self, period: float) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += period
            began = time.monotonic()
            try:
                with urllib.request.urlopen(self._url, timeout=_ANSWER_SECONDS) as answer:
                    body = answer.read()
            except OSError as error:
                self._failed.append(str(error))
            else:
                self._seconds.append(time.monotonic() - began)
                self._size = len(body)
                self._samples = sum(not line.startswith(b"#") for line in body.splitlines())


def main() -> None:
    """Until standard input ends."""
    scraper = Scraper(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        match command["do"]:
            case "start":
                scraper.start(command["period"])
                reply(None)
            case "stop":
                reply(scraper.stop())
            case other:
                reply({"error": f"cannot {other!r}"})
    scraper.stop()


if __name__ == "__main__":
    main()
