"""What the OHLC actors do."""

from __future__ import annotations

from monitoring.grafana.panels import Board, Panel, Query, each

PARTITIONS = Board(
    "ray-ingest-partitions",
    "partitions",
    [
        (
            "Work",
            [
                Panel("Ticks", "ops", [Query(each("ticks_processed"))], "Committed a second."),
                Panel("Rows", "ops", [Query(each("ohlc_updates"))], "Of candles, written a second."),
                Panel(
                    "Ticks a row",
                    "short",
                    [Query(f"{each('ticks_processed')} / ({each('ohlc_updates')} > 0) or vector(0)")],
                    "How much coalescing saves the store.",
                ),
            ],
        ),
        (
            "State",
            [
                Panel("Waiting", "short", [Query('ray_ingest_queue_size{actor=~"ohlc.*"}')], "For a flush."),
                Panel("Instruments", "short", [Query("ray_ingest_instruments")], "Known to the owner."),
                Panel("Running candles", "short", [Query("ray_ingest_open_candles")], "Not final yet."),
                Panel("In session", "short", [Query("ray_ingest_in_session")], "1: continuous trading."),
            ],
        ),
        (
            "Time",
            [
                Panel("Behind the market", "s", [Query("ray_ingest_candle_lag_seconds")], "Of live feeds."),
                Panel(
                    "Watermark behind the newest tick",
                    "s",
                    [
                        Query(
                            "clamp_min(ray_ingest_newest_event_time_seconds"
                            " - ray_ingest_watermark_time_seconds, 0)"
                        )
                    ],
                    "A minute closes when the watermark passes its end.",
                ),
            ],
        ),
    ],
)
