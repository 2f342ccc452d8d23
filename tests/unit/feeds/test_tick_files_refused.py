"""Tick files that can't be read: each fault is refused in one line that names its place."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_ingest.errors import InputError
from ray_ingest.feeds.tick_files import content_identity, tick_file_paths
from tests.unit.feeds.tick_file_makers import HEADER, ROW, TICK, read, write_csv, write_parquet


def refusal(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", list(TICK))
def test_missing_column_is_named(tmp_path: Path, name: str) -> None:
    """Each required column that is absent is named, in both formats, with the file."""
    position = HEADER.split(",").index(name)
    line, header = (
        ",".join(cell for i, cell in enumerate(text.split(",")) if i != position) for text in (ROW, HEADER)
    )
    assert f"'{name}'" in refusal(write_csv(tmp_path / "t.csv", line, header=header))
    assert f"'{name}'" in refusal(write_parquet(tmp_path / "t.parquet", 1, **{name: None}))


def test_repeated_column_is_refused(tmp_path: Path) -> None:
    """Two columns of one name are ambiguous, so neither is silently taken."""
    assert "'oi'" in refusal(write_csv(tmp_path / "t.csv", f"{ROW},71", header=f"{HEADER},oi"))


@pytest.mark.parametrize(
    ("name", "values", "expected", "found"),
    [
        ("exchange", [1], "text", "int64"),
        ("token", [1.5], "text or integers", "double"),
        ("event_time_ms", [1.0], "integers", "double"),
        ("event_time_ms", pa.array([1], pa.timestamp("ms")), "integers", "timestamp[ms]"),
        ("last_price", ["100"], "numbers", "string"),
        ("last_qty", [5.0], "integers", "double"),
        ("day_volume", ["5"], "integers", "string"),
        ("oi", [[5]], "integers", "list"),
        ("receive_time_ms", ["5"], "integers", "string"),
        ("source", [True], "text", "bool"),
    ],
)
def test_mistyped_parquet_column_is_named(
    tmp_path: Path, name: str, values: Any, expected: str, found: str
) -> None:
    """The refusal says which column, what it must be and what it is."""
    message = refusal(write_parquet(tmp_path / "t.parquet", **{name: values}))
    assert f"'{name}' must be {expected}" in message
    assert f"not {found}" in message


def test_integer_too_large_for_64_bits_is_refused(tmp_path: Path) -> None:
    """An unsigned quantity beyond int64 is an error, not a negative number."""
    refusal(write_parquet(tmp_path / "t.parquet", day_volume=pa.array([2**64 - 1], pa.uint64())))


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("event_time_ms", "2025-12-15"),
        ("event_time_ms", "99999999999999999999"),
        ("last_price", "abc"),
        ("last_qty", "5.0"),
        ("day_volume", "null"),
        ("oi", "7,0"),
    ],
)
@pytest.mark.parametrize("good_rows", [0, 40_000])
def test_unparsable_csv_cell_is_named_by_column_and_row(
    tmp_path: Path, name: str, cell: str, good_rows: int
) -> None:
    """A bad cell is found by file, column and row, in the first chunk and in later ones."""
    cells = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {name: f'"{cell}"'}
    message = refusal(write_csv(tmp_path / "t.csv", *[ROW] * good_rows, ",".join(cells.values()), ROW))
    assert f"column '{name}', row {good_rows + 2}:" in message
    assert cell in message


@pytest.mark.parametrize("line", ["NSE_FO,1", f"{ROW},9,9"])
def test_ragged_csv_row_is_named(tmp_path: Path, line: str) -> None:
    """A row with too few or too many cells is refused by its row number."""
    assert "Row #4" in refusal(write_csv(tmp_path / "t.csv", ROW, ROW, line, ROW))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe\x93junk\n\x01\x02" * 99, b"PAR1 not really PAR1"])
def test_junk_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """Bytes that are no tick file at all are refused with the file's name, never with a traceback."""
    path = tmp_path / name
    path.write_bytes(content)
    refusal(path)


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    """A file cut off or overwritten in its middle is refused when the damage is reached."""
    whole = write_csv(tmp_path / "whole.csv.gz", *(f"{ROW}{i}" for i in range(99_999))).read_bytes()
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    refusal(cut)
    path = write_parquet(tmp_path / "t.parquet", 50_000, event_time_ms=np.arange(50_000))
    damaged = bytearray(path.read_bytes())
    damaged[1_000 : len(damaged) - 5_000] = b"\xff" * (len(damaged) - 6_000)
    path.write_bytes(damaged)
    refusal(path)


def test_file_that_vanished_is_refused(tmp_path: Path) -> None:
    """A file gone between listing and reading is the user's to know, in one line."""
    for name in ("gone.csv", "gone.parquet"):
        assert "No such file" in refusal(tmp_path / name)
    with pytest.raises(InputError, match=r"gone\.csv: can't be read: No such file"):
        content_identity([tmp_path / "gone.csv"])


@pytest.mark.parametrize("name", ["absent", "absent.csv", "empty", "notes.txt", "x" * 300])
def test_path_without_ticks_is_refused(tmp_path: Path, name: str) -> None:
    """No file, an empty folder and a file of another kind are each refused in one line."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError) as caught:
        tick_file_paths(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
