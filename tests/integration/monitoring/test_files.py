"""The files of monitoring/: what Prometheus' checker says of them, and that they agree with one another."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring.grafana.__main__ import BOARDS, DASHBOARDS, files
from ray_ingest.core import alert_conditions
from ray_ingest.metrics.collector import METRICS
from ray_ingest.metrics.metric import Kind
from tests.integration.monitoring.expectations import BROKER_ALERTS, BY_PROMTOOL_ONLY, MACHINE_ALERTS
from tests.integration.monitoring.prometheus import MONITORING, QUICKER, alert_rules, quickened
from tests.servers import binary_of

ROOT = MONITORING.parent
RULES = MONITORING / "rules"
RULE_FILES = ("recording.yml", "alerts.yml")
RUNBOOK = ROOT / "docs" / "runbook.md"
SUFFIXES = {Kind.COUNTER: ("_total",), Kind.GAUGE: ("",), Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}


def promtool(*arguments: str, cwd: Path = MONITORING) -> tuple[int, str]:
    """Exit code and all it says."""
    done = subprocess.run(
        [str(binary_of("promtool")), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_prometheus_accepts_configuration_and_rules() -> None:
    """`promtool check` passes, the rules being found from the configuration."""
    code, said = promtool("check", "config", "prometheus.yml")
    assert code == 0, said
    assert "2 rule files found" in said
    code, said = promtool("check", "rules", *(f"rules/{name}" for name in RULE_FILES))
    assert code == 0, said


@pytest.mark.parametrize("name", ["alerts_test.yml", "recording_test.yml"])
def test_rules_do_what_their_tests_say(name: str) -> None:
    """`promtool test rules`: which alerts fire on which series, when, and that no other does."""
    code, said = promtool("test", "rules", name, cwd=RULES / "tests")
    assert code == 0, said


@pytest.mark.parametrize("wrong", ["vector(1) == 0", "vector(1)"], ids=["never", "always"])
def test_alerts_that_are_wrong_fail_the_rules_tests(wrong: str, tmp_path: Path) -> None:
    """Negative control: an alert that never fires is missed by its name, one that always does is too many."""
    shutil.copytree(RULES, tmp_path / "rules")
    rules = yaml.safe_load((RULES / "alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = wrong
    (tmp_path / "rules" / "alerts.yml").write_text(yaml.safe_dump(rules))
    code, said = promtool("test", "rules", "alerts_test.yml", cwd=tmp_path / "rules" / "tests")
    assert code != 0
    assert [name for name in alert_rules() if name not in said] == []


def test_every_alert_is_tried_and_has_its_words() -> None:
    """The live tests fire all of them; each says what happened and points at a section of the runbook."""
    rules = alert_rules()
    assert rules.keys() == MACHINE_ALERTS | BROKER_ALERTS | BY_PROMTOOL_ONLY
    assert rules.keys() >= QUICKER.keys()
    runbook = RUNBOOK.read_text()
    for name, rule in rules.items():
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, name
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name}"
        assert f'<a id="{name}"></a>' in runbook, name
        assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(re.findall(r'<a id="(\w+)"></a>', runbook)) == rules.keys()


def test_the_runbook_has_the_sections_that_alerts_to_people_name() -> None:
    """An e-mail ends with a section of the runbook; it is there under these very words."""
    source = Path(alert_conditions.__file__).read_text()
    headings = re.findall(r"^## (.*)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings
    named = [heading for heading in headings if f'"{heading}"' in source]
    assert len(named) >= 9, named


def test_the_quickened_rules_are_still_the_same_rules() -> None:
    """The live tests may change waits, windows and thresholds, and nothing else of a rule."""
    for name in RULE_FILES:
        rules = yaml.safe_load((RULES / name).read_text())
        before = [rule for group in rules["groups"] for rule in group["rules"]]
        names = [rule.get("alert") or rule.get("record") for rule in before]
        exprs = [_without_numbers(rule["expr"]) for rule in before]
        after = [rule for group in quickened(rules)["groups"] for rule in group["rules"]]
        assert [rule.get("alert") or rule.get("record") for rule in after] == names
        assert [_without_numbers(rule["expr"]) for rule in after] == exprs


def test_the_dashboards_are_those_of_the_code() -> None:
    """What Grafana reads is what `python -m monitoring.grafana` writes; no file is left from before."""
    assert {path: path.read_text() for path in DASHBOARDS.iterdir()} == files()


def test_dashboards_and_rules_name_metrics_that_exist() -> None:
    """A metric renamed in the code is noticed here and not by an empty panel."""
    known = {f"ray_ingest_{m.name}{suffix}" for m in METRICS for suffix in SUFFIXES[m.kind]}
    rules = [yaml.safe_load((RULES / name).read_text()) for name in RULE_FILES]
    every = [rule for part in rules for group in part["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in every if "record" in rule}
    exprs = [rule["expr"] for rule in every] + [query for board in BOARDS for query in board.queries]
    for expr in exprs:
        named = set(re.findall(r"ray_ingest[:_][\w:]+", expr.replace('job="ray_ingest"', "")))
        assert named <= known | recorded, expr


def _without_numbers(expr: str) -> str:
    return re.sub(r"\d+[sm]?\b", "0", expr)
