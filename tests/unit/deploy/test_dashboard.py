"""The dashboard as Grafana 9 and newer read it; that its panels show something is seen in tests/integration."""

import re

import pytest

from tests.helpers import grafana
from tests.unit.deploy.support import alerts, unknown_names

DOCUMENT = grafana.load()
PANELS = [panel for panel in DOCUMENT["panels"] if panel["type"] != "row"]
ROWS = ["Is it well", "Books", "Exchange", "Latency", "Multicast", "Consumers' losses", "Process"]
VARIABLES = {"job": "feeder", "instance": "a|b", "__rate_interval": "20s"}
OF_PROMETHEUS = r"\b(up|ALERTS|scrape_duration_seconds)\{"


def test_its_rows_go_from_the_question_to_the_causes():
    assert [panel["title"] for panel in DOCUMENT["panels"] if panel["type"] == "row"] == ROWS
    assert {panel.row for panel in grafana.panels(DOCUMENT, VARIABLES)} == set(ROWS)


def test_every_panel_has_a_title_of_its_own_a_description_a_unit_and_named_series():
    assert DOCUMENT["schemaVersion"] >= 37
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len({panel["id"] for panel in DOCUMENT["panels"]}) == len(DOCUMENT["panels"])
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["type"] in {"stat", "timeseries", "state-timeline"}
        if panel["type"] != "stat":
            assert panel["options"]["legend"]["showLegend"]
        for target in panel["targets"]:
            assert target["legendFormat"], panel["title"]


def test_every_expression_asks_the_chosen_prometheus_for_the_chosen_feeders_only():
    variables = {each["name"]: each for each in DOCUMENT["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["instance"]["multi"]
    assert variables["job"]["type"] == variables["instance"]["type"] == "query"
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            assert panel["datasource"]["uid"] == target["datasource"]["uid"] == "${datasource}"
            selectors = len(re.findall(r"\bfeeder_\w+\{", expression)) + len(re.findall(OF_PROMETHEUS, expression))
            assert selectors == expression.count('job=~"$job", instance=~"$instance"') > 0, expression


def test_panels_use_only_what_feeder_serves_and_speak_only_of_alerts_that_there_are():
    for panel in grafana.panels(DOCUMENT, VARIABLES):
        for target in panel.targets:
            assert not unknown_names(target.expression), panel.title
        assert set(re.findall(r"\bFeeder[A-Z]\w+", panel.description)) <= alerts().keys()


def test_no_panel_lies_over_another():
    taken: dict[tuple[int, int], str] = {}
    for panel in DOCUMENT["panels"]:
        at = panel["gridPos"]
        for column in range(at["x"], at["x"] + at["w"]):
            for line in range(at["y"], at["y"] + at["h"]):
                assert column < 24
                assert taken.setdefault((column, line), panel["title"]) == panel["title"]


def test_a_series_is_named_by_its_labels_and_an_unknown_variable_is_told():
    assert (
        grafana.Target("x", "{{category}}:{{symbol}}").name({"category": "spot", "symbol": "BTCUSDT"}) == "spot:BTCUSDT"
    )
    with pytest.raises(ValueError, match="instance"):
        list(grafana.panels(DOCUMENT, {"job": "feeder"}))
