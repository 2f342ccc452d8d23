"""What a run with the defaults shows: progress, candles, how to go on; and nothing that it should not."""

import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.run.processes import QUICK, Run, command_line, in_terminal, running

MARKET = ("feed.minutes=20", "feed.ticks_per_second=60", "feed.speed=200")
NOISE = re.compile(
    r"raylet|gcs_server|ray::|ray start|\(pid=|dashboard at|usage stat|FutureWarning|DeprecationWarning|"
    r"UserWarning|hydra|omegaconf|outputs/|INFO |DEBUG |\.py:\d",
    re.IGNORECASE,
)

UPDATED = re.compile(r"^ray_ingest_ohlc_updates_total\{.*\} [1-9]", re.M)


@dataclass(frozen=True)
class DefaultRun:
    """A run with the defaults, and what was seen of it while it went."""

    run: Run
    code: int
    metrics: str
    second_driver: tuple[int, str, str]


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefaultRun]:
    """One for all tests here. The port of its dashboard is taken, and a second driver tries its folder."""
    folder = tmp_path_factory.mktemp("run")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(folder, *MARKET, "metrics.port=0", f"ray.dashboard_port={port}") as run:
            address = run.wait_for("metrics: http").split()[-1]
            run.wait_for("sim running")
            second = command_line(f"redis.data_dir={folder / 'store'}", *QUICK)
            metrics = ""
            while not UPDATED.search(metrics):
                with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310
                    metrics = answer.read().decode()
                time.sleep(0.1)  # between two looks
            yield DefaultRun(run, run.end(), metrics, second)


def test_a_run_ends_right_whoever_else_wants_its_ports_and_its_folder(default_run: DefaultRun) -> None:
    """A dashboard port in use means another port; a second driver of the folder is refused with one line that
    names the first, exit code 4; the first ends by itself with every candle right."""
    assert default_run.code == 0
    equal, expected = default_run.run.verdict()
    assert equal == expected > 0
    assert default_run.run.report["restarts"] == 0
    code, out, err = default_run.second_driver
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert f"already has a driver, process {default_run.run.process.pid}:" in err


def test_a_run_says_what_a_person_wants_to_know_and_nothing_else(default_run: DefaultRun) -> None:
    """Nothing on stderr, none of Ray's, Hydra's or the libraries' noise, no control sequences in a pipe, no
    line over 80 columns but commands to copy; progress in plain lines, then candles and how to query them."""
    run = default_run.run
    assert run.errors == ""
    assert not NOISE.search(run.output), run.output
    assert "\x1b" not in run.output
    lines = run.output.splitlines()
    commands = [line for line in lines if "ray_ingest" in line and line.startswith("  ")]
    assert len(commands) == 2
    assert max(len(line.rstrip()) for line in lines if line not in commands) <= 80
    order = ["starting the store", "metrics: http", "sim running: ", "sim ended: ", "latest candles"]
    order += ["1-minute candles", "query them:", " ticks in = ", " candles equal the oracle's"]
    places = [next(i for i, line in enumerate(lines) if text in line) for text in order]
    assert places == sorted(places)
    assert len([line for line in lines if line.startswith("sim ended")]) == 1
    assert "…" not in "".join(lines[1:]), "nothing is cut short"


def test_the_documents_metrics_are_served_while_it_runs(default_run: DefaultRun) -> None:
    """The five metrics of the document, under the project's prefix, labelled by actor names and plausible."""
    families = {family.name: family for family in text_string_to_metric_families(default_run.metrics)}
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    received = samples["ray_ingest_ticks_received_total", "feed[sim]"]
    processed = samples["ray_ingest_ticks_processed_total", "ohlc[0/1]"]
    report = default_run.run.report
    assert 0 < processed <= received <= report["ticks_in"]
    assert 0 < samples["ray_ingest_ohlc_updates_total", "ohlc[0/1]"] <= processed
    assert 0 <= samples["ray_ingest_queue_size", "ohlc[0/1]"] < received
    assert 0 <= samples["ray_ingest_queue_size", "feed[sim]"] < received
    assert samples["ray_ingest_errors_total", "ohlc[0/1]"] == 0
    assert all(name.startswith("ray_ingest_") for name in families)


def test_on_a_terminal_one_live_line_shows_the_progress(tmp_path: Path) -> None:
    """The line is written over again and again, is gone at the end, and the cursor is back."""
    code, shown = in_terminal(tmp_path, *QUICK, *MARKET, "feed.speed=400")
    assert code == 0
    live = [part for part in re.split(r"[\r\n]+", shown) if "sim running: " in part]
    assert len(live) > 5
    assert all(part.startswith("\x1b[2K") for part in live)
    assert max(len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part)) for part in live) <= 80
    assert len(set(live)) > 5
    assert shown.rindex("\x1b[?25h") > shown.rindex("sim running: ")
    assert not NOISE.search(shown)
    assert " candles equal the oracle's" in shown
