"""The brokers' real masters. Which files give which figure of the market's facts:

equities Upstox/Dhan: `upstox_complete_caden` (2025-08-14) and `dhan_NSE_E_20250811`, series EQ, by symbol;
equities Upstox/Fyers: the same and `fyers_NSE_CM_20250515`, series EQ, by symbol;
F&O of one date, NSE and BSE: `upstox_complete_caden` and `dhan_master_20250906`, which is a list of August;
reused tokens: NSE_FO of `upstox_complete_caden` and `upstox_NSE_java` (2025-12-23).
"""

from datetime import date
from functools import cache
from pathlib import Path
from time import perf_counter

import polars as pl
import pytest

from ray_ingest.instruments import Instruments, select
from ray_ingest.instruments.columns import CONTRACT
from ray_ingest.instruments.masters import read_masters
from ray_ingest.instruments.stored import Master, write_master

AUGUST, NOVEMBER, DECEMBER = date(2025, 8, 14), date(2025, 11, 10), date(2025, 12, 23)
ALL = {
    "upstox_complete_caden.json.gz": (95_846, 7_798), "upstox_NSE_pubsub.json.gz": (63_052, 13_526),
    "upstox_NSE_java.json.gz": (77_709, 21_892), "upstox_instruments_sosnew.json.gz": (86_109, 27_162),
    "fyers_NSE_CM_20250515.csv.gz": (8_052, 3), "fyers_NSE_CM_202511.csv.gz": (8_730, 0),
    "fyers_BSE_FO_202511.csv.gz": (6_708, 0), "fyers_NSE_CD_202511.csv.gz": (11_063, 0),
    "dhan_NSE_E_20250811.csv.gz": (8_326, 0), "dhan_master_20250906.csv.gz": (19_118, 18),
    "dhan_EQ_IDX_20260629.csv.gz": (23_116, 8), "dhan_detailed_NSE_EQ_IDX_20260415.csv.gz": (9_469, 1),
}  # fmt: skip
"""Of every file: its rows, and how many of them have no name (Upstox's are all NSE_COM)."""


@cache
def master_of(path: Path) -> pl.DataFrame:
    """The master that is this one file."""
    (master,) = read_masters([path]).values()
    return master


@pytest.fixture
def masters(shared_data: Path) -> Path:
    """The folder with the brokers' files."""
    folder = shared_data / "masters"
    if not folder.is_dir():
        pytest.skip("no masters in the evaluation data")
    return folder


def stored(folder: Path, masters: Path, days: dict[str, date]) -> Instruments:
    """The files' masters, stored below the folder as of these days (file name → day)."""
    found = {}
    for name, day in days.items():
        broker = name.partition("_")[0]
        found[broker] = Master(day, write_master(folder, day, broker, master_of(masters / name)))
    return Instruments(found)


def same_symbols(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Stocks of series EQ on NSE that both list under the same symbol, the other's columns with _right."""
    stocks = (pl.col("segment") == "NSE_EQ") & (pl.col("series") == "EQ")
    return one.filter(stocks).join(other.filter(stocks), on="symbol")


@pytest.mark.parametrize("name", ALL)
def test_every_file_is_read(name: str, masters: Path) -> None:
    """All rows of all files come in, and what gets no name is exactly what we know of."""
    master = master_of(masters / name)
    rows, without = ALL[name]
    assert (len(master), master["name"].null_count()) == (rows, without)
    assert master["name"].drop_nulls().is_unique().all()
    assert master["key"].is_unique().all()
    named = master.filter(pl.col("name").is_not_null())
    assert named["tick_size"].is_between(0.0001, 100).all()
    reasons = set(master.filter(pl.col("name").is_null())["unmapped"])
    assert reasons <= {"segment NSE_COM is none of ours", "index is not in the kept table"}


@pytest.mark.parametrize(
    ("other", "count"), [("dhan_NSE_E_20250811.csv.gz", 2_070), ("fyers_NSE_CM_20250515.csv.gz", 1_908)]
)
def test_equities_map_one_to_one(other: str, count: int, masters: Path) -> None:
    """A stock has the same exchange token everywhere: 2,070 of 2,070 at Dhan, 1,908 of 1,908 at Fyers."""
    both = same_symbols(master_of(masters / "upstox_complete_caden.json.gz"), master_of(masters / other))
    assert len(both) == count
    assert (both["name"] == both["name_right"]).sum() == count
    assert both["name"].is_unique().all()


def test_dhan_s_derivatives_are_upstox_s(masters: Path, tmp_path: Path) -> None:
    """In masters of one date every token that both list on NSE and BSE, 7,873, is the same contract."""
    upstox = master_of(masters / "upstox_complete_caden.json.gz")
    dhan = master_of(masters / "dhan_master_20250906.csv.gz")
    options = pl.col("segment").is_in(["NSE_FO", "BSE_FO"])
    both = upstox.filter(options).join(dhan.filter(options), on="name")
    for column in CONTRACT:
        assert both[column].eq_missing(both[f"{column}_right"]).sum() == len(both) == 7_873
    days = {"upstox_complete_caden.json.gz": AUGUST, "dhan_master_20250906.csv.gz": AUGUST}
    instruments = stored(tmp_path, masters, days)
    names = both["name"].to_list()
    assert instruments.missing(names, "dhan") == []
    assert [one.name for one in instruments.subscriptions(names, "dhan")] == names


def test_fyers_derivatives_are_upstox_s(masters: Path) -> None:
    """Fyers' BSE contracts of November that Upstox listed in August have kept their tokens: 330 of 330."""
    both = master_of(masters / "upstox_complete_caden.json.gz").join(
        master_of(masters / "fyers_BSE_FO_202511.csv.gz").filter(pl.col("expiry").is_not_null()),
        on=CONTRACT,
        nulls_equal=True,
    )
    assert (len(both), (both["name"] == both["name_right"]).sum()) == (330, 330)


def test_contract_symbols_are_those_that_fyers_writes(masters: Path, tmp_path: Path) -> None:
    """Symbols made from underlying, expiry, strike and type are the exchange's: all of Fyers' 17,771."""
    for name, count in (("fyers_BSE_FO_202511.csv.gz", 6_708), ("fyers_NSE_CD_202511.csv.gz", 11_063)):
        catalogue = stored(tmp_path, masters, {name: NOVEMBER}).catalogue
        assert (catalogue["symbol"] == catalogue["contract_symbol"]).sum() == count


def test_reused_tokens_are_told_apart(masters: Path, tmp_path: Path) -> None:
    """Of 12,035 tokens on NSE_FO in masters four months apart 97 % name another contract, and say so."""
    august = stored(tmp_path, masters, {"upstox_complete_caden.json.gz": AUGUST})
    december = stored(tmp_path, masters, {"upstox_NSE_java.json.gz": DECEMBER})
    both = august.catalogue.join(december.catalogue, on="name").filter(pl.col("segment") == "NSE_FO")
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_right")) for name in CONTRACT[1:])
    changed = both.filter(other)["name"].to_list()
    assert (len(both), len(changed)) == (12_035, 11_646)
    for name in changed[::500]:
        assert august.contract(name).identity != december.contract(name).identity
    for name in both.filter(~other)["name"].to_list()[::50]:
        assert august.contract(name).identity == december.contract(name).identity


def test_an_old_master_is_not_taken_by_its_tokens(masters: Path, tmp_path: Path) -> None:
    """Dhan's of August beside Upstox's of December: names go to the same contract or to none at all."""
    days = {"upstox_NSE_java.json.gz": DECEMBER, "dhan_master_20250906.csv.gz": AUGUST}
    instruments = stored(tmp_path, masters, days)
    derivatives = pl.col("segment") == "NSE_FO"
    both = instruments.mapped("upstox").join(instruments.mapped("dhan").filter(derivatives), on="name")
    for column in CONTRACT:
        assert both[column].eq_missing(both[f"{column}_right"]).all()
    assert len(both) == 407
    lost = instruments.unmapped("dhan").filter(pl.col("unmapped").str.ends_with("is another contract"))
    assert len(lost) == 2_967  # of 3,374 tokens in both: matched by token alone, all of these would be wrong


def test_indices_map_through_the_kept_table(masters: Path, tmp_path: Path) -> None:
    """All of Fyers' 120 NSE indices of November, and all of Dhan's but Gift Nifty, are indices of Upstox."""
    upstox = set(master_of(masters / "upstox_NSE_java.json.gz").filter(kind="index")["name"])
    fyers = master_of(masters / "fyers_NSE_CM_202511.csv.gz").filter(kind="index")
    assert len(fyers) == len(upstox & set(fyers["name"])) == 120
    dhan = master_of(masters / "dhan_detailed_NSE_EQ_IDX_20260415.csv.gz").filter(kind="index")
    assert len(dhan) - 1 == len(upstox & set(dhan["name"])) == 118
    instruments = stored(
        tmp_path, masters, {"upstox_NSE_java.json.gz": DECEMBER, "fyers_NSE_CM_202511.csv.gz": NOVEMBER}
    )
    assert instruments.name_of("fyers", "NSE:FINNIFTY-INDEX") == "NSE_INDEX|Nifty Fin Service"


def test_rules_find_what_traders_mean(masters: Path, tmp_path: Path) -> None:
    """The rules on a real chain: 21 strikes of the nearest Tuesday, 208 F&O stocks, 134 indices."""
    instruments = stored(tmp_path, masters, {"upstox_NSE_java.json.gz": DECEMBER})
    chosen = select(["NIFTY nearest weekly ± 10 strikes"], instruments, DECEMBER, {"NIFTY": 26_177.0})
    contracts = [instruments.contract(name) for name in chosen]
    assert len(chosen) == 42
    assert {contract.expiry for contract in contracts} == {DECEMBER}
    assert {contract.strike for contract in contracts} == {26_200.0 + 50 * step for step in range(-10, 11)}
    (future,) = select(["BANKNIFTY nearest monthly futures"], instruments, DECEMBER)
    assert instruments.contract(future).expiry == date(2025, 12, 30)
    assert len(select(["all F&O stocks"], instruments, DECEMBER)) == 208
    assert len(select(["all indices"], instruments, DECEMBER)) == 134


def test_loading_is_quick(masters: Path, tmp_path: Path) -> None:
    """A driver has 2,000 keys of a master of 96,000 rows within seconds, most of it spare: it takes 0.3 s."""
    instruments = stored(tmp_path, masters, {"upstox_complete_caden.json.gz": AUGUST})
    started = perf_counter()
    names = select(["NSE_EQ|*"], instruments, AUGUST)[:2_000]
    assert len(instruments.subscriptions(names, "upstox")) == 2_000
    assert perf_counter() - started < 5
