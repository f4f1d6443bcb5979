"""The runbook: what each page must tell, and that its commands are commands."""

import argparse
import re
import shlex

import pytest

from feeder.ctl import cli as ctl
from feeder.listen import options as listen
from tests.unit.deploy.support import RUNBOOK, alerts, page, samples

ALERTS = sorted(alerts())
SECTIONS = [
    "What it means",
    "What a trader downstream sees",
    "Finding the cause",
    "What to do",
    "When it clears",
]
_UNITS = {"s": "s", "m": "min"}


@pytest.mark.parametrize("alert", ALERTS)
def test_a_page_says_how_grave_it_is_and_what_to_know_and_do(alert):
    rule = alerts()[alert]
    lines = page(alert).read_text("utf-8").splitlines()
    number, unit = rule["for"][:-1], rule["for"][-1]
    after = "at once" if number == "0" else f"after {number} {_UNITS[unit]}"
    assert lines[:3] == [f"# {alert}", "", f"{rule['labels']['severity']}, {after}"]
    heads = [number for number, line in enumerate(lines) if line.startswith("## ")]
    assert [lines[number][3:] for number in heads] == SECTIONS
    assert all(any(lines[head + 1 : end]) for head, end in zip(heads, [*heads[1:], len(lines)], strict=True))


def commands(program: str) -> list[str]:
    """What the runbook has one type, without what stands behind it for the reader."""
    found = []
    for path in RUNBOOK.iterdir():
        text = path.read_text("utf-8")
        typed = re.findall(rf"^    ({program}.*)$", text, re.MULTILINE) + re.findall(rf"`({program}[^`]*)`", text)
        found += [" ".join(re.split(r"\s{3,}|\||;", command)[0].split()) for command in typed]
    return found


def test_every_feeder_ctl_command_is_one():
    parser = argparse.ArgumentParser()
    ctl.add_arguments(parser)
    found = commands("feeder ctl ")
    assert {"status", "books", "top", "resync", "reload", "log-level"} <= {command.split()[2] for command in found}
    for command in found:
        parser.parse_args(shlex.split(command.removesuffix(" ...").replace("CATEGORY:SYMBOL", "linear:BTCUSDT"))[2:])


def test_every_feeder_listen_command_is_one():
    found = commands("feeder-listen ")
    assert found
    for command in found:
        listen.parse(shlex.split(command)[1:])


def test_the_metrics_and_alerts_that_pages_name_exist():
    names = samples() | {name.removesuffix("_bucket") for name in samples()}
    for path in RUNBOOK.iterdir():
        text = path.read_text("utf-8")
        assert set(re.findall(r"\bfeeder_[a-z_]+\b", text)) <= names, path
        assert set(re.findall(r"\bFeeder[A-Z]\w+", text)) <= set(ALERTS), path
