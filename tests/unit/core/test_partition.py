"""Which partition owns an instrument is fixed for ever, whoever spells it how."""

from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.partition import partition_of

EXCHANGES = st.sampled_from(["NSE_FO", "nse_eq", "MCX"])


@pytest.mark.parametrize(
    ("name", "of_3", "of_64"),
    [("NSE_FO|8765", 2, 44), ("NSE_INDEX|Nifty 50", 0, 11), ("NSE_EQ|टाटा", 1, 14)],
)
def test_the_hash_never_changes(name: str, of_3: int, of_64: int) -> None:
    """A store cut by one release is found again by the next: these numbers are for ever."""
    exchange, _, token = name.partition("|")
    assert (partition_of(exchange, token, 3), partition_of(exchange, token, 64)) == (of_3, of_64)


@given(EXCHANGES, st.text(st.characters(codec="utf-8"), min_size=1), st.integers(1, 300))
def test_partition_equals_its_documented_formula(exchange: str, token: str, partitions: int) -> None:
    """First 8 bytes, little-endian, of BLAKE2b over EXCHANGE|token, modulo the partitions."""
    digest = blake2b(f"{exchange.upper()}|{token.replace(' ', '_')}".encode(), digest_size=8)
    assert partition_of(exchange, token, partitions) == int.from_bytes(digest.digest(), "little") % partitions


@given(EXCHANGES, st.text("ab _", min_size=1), st.integers(1, 300))
def test_both_spellings_meet_in_one_partition(exchange: str, token: str, partitions: int) -> None:
    """Case of the exchange and space or underscore in the token make no difference, so collisions show."""
    underscored = partition_of(exchange.upper(), token.replace(" ", "_"), partitions)
    assert partition_of(exchange.lower(), token, partitions) == underscored


def test_instruments_spread_evenly() -> None:
    """8,000 consecutive tokens over 8 partitions: none has a tenth more or less than its share."""
    counts = Counter(partition_of("NSE_FO", str(token), 8) for token in range(8_000))
    assert sorted(counts) == list(range(8))
    assert 900 < min(counts.values()) <= max(counts.values()) < 1_100
