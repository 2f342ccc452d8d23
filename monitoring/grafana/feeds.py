"""What comes from whom, and what becomes of it before it is sent."""

from __future__ import annotations

from monitoring.grafana.panels import Board, Panel, Query, each

FEEDS = Board(
    "ray-ingest-feeds",
    "feeds",
    [
        (
            "Ticks",
            [
                Panel("Received", "ops", [Query(each("ticks_received"))], "By feed."),
                Panel(
                    "Not sent on",
                    "ops",
                    [
                        Query(each("ticks_repeated"), "repeated {{actor}}"),
                        Query(each("ticks_filtered"), "filtered {{actor}}"),
                        Query(each("ticks_dropped"), "dropped {{actor}}"),
                        Query(each("ticks_standby"), "standby {{actor}}"),
                    ],
                    "What brokers repeat, the filter drops, found no room, or another feed counts.",
                ),
                Panel(
                    "Frames dropped",
                    "ops",
                    [
                        Query(
                            f"sum by (actor, reason) ({each('frames_dropped')}) or vector(0)",
                            "{{actor}} {{reason}}",
                        )
                    ],
                    "Frames that were no tick, by reason.",
                ),
            ],
        ),
        (
            "Connections",
            [
                Panel(
                    "State",
                    "short",
                    [Query("ray_ingest_connection_state == 1", "{{connection}} {{state}}")],
                    "Each connection's state of the moment.",
                ),
                Panel(
                    "Silence",
                    "s",
                    [Query("time() - (ray_ingest_connection_last_frame_seconds > 0)", "{{connection}}")],
                    "Since the last market data.",
                ),
                Panel(
                    "Reconnects",
                    "short",
                    [Query("ray_ingest_reconnects_total", "{{connection}}")],
                    "Since the feed's process began.",
                ),
                Panel(
                    "Instruments",
                    "short",
                    [Query("ray_ingest_connection_instruments", "{{connection}}")],
                    "Subscribed.",
                ),
            ],
        ),
        (
            "Sending",
            [
                Panel(
                    "Counts", "short", [Query("ray_ingest_feed_active")], "1: its ticks count. 0: standby."
                ),
                Panel("Calls", "ops", [Query(each("feed_calls"))], "A second; each costs the same."),
                Panel(
                    "In flight", "short", [Query("ray_ingest_calls_in_flight")], "Calls without an answer."
                ),
                Panel(
                    "Ticks a call",
                    "short",
                    [Query("ray_ingest:batch_ticks:mean1m")],
                    "The mean; many ticks a call are cheap, few are quick.",
                ),
            ],
        ),
        (
            "Journal",
            [
                Panel(
                    "Not committed",
                    "short",
                    [
                        Query("ray_ingest_lag_ticks", "{{actor}}"),
                        Query("ray_ingest_recovering_ticks", "{{actor}} to recover"),
                    ],
                    "Ticks that only the journal has.",
                ),
                Panel("Size", "bytes", [Query("ray_ingest_journal_bytes")], "Of all its files."),
                Panel("Files", "short", [Query("ray_ingest_journal_segments")], "Segments."),
                Panel(
                    "Disk free",
                    "percentunit",
                    [Query("ray_ingest:journal_disk_free:ratio")],
                    "Of the disk the journal is on.",
                ),
            ],
        ),
    ],
)
