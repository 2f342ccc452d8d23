"""What the dashboards are made of: panels of queries, in rows, in Grafana's own model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RATE = "$__rate_interval"
WIDTH = 24
NUMBER, LINES = 4, 8
"""Heights of the two kinds of panels."""


def each(metric: str) -> str:
    """The rate of a counter, by all of its labels."""
    return f"rate(ray_ingest_{metric}_total[{RATE}])"


def total(metric: str) -> str:
    """The rate of a counter over all actors."""
    return f"sum({each(metric)})"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its series are called: "{{actor}}"."""

    expr: str
    legend: str = "{{actor}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """`unit` is Grafana's name of it; a `number` is shown as such, with `text` on its information sign."""

    title: str
    unit: str
    queries: Sequence[Query]
    text: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; `uid` names its file and its address. Each row is (title, panels side by side)."""

    uid: str
    title: str
    rows: Sequence[tuple[str, Sequence[Panel]]]

    @property
    def queries(self) -> list[str]:
        """All of its PromQL."""
        return [query.expr for _, panels in self.rows for panel in panels for query in panel.queries]

    def text(self) -> str:
        """The dashboard's JSON."""
        return json.dumps(self._model(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"

    def _model(self) -> object:
        made = (
            board.Dashboard(f"Ray Ingest: {self.title}")
            .uid(self.uid)
            .tags(["ray-ingest"])
            .refresh("5s")
            .time("now-15m", "now")
            .timezone("browser")
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(
                board.DashboardLink("Ray Ingest")
                .type(DashboardLinkType.DASHBOARDS)
                .tags(["ray-ingest"])
                .as_dropdown(True)
                .keep_time(True)
            )
            .with_variable(board.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        )
        ids, y = count(1), 0
        for title, panels in self.rows:
            made = made.with_row(board.Row(title).id(next(ids)).grid_pos(GridPos(1, WIDTH, 0, y)))
            y += 1
            height = NUMBER if all(panel.number for panel in panels) else LINES
            for panel, place in zip(panels, _places(len(panels), height, y), strict=True):
                made = made.with_panel(_built(panel).id(next(ids)).grid_pos(place))
            y += height
        return made.build()


def _places(number: int, height: int, y: int) -> Iterator[GridPos]:
    width = WIDTH // number
    for place in range(number):
        yield GridPos(height, width, place * width, y)


def _built(panel: Panel) -> stat.Panel | timeseries.Panel:
    made: stat.Panel | timeseries.Panel
    if panel.number:
        made = stat.Panel().graph_mode(looks.BigValueGraphMode.AREA)
        made = made.color_mode(looks.BigValueColorMode.NONE)
    else:
        legend = (
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
        )
        made = timeseries.Panel().legend(legend).line_width(1).fill_opacity(8)
    made = made.title(panel.title).description(panel.text).unit(panel.unit).datasource(SOURCE)
    for query, letter in zip(panel.queries, "ABCDEFGH", strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        made = made.with_target(target.datasource(SOURCE))
    return made
