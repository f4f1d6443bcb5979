"""The rules that are shipped: promtool's view of them, and that nothing about an alert is missing."""

import re
import subprocess

import pytest
import yaml

from tests.helpers.prometheus import DEPLOY, RULES, hastened, seconds_of
from tests.helpers.require import require
from tests.unit.deploy.support import PROMTOOL_TESTS, RUNBOOK, alerts, recorded, rules, scenarios, unknown_names

ALERTS = sorted(alerts())
ORDINARY = "ordinary.yml"


def promtool(*arguments: str) -> str:
    done = subprocess.run([require("promtool"), *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_reads_the_configuration_and_every_rule():
    said = promtool("check", "config", "prometheus.yml")
    assert f"{len(RULES)} rule files found" in said
    assert sum(map(int, re.findall(r"SUCCESS: (\d+) rules found", said))) == len(rules())


@pytest.mark.parametrize("path", PROMTOOL_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_clear_as_promtool_is_told(path):
    assert "SUCCESS" in promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS)
def test_of_every_alert_it_is_shown_that_it_waits_fires_clears_and_is_silent_when_all_is_well(alert):
    fires, silent = [], False
    for name, test in scenarios():
        looks = [look for look in test["alert_rule_test"] if look["alertname"] == alert]
        looks.sort(key=lambda look: seconds_of(look["eval_time"]))
        expected = [bool(look.get("exp_alerts")) for look in looks]
        if name == ORDINARY:
            silent = len(looks) >= 5 and not any(expected)
        elif any(expected):
            fires.append(expected)
    assert [False, True, False] in fires
    assert silent


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_how_grave_it_is_what_it_is_and_where_to_read_on(alert):
    rule = alerts()[alert]
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert seconds_of(rule["for"]) >= 0
    told = rule["annotations"]
    assert told.keys() == {"summary", "description", "runbook_url"}
    assert told["runbook_url"] == f"deploy/runbook/{alert}.md"
    assert len(told["summary"]) < 100
    if "up" not in rule["expr"] and "absent" not in rule["expr"] and " == 0" not in rule["expr"]:
        assert "$value" in told["summary"] + told["description"]


def test_there_is_a_page_per_alert_and_none_more():
    assert sorted(path.stem for path in RUNBOOK.iterdir()) == ALERTS


def test_rules_use_only_what_feeder_serves_or_a_rule_records():
    for rule in rules():
        assert not unknown_names(rule["expr"]), rule
    for name, test in scenarios():
        for series in test["input_series"]:
            assert not unknown_names(series["series"]), name


def test_what_is_recorded_is_named_for_its_level_its_metric_and_its_operation():
    levels = {"instance", "instance_line", "instance_stage", "job", "job_line"}
    for name in recorded():
        level, metric, operation = name.split(":")
        assert level in levels
        assert metric.startswith("feeder_")
        assert operation


def test_faster_rules_are_the_same_rules_at_another_pace():
    rule = {
        "alert": "A",
        "expr": "increase(a[5m]) > 5 and b[1h30m] > 300",
        "for": "30s",
        "labels": {"severity": "page"},
    }
    text = yaml.safe_dump({"groups": [{"name": "g", "rules": [rule, {"record": "r", "expr": "rate(a[30s])"}]}]})
    (group,) = yaml.safe_load(hastened(text, 20))["groups"]
    assert group["rules"][0] == {**rule, "expr": "increase(a[15000ms]) > 5 and b[270000ms] > 300", "for": "1500ms"}
    assert group["rules"][1]["expr"] == "rate(a[3000ms])", "a rate needs some scrapes"
    with pytest.raises(ValueError, match="no duration"):
        seconds_of("5 minutes")
