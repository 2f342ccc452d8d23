"""The converter: what becomes a tick, what is skipped, what is refused, and the real captures."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ray_ingest.convert import main
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.tick_files import read_columns
from tests.unit.convert_cases import TICK, refusal

LTPC = {"ltp": 524.3, "ltt": "1765771372063", "ltq": "35", "cp": 644.15}
MARKET = {"ltpc": LTPC, "vtt": "231350", "oi": 338625.0}


def message(feed: dict[str, Any], key: str = "NSE_FO|51460", sent: int = 1765771372100) -> dict[str, Any]:
    """A live_feed message of one feed."""
    return {"type": "live_feed", "feeds": {key: feed}, "currentTs": str(sent)}


def convert(tmp_path: Path, *records: dict[str, Any], lines: bool = False) -> list[dict[str, Any]]:
    """The ticks that the converter writes for these records."""
    capture, output = tmp_path / "capture.json", tmp_path / "ticks.parquet"
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    capture.write_text(text)
    assert main(["upstox-v3", str(capture), str(output)]) == 0
    ticks: list[dict[str, Any]] = pq.read_table(output).to_pylist()
    output.unlink()
    return ticks


@pytest.mark.parametrize(
    ("feed", "differs"),
    [
        ({"fullFeed": {"marketFF": MARKET}, "requestMode": "full_d5"}, {}),
        ({"firstLevelWithGreeks": MARKET}, {}),
        ({"ltpc": LTPC}, {"last_qty": None, "day_volume": None, "oi": None}),
        ({"fullFeed": {"indexFF": {"ltpc": LTPC}}}, {"last_qty": None, "day_volume": None, "oi": None}),
        (
            {"fullFeed": {"marketFF": {"ltpc": LTPC, "oi": 7}}},
            {"last_qty": None, "day_volume": None, "oi": 7},
        ),
        (
            {"fullFeed": {"marketFF": MARKET | {"ltpc": {"ltp": 1}}}},
            {"last_price": 1, "event_time_ms": None, "last_qty": None},
        ),
    ],
)
def test_every_feed_mode_becomes_a_tick(
    tmp_path: Path, feed: dict[str, Any], differs: dict[str, Any]
) -> None:
    """Each mode gives price and time; a quantity only beside a cumulative volume, else it would be summed."""
    assert convert(tmp_path, message(feed)) == [TICK | differs]


def test_recorders_wall_clock_is_read_in_its_zone(tmp_path: Path) -> None:
    """A feed's insertion time is India's unless told otherwise; one with its own offset keeps that."""
    feed = {"fullFeed": {"marketFF": MARKET}, "instrumentKey": "NSE_FO|51460"}
    times = ("2025-12-15 09:32:52.100000", "2025-12-15T09:32:52.1", "2025-12-15T04:02:52.100Z")
    ticks = convert(tmp_path, *(feed | {"_insertion_time": time} for time in times))
    assert ticks == [TICK] * 3
    output = tmp_path / "utc.csv"
    arguments = ["upstox-v3", str(tmp_path / "capture.json"), str(output), "--time-zone", "UTC"]
    assert main(arguments) == 0
    received = pa_csv.read_csv(output)["receive_time_ms"].to_pylist()
    assert received == [1765771372100 + 19_800_000] * 2 + [1765771372100]
    assert convert(tmp_path, feed) == [TICK | {"receive_time_ms": None}]


def test_what_is_no_tick_is_skipped_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Close-price-only feeds, market status and empty messages give no tick, and the summary says so."""
    ticks = convert(
        tmp_path,
        {"type": "market_info", "currentTs": "1", "marketInfo": {"segmentStatus": {"NSE_EQ": "NORMAL_OPEN"}}},
        message({"ltpc": {"cp": 644.15}}),
        message({"fullFeed": {"marketFF": {"vtt": "5"}}}),
        {"currentTs": "2"},
        message({"firstLevelWithGreeks": MARKET}),
        lines=True,
    )
    assert ticks == [TICK]
    assert capsys.readouterr().out == (
        f"{tmp_path / 'ticks.parquet'}: 1 ticks; skipped: "
        "2 × feed without a price, 1 × market_info, 1 × message without feeds\n"
    )


def test_newest_first_array_is_reversed(tmp_path: Path) -> None:
    """A dump that runs backwards in time comes out in arrival order; one that runs forwards is kept."""
    messages = [message({"ltpc": LTPC}, sent=1765771372100 + i) for i in (0, 2, 1, 3)]
    for records in (messages, messages[::-1]):
        received = [tick["receive_time_ms"] - 1765771372100 for tick in convert(tmp_path, *records)]
        assert received == [0, 2, 1, 3]


def test_several_captures_are_merged_by_receive_time(tmp_path: Path) -> None:
    """One file an instrument becomes one session, each file's own order kept, CSV as readable as Parquet."""
    for name, offsets in (("a", (0, 4, 3)), ("b", (1, 2, 9))):
        lines = [json.dumps(message({"ltpc": LTPC}, f"NSE_FO|{name}", 1000 + offset)) for offset in offsets]
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n\n".join(lines).encode()))
    inputs = [str(tmp_path / name) for name in ("a.jsonl.gz", "b.jsonl.gz")]
    for suffix in (".csv", ".parquet"):
        output = tmp_path / f"ticks{suffix}"
        assert main(["upstox-v3", *inputs, str(output)]) == 0
        table = InstrumentTable()
        (block,) = read_columns([output], table, "replay")
        tokens = "".join(table.entries[i].token for i in block.instrument)
        assert (tokens, block.receive_time_ms.tolist()) == ("abbaab", [1000, 1001, 1002, 1004, 1003, 1009])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not json\n", "malformed"),
        (b'{"type": "live_feed", "feeds"', "truncated"),
        (b'[{"currentTs": "1"}, 5]', "$[1]"),
        (b'{"some": "thing"}', "neither feeds and currentTs nor an instrumentKey"),
        (b'{"currentTs":"1","feeds":{"NSE_FO|1":{"ltpc":{"ltp":"high"}}}}', "ltp"),
        (b'{"currentTs":"1","feeds":{"NSE_FO|1":{"ltpc":{"ltp":1,"ltt":"99999999999999999999"}}}}', "ltt"),
        (b'{"instrumentKey":"NSE_FO|1","ltpc":{"ltp":1},"_insertion_time":"15/12/2025"}', "_insertion_time"),
    ],
)
def test_broken_capture_is_refused_by_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    """A capture that isn't one is refused with the file and the place, and leaves no output behind."""
    capture, output = tmp_path / "bad.json", tmp_path / "ticks.csv"
    capture.write_bytes(content)
    code, line = refusal(capsys, "upstox-v3", capture, output)
    assert code == 3
    assert str(capture) in line
    assert reason in line
    assert sorted(tmp_path.iterdir()) == [capture]


def test_unreadable_capture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, a folder, and a damaged or false gzip file each give one line and exit code 3."""
    whole = gzip.compress(json.dumps([message({"ltpc": LTPC})] * 999).encode())
    (tmp_path / "cut.json.gz").write_bytes(whole[:-20])
    (tmp_path / "junk.json.gz").write_bytes(b"junk")
    for path in (tmp_path / "gone.json", tmp_path, tmp_path / "cut.json.gz", tmp_path / "junk.json.gz"):
        code, line = refusal(capsys, "upstox-v3", path, tmp_path / "ticks.csv")
        assert code == 3
        assert f"{path}: can't be read" in line


def test_empty_capture_gives_a_file_of_no_ticks(tmp_path: Path) -> None:
    """A capture without messages is valid, and so is what it becomes."""
    assert convert(tmp_path) == []
    assert convert(tmp_path, lines=True) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "FORMAT"),
        (["upstox-v2", "a", "b.csv"], "upstox-v2"),
        (["upstox-v3", "a.json"], "OUTPUT"),
        (["upstox-v3", "a.json", "b.json"], ".parquet or .csv"),
        (["upstox-v3", "a.json", "/no/such/folder/b.csv"], "can't be written"),
        (["upstox-v3", "a.json", "b.csv", "--time-zone", "Mars/Olympus"], "Mars/Olympus"),
        (["csv", "a.csv", "b.csv"], "--instrument"),
        (["csv", "a.csv", "b.csv", "--instrument", "RELIANCE"], "RELIANCE"),
    ],
)
def test_wrong_command_line_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    """A command line that can't be meant is refused like a wrong setting: one line, exit code 2."""
    code, line = refusal(capsys, *arguments)
    assert code == 2
    assert reason in line


def test_module_runs_from_the_command_line(tmp_path: Path) -> None:
    """`python -m ray_ingest.convert` gives the error's exit code and a clean line, without a traceback."""
    command = [sys.executable, "-m", "ray_ingest.convert", "upstox-v3", "gone.json", str(tmp_path / "t.csv")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: gone.json: can't be read: No such file or directory\n"
