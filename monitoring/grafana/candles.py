"""What may be wrong with candles."""

from __future__ import annotations

from monitoring.grafana.panels import Board, Panel, Query, each

CANDLES = Board(
    "ray-ingest-candles",
    "correctness of candles",
    [
        (
            "Candles",
            [
                Panel("Closed", "ops", [Query(each("candles_closed"))], "Became final, a second."),
                Panel(
                    "Amended",
                    "ops",
                    [Query(each("candles_amended"))],
                    "Final ones that a late tick changed; brokers deliver some.",
                ),
                Panel(
                    "Gaps",
                    "short",
                    [Query("ray_ingest_gaps_noted_total")],
                    "Noted since the actor's process began; Candles().gaps() has them.",
                ),
            ],
        ),
        (
            "Ticks without a candle",
            [
                Panel(
                    "Rejected",
                    "ops",
                    [Query(f"{each('ticks_rejected')} > 0 or vector(0)", "{{actor}} {{reason}}")],
                    "By reason. Outside the session is ordinary: brokers send their cache to who subscribes.",
                ),
                Panel(
                    "Phases without candles",
                    "ops",
                    [Query(f"sum by (phase) ({each('ticks_outside_candles')}) or vector(0)", "{{phase}}")],
                    "Pre-open and post-close only move the cumulative volume.",
                ),
                Panel("Repeats", "ops", [Query(each("ticks_repeated"))], "Of the trade before."),
                Panel("Dropped", "ops", [Query(each("ticks_dropped"))], "Found no room; marked as gaps."),
            ],
        ),
    ],
)
