"""The bench's Prometheus, what a reader is shown of the scrape scenario, and the limits it is held to."""

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bench_report import LIMITS
from bench_scrape import text
from bench_scraper import Scraper

BODY = b"# HELP feeder_up 1 while it turns\n# TYPE feeder_up gauge\nfeeder_up 1.0\nfeeder_books 3.0\n"


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Handler.asked += 1
        self.send_response(200 if Handler.asked != 2 else 500)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked = 0
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def asked(times: int) -> None:
    end = time.monotonic() + 20
    while Handler.asked < times:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_answers_are_timed_and_what_is_none_is_counted(url: str) -> None:
    scraper = Scraper(url)
    scraper.start(0.05)
    asked(4)
    told = scraper.stop()
    assert len(told["failed"]) == 1
    assert "500" in told["failed"][0]
    assert len(told["seconds"]) >= 2
    assert (told["bytes"], told["samples"]) == (len(BODY), 2)
    before = Handler.asked
    scraper.start(60)
    asked(before + 1)
    assert (len(scraper.stop()["seconds"]), Handler.asked) == (1, before + 1), "each turn by itself"


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": value - 0.1, "max": value + 0.1}


def window(**changed: Any) -> dict[str, Any]:
    return {"starved_percent": 0.5, "lost_by_listener": 0, "folded": 0, **changed}


FIGURES: dict[str, Any] = {
    "seed": 3,
    "symbols": 1000,
    "rate": 20_000.0,
    "ratios": {"CPU per update": spread(1.01), "latency p99": spread(1.02)},
    "scrapes": 32,
    "failed": 1,
    "samples": 8512,
    "bytes": 626_000,
    "answer_seconds": spread(0.3),
    "exporter_cpu_seconds_per_scrape": 0.25,
    "books": {"compared": 1000, "equal": 999},
    "without": [window()] * 4,
    "with": [window()] * 4,
}


def test_every_figure_is_told() -> None:
    told = text(FIGURES)
    for part in ("seed 3", "1,000 symbols", "20,000 updates/s", "8,512 samples", "4 pairs", "1.020 (0.920 to 1.120)"):
        assert part in told
    for part in ("32 answers of 626 kB", "0.30 (0.20 to 0.40) s, 1 failed", "0.25 s CPU", "999 of 1000"):
        assert part in told
    assert "NOTE" not in told
    assert "up to 30 % of a window" in text({**FIGURES, "with": [window(), window(starved_percent=30.0)]})


def test_a_scrape_without_an_answer_and_a_book_that_differs_miss_their_limits() -> None:
    limits = [limit for limit in LIMITS if limit.scenario == "scrape"]
    assert [limit.line(FIGURES).split()[0] for limit in limits] == ["MISSED", "MISSED"]
    sound = {**FIGURES, "failed": 0, "books": {"compared": 1000, "equal": 1000}}
    assert [limit.line(sound).split()[0] for limit in limits] == ["ok", "ok"]
