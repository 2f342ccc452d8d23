"""`python -m ray_ingest.metrics`: all metrics as a Markdown table, as docs/monitoring.md has it."""

from __future__ import annotations

from ray_ingest.metrics.collector import METRICS


def reference() -> str:
    """The table, by name."""
    lines = ["| metric | type | labels | |", "|---|---|---|---|"]
    for metric in sorted(METRICS, key=lambda metric: metric.name):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.exposed}` | {metric.kind} | {labels} | {metric.text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
