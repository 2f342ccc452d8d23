"""Reading tick files: what they may hold, and that reading is deterministic and bounded."""

import csv
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.instruments import Instrument, InstrumentTable
from ray_ingest.feeds.tick_batches import TICK_SCHEMA
from ray_ingest.feeds.tick_files import content_identity, read_columns, tick_file_paths
from ray_ingest.model import NULL, TickColumns
from tests.unit.feeds.tick_file_makers import HEADER, ROW, TICK, read, write_csv, write_parquet


def rows_of(table: InstrumentTable, blocks: Sequence[TickColumns]) -> list[tuple[Any, ...]]:
    """The blocks' ticks as plain tuples: the instrument, then `NUMBERS`."""
    return [
        (table.entries[block.instrument[i]], *(getattr(block, name)[i].item() for name in NUMBERS))
        for block in blocks
        for i in range(len(block))
    ]


NUMBERS = ("event_time_ms", "last_price", "last_qty", "day_volume", "oi", "receive_time_ms")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV"])
def test_csv_row_becomes_columns_of_the_fixed_types(tmp_path: Path, name: str) -> None:
    """A CSV, compressed or not, gives each column in the type the normaliser expects."""
    table, (block,) = read(write_csv(tmp_path / name, ROW))
    assert rows_of(table, [block]) == [
        (Instrument("NSE_FO", "0123", "replay"), 1765770305000, 100.5, 5, 1000, 70, NULL)
    ]
    assert block.instrument.dtype == np.uint32
    assert block.last_price.dtype == np.float64
    assert {getattr(block, name).dtype for name in NUMBERS if name != "last_price"} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"token": pa.array(["0123"]).dictionary_encode()},
        {"exchange": pa.array(["NSE_FO"], pa.large_string()), "token": pa.array(["0123"], pa.string_view())},
        {"last_qty": pa.array([5], pa.int32()), "day_volume": pa.array([1000], pa.uint64())},
        {"oi": pa.array([70], pa.int16()), "last_price": pa.array([100.5], pa.float32())},
        {"extra": [{"depth": 1}], "source": [None], "receive_time_ms": pa.nulls(1)},
    ],
)
def test_parquet_types_that_mean_the_same_are_read_alike(tmp_path: Path, columns: dict[str, Any]) -> None:
    """Every writer's flavour of text, integer and float gives the same tick; extra columns are ignored."""
    table, blocks = read(write_parquet(tmp_path / "t.parquet", **columns))
    assert rows_of(table, blocks) == [
        (Instrument("NSE_FO", "0123", "replay"), 1765770305000, 100.5, 5, 1000, 70, NULL)
    ]


def test_integer_tokens_and_prices_of_parquet_are_accepted(tmp_path: Path) -> None:
    """Tokens stored as integers become text, and whole prices stored as integers become floats."""
    table, (block,) = read(write_parquet(tmp_path / "t.parquet", token=[8765], last_price=[100]))
    assert table.entries == [Instrument("NSE_FO", "8765", "replay")]
    assert block.last_price.tolist() == [100.0]


def test_token_digits_in_csv_stay_text(tmp_path: Path) -> None:
    """A token keeps its leading zeros, and one that looks like a number or a date is still text."""
    rows = [ROW.replace("0123", token) for token in ("0123", "123", "1e5", "2025-12-15", "Nifty 50", "nan")]
    table, _ = read(write_csv(tmp_path / "t.csv", *rows))
    assert [entry.token for entry in table.entries] == ["0123", "123", "1e5", "2025-12-15", "Nifty 50", "nan"]


def test_nulls_become_the_models_missing_values(tmp_path: Path) -> None:
    """Null names are "" (a fault), null prices NaN, null integers NULL, in both formats."""
    nulls = {name: pa.nulls(1) for name in TICK}
    for path in (write_csv(tmp_path / "t.csv", ",,,,,,"), write_parquet(tmp_path / "t.parquet", **nulls)):
        table, (block,) = read(path)
        assert table.entries == [Instrument("", "", "replay")]
        assert table.FAULTS[table.faults()[block.instrument[0]]] == "exchange"
        assert math.isnan(block.last_price[0])
        assert [getattr(block, name)[0] for name in NUMBERS if name != "last_price"] == [NULL] * 5


def test_source_and_receive_time_are_taken_where_present(tmp_path: Path) -> None:
    """A row's own source names its producer; an empty one is the default, and the receive time is kept."""
    path = write_csv(
        tmp_path / "t.csv",
        f"{ROW},upstox,7",
        f"{ROW},,",
        f"{ROW},upstox,8",
        header=f"{HEADER},source,receive_time_ms",
    )
    table, (block,) = read(path)
    assert [entry.source for entry in table.entries] == ["upstox", "replay"]
    assert block.instrument.tolist() == [0, 1, 0]
    assert block.receive_time_ms.tolist() == [7, NULL, 8]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_blocks_are_full_but_for_each_files_last(tmp_path: Path, name: str) -> None:
    """Block boundaries depend on rows alone, never on a file's pages, row groups or text chunks."""
    count = 60_000  # the CSV is several of Arrow's 1 MiB chunks
    times = list(range(count))
    path = tmp_path / name
    whole = pa.table({name: [value] * count for name, value in TICK.items()} | {"event_time_ms": times})
    if path.suffix == ".csv":
        pa_csv.write_csv(whole, path)
    else:
        pq.write_table(whole, path, row_group_size=777)
    _, blocks = read(path, path, rows_per_block=7_001)
    one_file = [7_001] * 8 + [3_992]
    assert [len(block) for block in blocks] == one_file * 2
    assert np.concatenate([block.event_time_ms for block in blocks]).tolist() == times * 2


def test_parquet_is_streamed_not_loaded(tmp_path: Path) -> None:
    """One row group of any size is read within a bounded buffer."""
    count = 2_000_000
    noise = np.random.default_rng(1).integers(0, 1 << 62, count)
    path = tmp_path / "t.parquet"
    columns: dict[str, Any] = {name: [value] * count for name, value in TICK.items()}
    columns |= {"event_time_ms": noise, "day_volume": noise, "oi": noise}
    pq.write_table(pa.table(columns), path, row_group_size=count)
    del columns
    assert path.stat().st_size > 40_000_000
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in read_columns([path], InstrumentTable(), "replay")]
    assert max(held) < 32_000_000


def test_instruments_are_interned_in_order_of_first_sight(tmp_path: Path) -> None:
    """Ids follow the rows, across blocks and files, so that every run gives the same ids."""
    tokens = ["7", "3", "7", "9", "3", "1"]
    path = write_parquet(tmp_path / "t.parquet", 6, token=tokens)
    for rows_per_block in (1, 2, 6, 100):
        table, blocks = read(path, path, rows_per_block=rows_per_block)
        assert [entry.token for entry in table.entries] == ["7", "3", "9", "1"]
        assert np.concatenate([block.instrument for block in blocks]).tolist() == [0, 1, 0, 2, 1, 3] * 2


def test_files_without_rows_give_no_blocks(tmp_path: Path) -> None:
    """A header alone, or a Parquet file of no rows, is a valid file of no ticks."""
    empty = tmp_path / "t.parquet"
    pq.write_table(TICK_SCHEMA.empty_table(), empty)
    assert read(write_csv(tmp_path / "t.csv"), empty)[1] == []


TEXT = st.none() | st.text("aZ09 _|:{},;'\"\\\t\x07éĀ₹🙂\u200b", max_size=6)
INTEGER = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)
TICKS = st.lists(
    st.fixed_dictionaries(
        {
            "exchange": st.sampled_from(["NSE_EQ", "nse_eq", "", None]) | TEXT,
            "token": st.sampled_from(["1", "01", "Nifty 50", '"', ","]) | TEXT,
            "event_time_ms": INTEGER,
            "last_price": st.none() | st.floats(),
            "last_qty": INTEGER,
            "day_volume": INTEGER,
            "oi": INTEGER,
            "receive_time_ms": INTEGER,
            "source": st.sampled_from(["upstox", "dhan", "", None]),
        }
    ),
    max_size=12,
)


@given(TICKS, st.integers(1, 5))
def test_parquet_and_csv_of_the_same_ticks_are_equal(
    ticks: list[dict[str, Any]], rows_per_block: int
) -> None:
    """The format never changes a tick: same ids, same names, same numbers, same blocks."""
    whole = pa.Table.from_pylist(ticks, TICK_SCHEMA)
    with tempfile.TemporaryDirectory() as folder:
        parquet, text = Path(folder) / "t.parquet", Path(folder) / "t.csv"
        pq.write_table(whole, parquet)
        pa_csv.write_csv(whole, text)
        first, second = (read(path, rows_per_block=rows_per_block) for path in (parquet, text))
    assert first[0].entries == second[0].entries
    assert len(first[1]) == len(second[1]) == -(-len(ticks) // rows_per_block)
    for one, other in zip(first[1], second[1], strict=True):
        for name in ("instrument", *NUMBERS):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_folder_gives_its_tick_files_in_name_order(tmp_path: Path) -> None:
    """A folder is replayed in name order; other files and folders in it are left alone."""
    for name in ("b.csv", "a.parquet", "C.CSV", "c.csv.gz", "notes.txt", "d.csv.partial"):
        (tmp_path / name).touch()
    (tmp_path / "z.csv").mkdir()
    names = [path.name for path in tick_file_paths(tmp_path)]
    assert names == ["C.CSV", "a.parquet", "b.csv", "c.csv.gz"]
    assert tick_file_paths(tmp_path / "b.csv") == [tmp_path / "b.csv"]


def test_identity_is_of_names_and_contents_in_order(tmp_path: Path) -> None:
    """The same files elsewhere are the same source; another name, order or byte is another one."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "a.csv").write_text("1")
        (folder / "b.csv").write_text("2")
    a, b = here / "a.csv", here / "b.csv"
    identity = content_identity([a, b])
    assert len(identity) == 32
    assert int(identity, 16) >= 0
    assert content_identity([there / "a.csv", there / "b.csv"]) == identity
    others = {content_identity([b, a]), content_identity([a]), content_identity([a, b, b])}
    b.write_text("3")
    others.add(content_identity([a, b]))
    b.write_text("2")
    a.rename(here / "c.csv")
    others.add(content_identity([here / "c.csv", b]))
    assert len(others - {identity}) == 5


def test_every_vector_reads_as_its_csv_says(shared_data: Path) -> None:
    """The hand-made tapes read with each cell in its place; an empty source is the default."""
    paths = sorted((shared_data / "vectors").glob("*/ticks.csv"))
    assert paths
    for path in paths:
        table, blocks = read(path)
        with path.open(newline="") as file:
            expected = [
                (
                    Instrument(row["exchange"].upper(), row["token"], row["source"] or "replay"),
                    int(row["event_time_ms"]),
                    float(row["last_price"]),
                    *(int(row[name]) if row[name] else NULL for name in ("last_qty", "day_volume", "oi")),
                    NULL,
                )
                for row in csv.DictReader(file)
            ]
        assert rows_of(table, blocks) == expected
