"""From what a user wrote to names: exact ones, any broker's spelling, patterns, and rules in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from ray_ingest.errors import ConfigError
from ray_ingest.instruments.columns import SEGMENTS
from ray_ingest.instruments.listing import Instruments
from ray_ingest.instruments.near import near_words, unknown
from ray_ingest.instruments.rules import ContractRule, Group, parse

_PRICE = re.compile(r"\d{1,9}(\.\d+)?", re.ASCII)
_FO_SEGMENTS = [segment for segment in SEGMENTS if segment.endswith("_FO")]


def select(
    texts: Sequence[str], instruments: Instruments, today: date, spots: Mapping[str, float] | None = None
) -> list[str]:
    """The names that the texts mean, each once, in the order of the texts.

    A text is a name ("NSE_EQ|2885"), a broker's key or trading symbol ("SBIN", "NSE:SBIN-EQ"), a pattern with
    * and ? over names ("NSE_EQ|*") or symbols ("NIFTY25NOV*CE"), or a rule (`rules`). Patterns and rules find
    nothing that expired before `today`. Strikes are counted from the rule's own price, else from `spots`
    (rupees, by underlying as the exchange writes it: "NIFTY"), else from the middle of the chain.

    Raises UnknownInstrumentError for a name no broker has, naming near matches, and ConfigError for a pattern
    or rule that is none or finds nothing; MastersError.
    """
    catalogue = instruments.catalogue
    texts = [_checked(text) for text in texts]
    plain = [text for text in texts if parse(text) is None and not _is_pattern(text)]
    means = instruments.meanings(plain)
    if strangers := [text for text in dict.fromkeys(plain) if text not in means]:
        raise unknown(strangers, catalogue)
    chosen: dict[str, None] = {}
    for text in texts:
        rule = parse(text)
        if isinstance(rule, ContractRule):
            names = _contracts(text, rule, catalogue, today, spots or {})
        elif rule is not None:
            names = _group(rule, catalogue)
        elif _is_pattern(text):
            names = _matches(text, catalogue, instruments, today)
        else:
            names = means[text]
            if len(names) > 1:
                raise ConfigError(f"{text} may be {' or '.join(names)}: write one of these")
        chosen |= dict.fromkeys(names)
    return list(chosen)


def read_list(path: Path) -> list[str]:
    """The texts of a file, one a line; blank lines and what follows # are comments.

    Raises ConfigError, naming the line, for what is no text or a rule that can't be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file in UTF-8") from None
    texts: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        try:
            if text:
                parse(_checked(text))
                texts.append(text)
        except ConfigError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from None
    if not texts:
        raise ConfigError(f"{path}: no instrument in it")
    return texts


def _checked(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ConfigError(f"{text!r} names no instrument: it is empty or has control characters")
    return text.strip()


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _matches(pattern: str, catalogue: pl.DataFrame, instruments: Instruments, today: date) -> list[str]:
    """With | over names, else over symbols: the contract's, and every broker's with and without prefix."""
    wild = {"*": ".*", "?": "."}
    expression = "(?i)^" + "".join(wild.get(letter) or re.escape(letter) for letter in pattern) + "$"
    catalogue = catalogue.filter(pl.col("expiry").is_null() | (pl.col("expiry") >= today))
    if "|" in pattern:
        names = catalogue.filter(pl.col("name").str.contains(expression))["name"]
    else:
        found = [_matching(catalogue, expression, "symbol", "contract_symbol")]
        found += [
            _matching(instruments.mapped(broker), expression, "symbol", "key")
            for broker in instruments.masters
        ]
        names = catalogue.join(pl.concat(found).to_frame(), on="name", how="semi", maintain_order="left")[
            "name"
        ]
    if names.is_empty():
        raise ConfigError(f"{pattern}: no instrument matches this pattern")
    return names.to_list()


def _matching(frame: pl.DataFrame, expression: str, *columns: str) -> pl.Series:
    return frame.filter(pl.any_horizontal(pl.col(*columns).str.contains(expression)))["name"]


def _group(group: Group, catalogue: pl.DataFrame) -> list[str]:
    if group is Group.INDICES:
        return catalogue.filter(kind="index")["name"].to_list()
    underlyings = catalogue.filter(pl.col("segment") == "NSE_FO").select("underlying").unique()
    stocks = catalogue.filter((pl.col("segment") == "NSE_EQ") & pl.col("series").is_in(["EQ", ""]))
    found = stocks.join(
        underlyings, left_on="symbol", right_on="underlying", how="semi", maintain_order="left"
    )
    if found.is_empty():
        raise ConfigError(f"{group.replace('f&o', 'F&O')}: no master has both stocks and their derivatives")
    return found["name"].to_list()


def _contracts(
    text: str, rule: ContractRule, catalogue: pl.DataFrame, today: date, spots: Mapping[str, float]
) -> list[str]:
    chain = _chain(text, rule, catalogue)
    expiries = chain.filter(pl.col("expiry") >= today).select("expiry", "monthly").unique().sort("expiry")
    if rule.cycle == "weekly" and chain["monthly"].all():
        raise ConfigError(f"{text}: {rule.underlying} has no weekly expiries: write monthly")
    if rule.cycle == "monthly":
        expiries = expiries.filter("monthly")
    days = [day for day in expiries["expiry"] if rule.day in (None, day)]
    if rule.turn >= len(days):
        listed = ", ".join(map(str, expiries["expiry"].head(4))) or "none"
        raise ConfigError(f"{text}: no such expiry from {today} on; there is {listed}")
    rows = chain.filter(pl.col("expiry") == days[rule.turn]).sort("strike", "option_type")
    if rule.strikes is not None:
        around = rule.around if rule.around is not None else spots.get(rule.underlying)
        strikes = _nearest(sorted(set(rows["strike"])), rule.strikes, around)
        rows = rows.filter(pl.col("strike").is_in(strikes))
    return rows["name"].to_list()


def _chain(text: str, rule: ContractRule, catalogue: pl.DataFrame) -> pl.DataFrame:
    """The underlying's contracts of the wanted types, in the first segment that has any."""
    derivatives = catalogue.filter(pl.col("expiry").is_not_null())
    contracts = derivatives.filter(pl.col("underlying").str.to_uppercase() == rule.underlying)
    if contracts.is_empty():
        near = near_words(rule.underlying, derivatives["underlying"].unique().to_list())
        raise ConfigError(f"{text}: no derivatives of {rule.underlying}{near}")
    of_type = contracts.filter(pl.col("option_type").is_in(rule.types))
    for segment in _FO_SEGMENTS:
        chain = of_type.filter(segment=segment)
        if not chain.is_empty():
            return chain
    raise ConfigError(f"{text}: {rule.underlying} has no {'futures' if 'FUT' in rule.types else 'options'}")


def _nearest(strikes: Sequence[float], count: int, around: float | None) -> list[float]:
    """`count` strikes on both sides of the one nearest to `around`, or of the middle one; less at an end."""
    if around is None:
        middle = len(strikes) // 2
    else:
        middle = min(range(len(strikes)), key=lambda i: (abs(strikes[i] - around), i))
    return list(strikes[max(0, middle - count) : middle + count + 1])


def spots_of(texts: Iterable[str]) -> dict[str, float]:
    """Prices from texts such as "NIFTY=26010.5", as the command line takes them. Raises ConfigError."""
    spots = {}
    for text in texts:
        underlying, _, price = text.partition("=")
        if not _PRICE.fullmatch(price.strip()) or not underlying.strip():
            raise ConfigError(f"{text}: write it as NIFTY=26010.5")
        spots[underlying.strip().upper()] = float(price)
    return spots
