"""A Prometheus of a test's own that reads the project's rules, made quick."""

from __future__ import annotations

import math
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.servers import binary_of, free_port

MONITORING = Path(__file__).resolve().parents[3] / "monitoring"
DEADLINE_S = 90.0
WINDOW = "4s"
"""In place of a rule's window, as a scrape comes every second instead of every five."""
EVENT_WINDOW = "10s"
"""In those that look for a single jump, which mustn't be over while this machine is busy."""

QUICKER = {
    "StoreDown": ("> 5", "> 1"),
    "FeedStale": ("> 60", "> 2"),
    "CandleLag": ("> 30", "> 3"),
    "QueueGrowing": ("> 100000", "> 2000"),
    "ActorSilent": ("> 20", "> 1"),
}
"""Thresholds by alert, and what they are in a test. All others are as they are."""


def alert_rules() -> dict[str, dict[str, Any]]:
    """The project's alerts by name."""
    groups = yaml.safe_load((MONITORING / "rules" / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def quickened(rules: dict[str, Any]) -> dict[str, Any]:
    """The same rules with short windows, thresholds and waits."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            expr = re.sub(r"((?:increase|changes)\(\w+)\[\d+[sm]\]", rf"\1[{EVENT_WINDOW}]", rule["expr"])
            expr = re.sub(r"\[(?!10s)\d+[sm]\]", f"[{WINDOW}]", expr)
            old, new = QUICKER.get(rule.get("alert", ""), ("", ""))
            assert old in expr, rule
            rule["expr"] = expr.replace(old, new)
            if "for" in rule:
                rule["for"] = "1s"
    return rules


class Prometheus:
    """Asked through its API, as a person's browser does it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fired: dict[str, dict[str, Any]] = {}

    def values(self, expr: str) -> list[float]:
        """The values that an expression has now, one a series."""
        found = self._get("/api/v1/query", query=expr)["result"]
        return [float(sample["value"][1]) for sample in found]

    def firing(self) -> dict[str, dict[str, Any]]:
        """The alerts that fire now, by name; kept in `fired` too."""
        alerts = self._get("/api/v1/alerts")["alerts"]
        found = {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}
        self.fired |= found
        return found

    def wait_firing(self, *names: str) -> None:
        """Until each of these alerts has fired, at the same time or not."""
        missing = set(names)

        def seen() -> bool:
            missing.difference_update(self.firing())
            return not missing

        self._wait(seen, lambda: f"{missing} to fire; {sorted(self.firing())} do")

    def wait_quiet(self, *but: str) -> None:
        """Until no alert fires, or none but these."""
        self._wait(lambda: self.firing().keys() <= set(but), lambda: f"{sorted(self.firing())} to clear")

    def wait_value(self, expr: str, wanted: Callable[[float], bool]) -> None:
        """Until an expression has a single value, and it is a wanted one."""

        def met() -> bool:
            values = self.values(expr)
            return len(values) == 1 and wanted(values[0])

        self._wait(met, lambda: f"{expr}, which is {self.values(expr)}")

    def wait_data(self, expr: str) -> None:
        """Until an expression has values, and all of them are numbers."""

        def met() -> bool:
            values = self.values(expr)
            return bool(values) and all(map(math.isfinite, values))

        self._wait(met, lambda: f"data of {expr}, which is {self.values(expr)}")

    def _wait(self, met: Callable[[], bool], what: Callable[[], str]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not met():
            assert time.monotonic() < deadline_s, f"waited {DEADLINE_S:g} s for {what()}"
            time.sleep(0.1)  # between two questions

    def _get(self, path: str, **query: str) -> Any:
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 — ours, on the loopback
            return msgspec.json.decode(answer.read())["data"]


@contextmanager
def prometheus(folder: Path, metrics_port: int) -> Iterator[Prometheus]:
    """One that scrapes the run with this metrics port; its files are in `folder`."""
    binary = str(binary_of("prometheus"))
    folder.mkdir()
    for name in ("recording.yml", "alerts.yml"):
        rules = yaml.safe_load((MONITORING / "rules" / name).read_text())
        (folder / name).write_text(yaml.safe_dump(quickened(rules)))
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = ["recording.yml", "alerts.yml"]
    ours, _ = config["scrape_configs"]
    ours["static_configs"] = [{"targets": [f"127.0.0.1:{metrics_port}"]}]
    config["scrape_configs"] = [ours]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary, *arguments, f"--web.listen-address=127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_ready(f"http://127.0.0.1:{port}", process, folder / "log")
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310 — ours
                return
        except OSError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline_s, log.read_text()[-2000:]
            time.sleep(0.05)  # between two questions
