"""`python -m monitoring.grafana`: writes the dashboards' JSON, which Grafana reads."""

from __future__ import annotations

from pathlib import Path

from monitoring.grafana.candles import CANDLES
from monitoring.grafana.feeds import FEEDS
from monitoring.grafana.overview import OVERVIEW
from monitoring.grafana.partitions import PARTITIONS
from monitoring.grafana.store import STORE

BOARDS = [OVERVIEW, FEEDS, PARTITIONS, STORE, CANDLES]
DASHBOARDS = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """What belongs into which file."""
    return {DASHBOARDS / f"{board.uid}.json": board.text() for board in BOARDS}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
