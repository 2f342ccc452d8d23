"""The masters of one day together: our names, what each broker calls them, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl

from ray_ingest.clock import today
from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.instruments.columns import CONTRACT, SEGMENTS
from ray_ingest.instruments.errors import MastersError
from ray_ingest.instruments.near import unknown
from ray_ingest.instruments.stored import Master, default_instruments_dir, newest
from ray_ingest.instruments.symbols import with_contract_symbols

_SEARCHED = ("symbol", "contract_symbol", "isin", "description")
_RANKS = {"name": 0, "key": 1, "symbol": 2, "contract_symbol": 3}


@dataclass(frozen=True, slots=True)
class Contract:
    """What a name stands for on `day`, the day of the master that says so. `expiry` and `strike` (rupees) are
    None and `underlying` and `option_type` (CE, PE, FUT) "" where there is none; `tick_size` in rupees."""

    name: str
    day: date
    symbol: str
    description: str
    kind: str
    underlying: str
    expiry: date | None
    strike: float | None
    option_type: str
    isin: str
    lot_size: int | None
    tick_size: float

    @property
    def identity(self) -> str:
        """The same on every day, and never another's: a derivative's token is given away after its expiry.

        "NSE_EQ|2885", "NSE_FO|46837|NIFTY|2025-11-25|25000|CE".
        """
        if self.expiry is None:
            return self.name
        strike = "" if self.strike is None else f"{self.strike:g}"
        return "|".join((self.name, self.underlying, self.expiry.isoformat(), strike, self.option_type))


class Instruments:
    """Masters of one or more brokers. Nothing is read before it is asked for; then about 0.2 s a broker.

    The newest master decides which contract a token names, of one day Upstox's, then Fyers', then Dhan's. An
    older one's derivatives get the name of the same contract (underlying, expiry, strike and type); one whose
    token names another contract by now has no name.
    """

    def __init__(self, masters: Mapping[str, Master]) -> None:
        self.masters = dict(masters)

    @classmethod
    def load(cls, folder: Path | None = None, on: date | None = None) -> Instruments:
        """Each broker's newest stored master of a day not after `on`, by default today in India.

        Raises MastersError when there is none.
        """
        folder = folder or default_instruments_dir()
        day = on or today()
        found = newest(folder, day)
        if not found:
            raise MastersError(
                f"{folder}: no instrument masters of {day} or before: "
                "run python -m ray_ingest.instruments fetch"
            )
        return cls(found)

    def names(self, broker: str | None = None) -> list[str]:
        """All names, or those of one broker, as its master orders them. Raises MastersError."""
        frame = self.catalogue if broker is None else self.mapped(broker)
        return frame["name"].to_list()

    def subscriptions(self, names: Sequence[str], broker: str) -> list[Subscription]:
        """What to subscribe at a broker, in the order of `names`; what it lacks is left out: see `missing`.

        Raises UnknownInstrumentError for a name that no broker has, MastersError for a broker without master.
        """
        known = set(self._rows(self.catalogue, names)["name"])
        if strangers := [name for name in names if name not in known]:
            raise unknown(strangers, self.catalogue)
        rows = self._rows(self.mapped(broker), names).select("name", "key", "tick_size")
        return [Subscription(*row) for row in rows.iter_rows()]

    def missing(self, names: Sequence[str], broker: str) -> list[str]:
        """Those of `names` that the broker doesn't have, in their order. Raises MastersError."""
        known = set(self._rows(self.mapped(broker), names)["name"])
        return [name for name in names if name not in known]

    def name_of(self, broker: str, key: str) -> str | None:
        """Our name for a broker's key; None where it has no name. Raises MastersError."""
        return next(iter(self.mapped(broker).filter(key=key)["name"]), None)

    def contract(self, name: str) -> Contract:
        """What the name stands for. Raises UnknownInstrumentError, naming near matches."""
        rows = self.catalogue.filter(name=name)
        if rows.is_empty():
            raise unknown([name], self.catalogue)
        row = rows.row(0, named=True)
        return Contract(**{field: row[field] for field in Contract.__slots__})

    def find(self, text: str) -> list[str]:
        """Names of the instruments in which every word of `text` occurs, in name, symbols, ISIN or
        description; what is spelled just so comes first."""
        exact = self.meanings([text]).get(text, [])
        searched = pl.concat_str("name", *_SEARCHED, separator=" ").str.to_uppercase()
        words = [searched.str.contains(word, literal=True) for word in text.upper().split()]
        rows = self.catalogue.filter(pl.all_horizontal(words)) if words else self.catalogue.clear()
        return list(dict.fromkeys([*exact, *rows["name"]]))

    def meanings(self, texts: Iterable[str]) -> dict[str, list[str]]:
        """What each text may mean, in any case: a name, a broker's key, a trading symbol, a contract's.

        A symbol alone means the first segment of SEGMENTS that has it, and there series EQ before others. Two
        names of a text are as likely; a text that means nothing has no entry.
        """
        wanted: dict[str, list[str]] = {}
        for text in texts:
            wanted.setdefault(text.upper(), []).append(text)
        spelled = pl.Series(list(wanted), dtype=pl.String).implode()
        frames = [self.catalogue, *(self.mapped(broker) for broker in self.masters)]
        found: list[pl.DataFrame] = [
            frame.with_columns(spelling=pl.col(column).str.to_uppercase())
            .filter(pl.col("spelling").is_in(spelled) & (pl.col("spelling") != ""))
            .select("spelling", "name", "segment", "series", rank=pl.lit(_RANKS[column]))
            for frame in frames
            for column in _RANKS
            if column in frame.columns
        ]
        segment = pl.col("segment").replace_strict(SEGMENTS, range(len(SEGMENTS)), default=len(SEGMENTS))
        place = (
            pl.when(pl.col("rank") > _RANKS["key"])
            .then(2 * segment + (pl.col("series") != "EQ"))
            .otherwise(0)
        )
        rows = pl.concat(found).with_columns(place=100 * pl.col("rank") + place)
        best = rows.filter(pl.col("place") == pl.col("place").min().over("spelling"))
        means: dict[str, list[str]] = {}
        for spelling, name in best.select("spelling", "name").unique(maintain_order=True).iter_rows():
            for text in dict.fromkeys(wanted[spelling]):
                means.setdefault(text, []).append(name)
        return means

    def mapped(self, broker: str) -> pl.DataFrame:
        """A broker's master, only the rows that have a name. Raises MastersError when it has no master."""
        if broker not in self.masters:
            have = ", ".join(self.masters) or "none"
            raise MastersError(f"no instrument master of {broker} (there is {have}): fetch it")
        return self._merged[0][broker].filter(pl.col("name").is_not_null())

    def unmapped(self, broker: str) -> pl.DataFrame:
        """The rest of a broker's master; `unmapped` says why. Raises MastersError when it has no master."""
        self.mapped(broker)
        return self._merged[0][broker].filter(pl.col("name").is_null())

    @property
    def catalogue(self) -> pl.DataFrame:
        """One row a name: columns of SCHEMA but the broker's own, `day` of its master, `contract_symbol` as
        exchanges write it (NIFTY25NOV25000CE), `monthly`: whether its expiry is the one of its month."""
        return self._merged[1]

    @cached_property
    def _merged(self) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
        mapped: dict[str, pl.DataFrame] = {}
        catalogue: pl.DataFrame | None = None
        for broker, master in sorted(self.masters.items(), key=lambda item: item[1].day, reverse=True):
            frame = master.read()
            if catalogue is not None:
                frame = _reconciled(frame, catalogue)
            mapped[broker] = frame
            ours = frame.filter(pl.col("name").is_not_null()).with_columns(day=master.day)
            ours = ours.drop("key", "broker_id", "unmapped")
            if catalogue is None:
                catalogue = ours
            else:
                catalogue = pl.concat([catalogue, ours.join(catalogue, on="name", how="anti")])
        if catalogue is None:
            raise MastersError("no instrument masters: run python -m ray_ingest.instruments fetch")
        return mapped, with_contract_symbols(catalogue)

    @staticmethod
    def _rows(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        wanted = pl.DataFrame({"name": names}, schema={"name": pl.String()}).unique(maintain_order=True)
        return wanted.join(frame, on="name", how="inner", maintain_order="left")


def _reconciled(master: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """A master whose derivatives have the names that the catalogue gives the same contracts."""
    listed = catalogue.filter(pl.col("expiry").is_not_null())
    same = listed.select(*CONTRACT, same="name").unique(CONTRACT, keep="first")
    taken = listed.select("name", taken=pl.lit(True))
    named = pl.col("name").is_not_null()
    lost = named & pl.col("same").is_null() & pl.col("taken").is_not_null()
    joined = (
        master.join(same, on=CONTRACT, how="left", nulls_equal=True, maintain_order="left")
        .join(taken, on="name", how="left", maintain_order="left")
        .with_columns(
            name=pl.when(named & lost.not_()).then(pl.coalesce("same", "name")),
            unmapped=pl.when(lost).then(pl.col("name") + " is another contract").otherwise("unmapped"),
        )
    )
    second = pl.col("name").is_not_null() & pl.col("name").is_first_distinct().not_()
    return joined.with_columns(
        unmapped=pl.when(second).then("second row of " + pl.col("name")).otherwise("unmapped"),
        name=pl.when(second.not_()).then("name"),
    ).select(master.columns)
