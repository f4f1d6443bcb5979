"""A real Prometheus on a folder and a port of its own, its HTTP interface, and the shipped rules at a faster pace."""

import asyncio
import json
import re
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = ("recording.yml", "alerts.yml")
LEAST_RANGE = 3.0
"""Seconds that no range is made shorter than: the counters are copied once a second, and a rate needs two of them."""

_READY_SECONDS = 30.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_RANGE = re.compile(r"\[(\w+)\]")

Labels = dict[str, str]


def seconds_of(duration: str) -> float:
    """Of a duration as Prometheus writes it, such as 1h30m. ValueError if it is none."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration such as 90s or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def hastened(rules: str, factor: float) -> str:
    """A rule file in which everything takes a `factor`th of its time, for an incident that is to last seconds.

    Each `for` and each range in brackets is divided by it (ranges down to LEAST_RANGE); nothing else is touched. So
    rates, ratios and quantiles keep their thresholds, and an `increase` needs the same count in less time.
    """
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _RANGE.sub(lambda found: f"[{_shorter(found[1], factor, LEAST_RANGE)}]", rule["expr"])
            if "for" in rule:
                rule["for"] = _shorter(rule["for"], factor, 0.0)
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def _shorter(duration: str, factor: float, least: float) -> str:
    return f"{round(max(least, seconds_of(duration) / factor) * 1000)}ms"


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: its labels, and its values with their times, Unix seconds."""

    labels: Labels
    points: Sequence[tuple[float, float]]


class Prometheus:
    """Asks one over HTTP. Raises RuntimeError with what it says when it cannot answer a query."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    async def instant(self, expression: str) -> list[Series]:
        """The value now of each series."""
        data = await self._get("query", query=expression)
        if data["resultType"] == "scalar":
            return [Series({}, [_point(data["result"])])]
        return [Series(each["metric"], [_point(each["value"])]) for each in data["result"]]

    async def range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """The values of each series from `start` to `end`, Unix seconds, every `step` seconds."""
        data = await self._get("query_range", query=expression, start=start, end=end, step=step)
        return [Series(each["metric"], [_point(value) for value in each["values"]]) for each in data["result"]]

    async def firing(self) -> dict[str, list[Labels]]:
        """The labels of the alerts that fire, by name."""
        found: dict[str, list[Labels]] = {}
        for alert in (await self._get("alerts"))["alerts"]:
            if alert["state"] == "firing":
                labels: Labels = dict(alert["labels"])
                found.setdefault(labels.pop("alertname"), []).append(labels)
        return found

    async def rule_errors(self) -> list[str]:
        """What went wrong with rules, by name, at their last evaluation."""
        groups = (await self._get("rules"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]

    async def _get(self, path: str, **parameters: str | float) -> Any:
        return await asyncio.to_thread(_fetch, f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")


def _point(value: Sequence[Any]) -> tuple[float, float]:
    return float(value[0]), float(value[1])


def _fetch(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return json.load(reply)["data"]
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(f"{url}: {error.read().decode(errors='replace')}") from error


def configuration(target: str, folder: Path, *, interval: float, factor: float) -> Path:
    """The shipped prometheus.yml and rules in `folder`, for this target, at this pace; the path of the former."""
    document = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    every = f"{round(interval * 1000)}ms"
    document["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    (job,) = document["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    for name in RULES:
        rules = (DEPLOY / name).read_text("utf-8")
        (folder / name).write_text(rules if factor == 1 else hastened(rules, factor), "utf-8")
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def free_port() -> int:
    """A TCP port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def prometheus(config: Path, program: str = "prometheus") -> AsyncIterator[Prometheus]:
    """A Prometheus with this configuration, ready; its data are beside it, and go with it."""
    data, said = config.parent / "prometheus-data", config.parent / "prometheus.log"
    port = free_port()
    with said.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not await asyncio.to_thread(_is_ready, f"http://127.0.0.1:{port}/-/ready"):
                if process.returncode is not None:
                    raise RuntimeError(f"prometheus ended: {said.read_text('utf-8', errors='replace')}")
                await asyncio.sleep(0.1)
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        if process.returncode is None:
            process.kill()  # nothing of it is kept
            await process.wait()
        shutil.rmtree(data, ignore_errors=True)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
