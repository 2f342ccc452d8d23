"""What is looked at first."""

from __future__ import annotations

from monitoring.grafana.panels import Board, Panel, Query, each, total

OVERVIEW = Board(
    "ray-ingest-overview",
    "overview",
    [
        (
            "Now",
            [
                Panel("Ticks received", "ops", [Query(total("ticks_received"), "")], "A second.", True),
                Panel("Ticks committed", "ops", [Query(total("ticks_processed"), "")], "A second.", True),
                Panel(
                    "Tick to store, 99 %",
                    "s",
                    [Query("ray_ingest:tick_to_store_seconds:p99_5m", "")],
                    "From the receipt of a tick to its commit; over five minutes.",
                    True,
                ),
                Panel("Waiting", "short", [Query("sum(ray_ingest_lag_ticks)", "")], "Not committed.", True),
                Panel("Store", "short", [Query("min(ray_ingest_store_up)", "")], "1: it commits.", True),
                Panel(
                    "Alerts",
                    "short",
                    [Query('sum(ALERTS{alertstate="firing", alertname!=""}) or vector(0)', "")],
                    "Firing now; docs/runbook.md says what to do.",
                    True,
                ),
            ],
        ),
        (
            "Flow",
            [
                Panel(
                    "Ticks a second",
                    "ops",
                    [
                        Query(each("ticks_received"), "received {{actor}}"),
                        Query(each("ticks_processed"), "committed {{actor}}"),
                    ],
                    "In at the feeds, and safe in the store; between them repeats, filters and rejects.",
                ),
                Panel("Ticks that wait", "short", [Query("ray_ingest_queue_size")], "By actor."),
            ],
        ),
        (
            "Time",
            [
                Panel(
                    "Tick to store",
                    "s",
                    [
                        Query("ray_ingest:tick_to_store_seconds:p50_5m", "half"),
                        Query("ray_ingest:tick_to_store_seconds:p99_5m", "99 %"),
                    ],
                    "Within this time so many ticks were committed.",
                ),
                Panel(
                    "Behind the market",
                    "s",
                    [Query("ray_ingest_candle_lag_seconds")],
                    "Wall clock less the newest tick; of live feeds. It grows after the market's close.",
                ),
            ],
        ),
        (
            "Actors",
            [
                Panel("Errors", "ops", [Query(each("errors"))], "Failed calls, a second."),
                Panel(
                    "Restarts",
                    "short",
                    [Query("ray_ingest_restarts_total"), Query("ray_ingest_takeovers_total", "takeovers")],
                    "Since the supervisor began.",
                ),
                Panel(
                    "Silence", "s", [Query("ray_ingest_actor_silent_seconds")], "How long without an answer."
                ),
            ],
        ),
    ],
)
