"""What a running system says of itself, over a while; and a live simulation to have one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import polars as pl
from prometheus_client.parser import text_string_to_metric_families
from runs import FOLDER

LABELS = ("actor", "connection", "state", "reason", "le")
EVERY_S = 1.0
STARTS_WITHIN_S = 120


class Demo:
    """A live simulation of its own, day and night, until `end`."""

    def __init__(self) -> None:
        folder = FOLDER / "live"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.data_dir, self.port = folder / "store", _free_port()
        market = "forever=true indices=2 equities=20 futures=8 options=20 ticks_per_second=400"
        settings = [
            *(f"feed.{setting}" for setting in market.split()),
            "calendar=continuous",
            "journal.ticks=all",
            f"redis.data_dir={self.data_dir}",
            f"journal.folder={folder / 'journal'}",
            f"metrics.port={self.port}",
            "ray.dashboard=false",
        ]
        command = [sys.executable, "-m", "ray_ingest.main", *settings]
        self._output = (folder / "output").open("w+")
        self._run = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT)
        give_up_s = time.monotonic() + STARTS_WITHIN_S
        while not self._ticks():
            if self._run.poll() is not None or time.monotonic() > give_up_s:
                raise SystemExit(Path(self._output.name).read_text())
            time.sleep(EVERY_S)

    def kill_feed(self, at_s: float) -> None:
        """Kill the process of the feed, as a crash would, at second `at_s` of a watch."""
        self.killed_at_s = at_s
        status = json.loads(_page(self.port, "status"))
        os.kill(status["feeds"][0]["pid"], signal.SIGKILL)

    def end(self) -> None:
        """Stop it in order, as Ctrl-C does."""
        self._run.send_signal(signal.SIGINT)
        self._run.wait()
        self._output.close()

    def _ticks(self) -> bool:
        try:
            return any(
                row[1] == "ray_ingest_ticks_processed_total" and row[-1] for row in _look(self.port, 0.0)
            )
        except (URLError, ConnectionError):
            return False


def watch(port: int, for_s: float, at_third: Callable[[float], None] | None = None) -> pl.DataFrame:
    """Ask once a second: at_s (since the first look), name, value, and the labels there are, else null.

    `at_third` is called once, with its second, when a third of the time is over. Raises SystemExit when nobody answers.
    """
    rows, began = [], time.monotonic()
    while (now := time.monotonic() - began) < for_s:
        try:
            rows += _look(port, now)
        except (URLError, ConnectionError):
            if not rows:
                raise SystemExit(f"nothing answers at port {port}: is it metrics.port of the run?") from None
        if at_third and now > for_s / 3:
            at_third(now)
            at_third = None
        time.sleep(EVERY_S)
    schema = (
        {"at_s": pl.Float64, "name": pl.String} | dict.fromkeys(LABELS, pl.String) | {"value": pl.Float64}
    )
    return pl.DataFrame(rows, schema, orient="row")


def rate(seen: pl.DataFrame, name: str) -> pl.DataFrame:
    """A counter's increase a second from look to look, by at_s; a process that begins again counts from 0."""
    steps = (
        seen.filter(pl.col("name") == name)
        .sort("at_s")
        .with_columns(
            *(pl.col(column).diff().over("actor").alias(f"d_{column}") for column in ("value", "at_s"))
        )
    )
    grown = pl.when(pl.col("d_value") < 0).then("value").otherwise("d_value")
    return (
        steps.drop_nulls("d_at_s")
        .group_by("at_s", maintain_order=True)
        .agg((grown / pl.col("d_at_s")).sum().alias("value"))
    )


def quantile_ms(seen: pl.DataFrame, name: str, share: float, over: int = 2) -> pl.DataFrame:
    """The time below which `share` of a histogram's last values were, in ms, by at_s: the upper bound of their
    bucket, over the last `over` looks."""
    buckets = seen.filter(pl.col("name") == f"{name}_bucket").with_columns(pl.col("le").cast(pl.Float64))
    new = (
        buckets.sort("at_s")
        .with_columns(pl.col("value").diff(over).over("actor", "le").alias("new"))
        .group_by("at_s", "le")
        .agg(pl.col("new").sum())
        .sort("at_s", "le")
    )
    return (
        new.group_by("at_s", maintain_order=True)
        .agg(pl.col("le").filter(pl.col("new") >= pl.col("new").max() * share).first(), pl.col("new").max())
        .filter(pl.col("new") > 0)
        .select("at_s", (pl.col("le") * 1000).alias("value"))
    )


def _look(port: int, at_s: float) -> list[tuple]:
    return [
        (at_s, sample.name, *(sample.labels.get(label) for label in LABELS), sample.value)
        for family in text_string_to_metric_families(_page(port, "metrics"))
        for sample in family.samples
    ]


def _page(port: int, name: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as page:
        return page.read().decode()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
