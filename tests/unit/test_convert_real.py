"""The converter on the evaluation data's real captures: every feed and row arrives."""

import gzip
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ray_ingest.convert import main
from ray_ingest.core.instruments import InstrumentTable
from ray_ingest.feeds.tick_files import read_columns
from tests.unit.convert_cases import TICK


def test_real_feeds_convert_whole(tmp_path: Path, shared_data: Path) -> None:
    """Five instruments' recorded day becomes one file in arrival order, every feed a tick."""
    files = sorted((shared_data / "upstox_v3_20251215").glob("*.json.gz"))
    output = tmp_path / "day.parquet"
    assert main(["upstox-v3", *map(str, files), str(output)]) == 0
    ticks = pq.read_table(output)
    counts = {pair["values"]: pair["counts"] for pair in ticks["token"].value_counts().to_pylist()}
    assert counts == {
        "INE027H01010": 15924,
        "INE465A01025": 11445,
        "51460": 28590,
        "51510": 19364,
        "60166": 29463,
    }
    assert ticks["receive_time_ms"].to_pylist() == sorted(ticks["receive_time_ms"].to_pylist())
    equity = {"exchange": "NSE_EQ", "token": "INE027H01010", "last_price": 1069.4, "last_qty": 2}
    assert ticks.slice(0, 1).to_pylist() == [
        TICK
        | equity
        | {"event_time_ms": 1765771372292, "day_volume": 207194, "oi": None, "receive_time_ms": 1765771368880}
    ]
    option = next(tick for tick in ticks.to_pylist() if tick["exchange"] == "NSE_FO" and tick["oi"] == 338625)
    assert option == TICK | {"receive_time_ms": 1765771368948}
    assert sum(map(len, read_columns([output], InstrumentTable(), "replay"))) == 104_786


def test_real_messages_convert_whole(tmp_path: Path, shared_data: Path) -> None:
    """Whole messages stored newest first come out oldest first; index feeds carry neither volume nor oi."""
    output = tmp_path / "ticks.csv"
    assert (
        main(
            ["upstox-v3", str(shared_data / "upstox_v3_wrapped_20260123" / "raw_tick_data.json"), str(output)]
        )
        == 0
    )
    ticks = pa_csv.read_csv(output).to_pylist()
    received = [tick["receive_time_ms"] for tick in ticks]
    assert (len(ticks), received[0], received[-1]) == (859, 1769160568772, 1769160583627)
    assert received == sorted(received)
    assert [(tick["token"], tick["last_price"], tick["day_volume"]) for tick in ticks[:2]] == [
        ("58666", 94.25, 426465000),
        ("58652", 44, 174801575),
    ]
    indices = [tick for tick in ticks if tick["exchange"] == "NSE_INDEX"]
    assert len(indices) == 60
    assert {tick["token"] for tick in indices} == {"Nifty 50", "Nifty Bank"}
    assert all(tick[name] is None for tick in indices for name in ("last_qty", "day_volume", "oi"))


def test_real_csv_tapes_convert_whole(tmp_path: Path, shared_data: Path) -> None:
    """The NIFTY seconds of 2022 and every Alice Blue file convert row for row, without an error."""
    jobs = [
        (path, ["--instrument", "NSE_INDEX|Nifty 50", "--header", "ts,ltp", "--time-column", "ts"], 0)
        for path in sorted((shared_data / "nifty50_1s_2022").glob("*.csv.gz"))
    ]
    for path in sorted((shared_data / "aliceblue_ticks_2021").glob("*.csv.gz")):
        name = path.name.split("__")[1]
        volume = ["--volume-column", "volume"] if name == "EQ" else []
        jobs.append((path, ["--instrument", f"NSE_{name}|X", *volume], 1))
    assert len(jobs) == 14 + 23
    for number, (path, arguments, header_lines) in enumerate(jobs):
        output = tmp_path / f"{number}.parquet"
        assert main(["csv", str(path), str(output), *arguments]) == 0
        ticks = pq.read_table(output)
        with gzip.open(path) as file:
            assert len(ticks) == sum(1 for _ in file) - header_lines
        assert ticks["event_time_ms"].null_count == ticks["last_price"].null_count == 0
        assert ticks["day_volume"].null_count == (0 if "--volume-column" in arguments else len(ticks))
    first = pq.read_table(tmp_path / "0.parquet").slice(0, 1).to_pylist()[0]
    assert (first["event_time_ms"], first["last_price"]) == (1660102201000, 17525.1)
