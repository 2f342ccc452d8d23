"""What the store does, as the OHLC actors see it."""

from __future__ import annotations

from monitoring.grafana.panels import RATE, Board, Panel, Query, each

STORE = Board(
    "ray-ingest-store",
    "store",
    [
        (
            "Health",
            [
                Panel("Commits", "short", [Query("ray_ingest_store_up")], "1: it commits."),
                Panel("Trouble", "s", [Query("ray_ingest_store_trouble_seconds")], "Since when it doesn't."),
                Panel(
                    "Circuit breaker",
                    "short",
                    [Query("ray_ingest_breaker_state == 1", "{{actor}} {{state}}")],
                    "Open: the store is left alone for a while.",
                ),
                Panel(
                    "Errors",
                    "ops",
                    [Query(f'rate(ray_ingest_errors_total{{actor=~"ohlc.*"}}[{RATE}])')],
                    "Failed calls.",
                ),
            ],
        ),
        (
            "Time",
            [
                Panel("Flush, 99 %", "s", [Query("ray_ingest:flush_seconds:p99_5m")], "Plan to reply."),
                Panel(
                    "Where a flush's time goes",
                    "percentunit",
                    [
                        Query(each("flush_plan_seconds"), "plan {{actor}}"),
                        Query(each("commit_seconds"), "store {{actor}}"),
                    ],
                    "Seconds a second; the actor goes on taking ticks while the store works.",
                ),
                Panel("Round trip", "s", [Query("ray_ingest_store_round_trip_seconds")], "A small question."),
            ],
        ),
        (
            "Size",
            [
                Panel(
                    "Flushes",
                    "ops",
                    [Query(f"rate(ray_ingest_flush_seconds_count[{RATE}])")],
                    "Commits a second.",
                ),
                Panel(
                    "Rows a flush",
                    "short",
                    [Query(f"{each('ohlc_updates')} / (rate(ray_ingest_flush_seconds_count[{RATE}]) > 0)")],
                    "Grows with the load, so that commits don't pile up.",
                ),
            ],
        ),
    ],
)
