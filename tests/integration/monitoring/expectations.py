"""What each live test sees to, so that together they leave out no alert and no panel."""

from __future__ import annotations

from monitoring.grafana.__main__ import BOARDS
from tests.integration.monitoring.prometheus import WINDOW, Prometheus, alert_rules

MACHINE_ALERTS = {
    *("StoreDown", "QueueGrowing", "ActorSilent", "ActorRestarting", "JournalDiskNearlyFull"),
    *("JournalUnwritable", "TicksDropped", "CandleLag", "GapsNoted", "IngestDown"),
}
BROKER_ALERTS = {"FeedStale", "NoTicks", "FeedBackingOff", "TokenExpired", "TokenExpiring"}
BY_PROMTOOL_ONLY = {"FeedFailed"}
"""It takes several brokers of which one fails for good."""

OF_BROKERS = ("_connection_", "_reconnects_")


def check_panels(server: Prometheus, with_brokers: bool) -> None:
    """Every query of every dashboard returns data, those about brokers' connections where there are any."""
    queries = [query for board in BOARDS for query in board.queries]
    assert len(queries) > 50
    for query in queries:
        if not with_brokers and any(name in query for name in OF_BROKERS):
            continue
        server.wait_data(query.replace("$__rate_interval", WINDOW))


def check_words(server: Prometheus) -> None:
    """What fired is told in whole sentences: every template was filled in."""
    for name, alert in server.fired.items():
        for part, text in alert["annotations"].items():
            assert "no value" not in text, (name, part, text)
            assert "error" not in text, (name, part, text)
        assert alert["annotations"].keys() == alert_rules()[name]["annotations"].keys()
