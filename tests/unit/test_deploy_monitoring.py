"""Rules and dashboard: right by Prometheus's own tool, and whole."""

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.deploy import DASHBOARD, DEPLOY, RULES, panels, queries, rules, run

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
ALERTS = {
    "BackfilldDown",
    "BackfilldStalled",
    "BackfilldStuck",
    "BackfilldDatesFailed",
    "BackfilldProcessorPaused",
    "BackfilldTableHeld",
    "BackfilldWarehouseErrors",
    "BackfilldRegressed",
    "BackfilldPausedTooLong",
    "BackfilldHeldTooLong",
    "BackfilldNotifyFailing",
    "BackfilldBackupFailing",
    "BackfilldEtaSlipping",
}


def alerts():
    return [rule for rule in rules() if "alert" in rule]


@pytest.mark.packages
def test_the_rules_are_right_by_promtool():
    assert "SUCCESS" in run("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert "SUCCESS" in run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


@pytest.mark.packages
def test_every_alert_fires_when_it_should_and_not_before():
    tests = DEPLOY / "prometheus" / "backfilld.rules.test.yml"
    assert "SUCCESS" in run("promtool", "test", "rules", tests)
    untested = {name for name in ALERTS if name not in tests.read_text(encoding="utf-8")}
    assert not untested


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    assert {rule["alert"] for rule in alerts()} == ALERTS
    headings = re.findall(r"^### (\w+)$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["dashboard"] == f"/d/{DASHBOARD['uid']}"
        assert rule["alert"] in headings, f"docs/operations.md has no section {rule['alert']}"


def test_recorded_series_are_named_by_level_metric_and_operation():
    for rule in rules():
        assert "alert" in rule or re.fullmatch(r"[a-z_]+:backfilld_[a-z_]+:[a-z0-9_]+", rule["record"])


def test_the_dashboard_can_be_provisioned_anywhere():
    # Given no id and no data source of its own
    assert DASHBOARD["id"] is None
    assert DASHBOARD["uid"] == "backfilld"
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "instance", "processor"]
    # Then every query goes where its reader chooses, and asks for the daemon that he chooses
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert all(target["datasource"] == panel["datasource"] == chosen for target in panel["targets"])
    assert all('instance=~"$instance"' in query for query in queries())


def test_no_panel_lies_on_another_and_each_says_what_it_shows():
    shown = DASHBOARD["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    for one, other in combinations((panel["gridPos"] for panel in shown), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(panel["title"] and panel["description"] and panel["fieldConfig"] for panel in panels())
    titles = [panel["title"] for panel in shown]
    assert len(set(titles)) == len(titles)


def test_every_series_of_the_dashboard_names_its_daemon_or_sums_all_daemons():
    for target in (target for panel in panels() for target in panel["targets"]):
        by = re.match(r"sum by \(([^)]*)\)", target["expr"])
        summed = by is not None and "instance" not in by.group(1)
        assert summed != ("{{instance}}" in target["legendFormat"]), target["expr"]


def test_provisioning_keeps_what_is_in_the_files():
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "backfilld.yaml").read_text())["datasources"]
    assert (source["type"], source["uid"], source["editable"]) == ("prometheus", "backfilld", False)
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "backfilld.yaml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
