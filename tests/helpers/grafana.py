"""The dashboard as Grafana reads it: its panels, and their expressions as Grafana would send them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "feeder.json"


@dataclass(frozen=True, slots=True)
class Target:
    """One expression of a panel, and what a series of it is called."""

    expression: str
    legend: str

    def name(self, labels: Mapping[str, str]) -> str:
        """Of the series with these labels."""
        text = self.legend
        for label, value in labels.items():
            text = text.replace(f"{{{{{label}}}}}", value)
        return text


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, and the row it stands in."""

    row: str
    title: str
    kind: str
    description: str
    unit: str
    targets: tuple[Target, ...]
    source: Mapping[str, Any]


def load() -> dict[str, Any]:
    """The dashboard's JSON."""
    document: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return document


def panels(document: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[Panel]:
    """Every panel but the rows, in order. `variables` are Grafana's: `instance` for `$instance`, `__rate_interval`."""
    row = ""
    for found in document["panels"]:
        if found["type"] == "row":
            row = found["title"]
            continue
        targets = [Target(_filled(each["expr"], variables), each["legendFormat"]) for each in found["targets"]]
        unit = found["fieldConfig"]["defaults"]["unit"]
        yield Panel(row, found["title"], found["type"], found["description"], unit, tuple(targets), found)


def _filled(expression: str, variables: Mapping[str, str]) -> str:
    for name in sorted(variables, key=len, reverse=True):
        expression = expression.replace(f"${name}", variables[name])
    if "$" in expression:
        raise ValueError(f"{expression} has a variable that is none of {', '.join(variables)}")
    return expression
