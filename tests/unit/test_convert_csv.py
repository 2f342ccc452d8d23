"""The converter's CSV side: one instrument's columns by name, and what is refused."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ray_ingest.convert import main
from ray_ingest.feeds.tick_batches import TICK_SCHEMA
from tests.unit.convert_cases import refusal


def test_existing_file_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forgetting OUTPUT would name the last input as it: nothing that exists is replaced."""
    first, last = tmp_path / "a.csv", tmp_path / "b.csv"
    last.write_text("precious")
    code, line = refusal(capsys, "csv", first, last, "--instrument", "NSE_EQ|1")
    assert (code, last.read_text()) == (2, "precious")
    assert "exists already" in line


def test_csv_columns_are_taken_by_name(tmp_path: Path) -> None:
    """A CSV's own column names, zone and volume become the tick columns; an empty cell stays null."""
    source, output = tmp_path / "a.csv", tmp_path / "ticks.parquet"
    source.write_text("price,when,total,note\n10.5,2021-04-05 09:15:53,100,x\n,2021-04-05T09:15:54.250,,y\n")
    arguments = f"csv {source} {output} --time-column when --price-column price --volume-column total".split()
    assert main([*arguments, "--instrument", "nse_eq|Big Co", "--time-zone", "UTC"]) == 0
    known = {"exchange": "NSE_EQ", "token": "Big Co"}
    empty = dict.fromkeys(TICK_SCHEMA.names)
    assert pq.read_table(output).to_pylist() == [
        empty | known | {"event_time_ms": 1617614153000, "last_price": 10.5, "day_volume": 100},
        empty | known | {"event_time_ms": 1617614154250},
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "reason"),
    [
        ("when,ltp\n2021-04-05 09:15:53,1\n", [], "column 'timestamp'"),
        ("timestamp,ltp\n2021-04-05 09:15:53,1\nyesterday,1\n", [], "column 'timestamp', row 3"),
        ("timestamp,ltp\n2021-04-05 09:15:53,one\n", [], "column 'ltp', row 2"),
        ("timestamp,ltp,v\n2021-04-05 09:15:53,1,2.5\n", ["--volume-column", "v"], "column 'v', row 2"),
        (
            "2021-04-05 09:15:53,1\n2021-04-05 09:15:54,x\n",
            ["--header", "timestamp,ltp"],
            "column 'ltp', row 2",
        ),
        ("timestamp,ltp\n2021-03-28 02:30:00,1\n", ["--time-zone", "Europe/Berlin"], "2021-03-28 02:30"),
    ],
)
def test_csv_that_cant_be_read_is_refused_by_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], reason: str
) -> None:
    """A missing column, a bad cell and an hour that a zone skips are named; no output is left."""
    source = tmp_path / "a.csv"
    source.write_text(text)
    code, line = refusal(capsys, "csv", source, tmp_path / "t.csv", "--instrument", "NSE_EQ|1", *arguments)
    assert code == 3
    assert f"{source}: " in line
    assert reason in line
    assert sorted(tmp_path.iterdir()) == [source]
