"""What is shipped for Prometheus, as data."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from feeder.telemetry.metrics import METRICS, Type
from tests.helpers.prometheus import DEPLOY, RULES

RUNBOOK = DEPLOY.parent / "runbook"
PROMTOOL_TESTS = sorted((DEPLOY / "tests").glob("*.yml"))
_METRIC = re.compile(r"(?<![\w:])feeder_\w+")


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule, recording ones first."""
    groups = [group for name in RULES for group in yaml.safe_load((DEPLOY / name).read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """By name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    """The names of what is recorded."""
    return {rule["record"] for rule in rules() if "record" in rule}


def samples() -> set[str]:
    """The names of all that a feeder's /metrics can have."""
    plain = {metric.name for metric in METRICS if metric.type is not Type.HISTOGRAM}
    return plain | {
        f"{m.name}_{part}" for m in METRICS if m.type is Type.HISTOGRAM for part in ("bucket", "sum", "count")
    }


def unknown_names(expression: str) -> set[str]:
    """Names in an expression of what neither /metrics nor a rule brings."""
    aggregated = set(re.findall(r"\b\w+:feeder_\w+:\w+", expression))
    return (aggregated - recorded()) | (set(_METRIC.findall(expression)) - samples())


@cache
def scenarios() -> list[tuple[str, dict[str, Any]]]:
    """Everything that promtool is told to test: the file's name, and the test."""
    found = [(path.name, yaml.safe_load(path.read_text("utf-8"))["tests"]) for path in PROMTOOL_TESTS]
    return [(name, test) for name, tests in found for test in tests]


def page(alert: str) -> Path:
    """Its page in the runbook."""
    return RUNBOOK / f"{alert}.md"
