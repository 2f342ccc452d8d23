"""Real runs with alerts to a real mail server: what people get, and that nothing of it can hurt the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ray_ingest.actors.status import Status
from ray_ingest.alerts import alerter_of
from ray_ingest.config import AppConfig
from ray_ingest.errors import StoreError
from ray_ingest.report import Report
from tests.integration.alerts.mailbox import PASSWORD, Mailbox, settings_of
from tests.integration.run.in_process import committed, market_config, run_watched
from tests.servers import Server, free_port, start_server

pytestmark = pytest.mark.usefixtures("ray_up")

QUICK = ("alerts.hold_s=0.5", "alerts.calm_s=0.5")
AOF = ("--appendonly", "yes")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[list[Server]]:
    """A private server; the last one of the list is stopped in the end."""
    servers = [start_server(tmp_path / "store", *AOF)]
    yield servers
    servers[-1].stop()


def run_with_alerts(config: AppConfig, also: Callable[[Status], None] = lambda status: None) -> Report:
    """As the main job does it."""

    with alerter_of(config) as alerter:

        def watch(status: Status) -> None:
            alerter.show(status)
            also(status)

        return run_watched(config, watch)


def test_a_run_tells_its_start_a_trouble_its_end_and_its_totals(box: Mailbox, store: list[Server]) -> None:
    """The store is killed in mid-run and comes back a while after it was told to be away: four mails, in this
    order, the last with the run's figures, and not one besides."""
    config = market_config(store[-1], "feed.speed=100", *settings_of(box), *QUICK)

    def kill_and_revive(status: Status) -> None:
        if committed(status) > 3_000 and store[0].process.poll() is None:
            store[0].kill()
        if len(store) == 1 and "[Ray Ingest] degraded: store" in box.subjects:
            store.append(start_server(store[0].socket.parent, *AOF))

    report = run_with_alerts(config, kill_and_revive)
    assert len(store) == 2
    received = box.until("stopped")
    assert [mail["Subject"] for mail in received] == [
        "[Ray Ingest] started",
        "[Ray Ingest] degraded: store",
        "[Ray Ingest] recovered: store",
        "[Ray Ingest] stopped",
    ]
    started, degraded, recovered, stopped = (str(mail.get_content()) for mail in received)
    assert "the run has begun, feed sim" in started
    assert "ticks wait meanwhile" in degraded
    assert "Runbook: “The store is away”" in degraded
    assert "it lasted from" in recovered
    assert f"Candles closed: {report.candles_closed:,}" in stopped
    assert "Restarts: 0" in stopped
    assert "feed=sim" in stopped


def test_a_run_that_fails_says_why(box: Mailbox, store: list[Server]) -> None:
    """The store stays away, the run gives up: the last mail has the very line of the command line."""
    config = market_config(store[-1], "redis.give_up_s=2", *settings_of(box), *QUICK)

    def kill(status: Status) -> None:
        if committed(status) > 1_000 and store[0].process.poll() is None:
            store[0].kill()

    with pytest.raises(StoreError) as caught:
        run_with_alerts(config, kill)
    last = box.until("failed")[-1]
    assert last["Subject"].startswith("[Ray Ingest] failed: gave up after 2 s")
    assert str(caught.value) in " ".join(str(last.get_content()).split())


@pytest.mark.parametrize("mistake", ["password", "server"])
def test_alerts_that_can_not_be_sent_change_nothing(
    mistake: str,
    box: Mailbox,
    store: list[Server],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong password, a server that isn't there: the run ends as ever, with one line in the log for all of
    its messages, and no secret in any line of any level."""
    caplog.set_level(logging.DEBUG)
    wrong = f"{PASSWORD}-wrong"
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", wrong)
    elsewhere = [f"alerts.port={free_port()}"] if mistake == "server" else []
    report = run_with_alerts(
        market_config(store[-1], "feed.speed=max", *settings_of(box), *elsewhere, *QUICK)
    )
    assert report.ticks_applied > 10_000
    lines = [r.getMessage() for r in caplog.records if r.name == "ray_ingest.alerts"]
    assert len(lines) == 1, lines
    assert lines[0].endswith("alerts don't get through, the run goes on")
    assert wrong not in caplog.text
    assert PASSWORD not in caplog.text
