"""Key names are what strategies read Redis by: fixed to the letter."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.instruments import name_fault
from ray_ingest.store.keys import CONFIRMED, LATEST, Keys


def every_name(keys: Keys) -> Iterator[str]:
    """One key of each kind."""
    yield from (
        keys.stem("A", "b"),
        keys.latest("A", "b"),
        keys.confirmed("A", "b"),
        keys.minute("A", "b", 0),
    )
    yield from (
        keys.day("A", "b", 20251215),
        keys.partitions(),
        keys.meta(1),
        keys.instruments(1),
        keys.closed(1),
        keys.gaps(1),
    )


def test_the_documents_keys() -> None:
    """The names the documentation fixes, letter by letter, code 91500 without a leading zero included."""
    keys = Keys()
    assert keys.latest("NSE_FO", "8765") == "nse_fo:8765:_latest_:"
    assert keys.confirmed("NSE_FO", "8765") == "nse_fo:8765:_confirmed_:"
    assert keys.minute("NSE_FO", "8765", 555) == "nse_fo:8765:91500:"
    assert keys.day("NSE_FO", "8765", 20251215) == "nse_fo:8765:20251215"
    assert keys.closed(3) == "ray_ingest:closed:3"
    assert keys.gaps(3) == "ray_ingest:gaps:3"
    assert (LATEST, CONFIRMED) == ("_latest_:", "_confirmed_:")


def test_our_own_keys() -> None:
    """What the store keeps for itself lives under ray_ingest:."""
    keys = Keys()
    names = [keys.partitions(), keys.meta(0), keys.instruments(12)]
    assert names == ["ray_ingest:partitions", "ray_ingest:meta:0", "ray_ingest:instruments:12"]


def test_the_prefix_comes_before_everything() -> None:
    """Two systems share a server under two prefixes."""
    assert [*every_name(Keys("x:"))] == ["x:" + name for name in every_name(Keys())]


@pytest.mark.parametrize(
    ("minute", "code"), [(0, "0:"), (1, "100:"), (59, "5900:"), (600, "100000:"), (1439, "235900:")]
)
def test_minute_keys_carry_the_code(minute: int, code: str) -> None:
    """HHMM00 of the IST minute, midnight being 0."""
    assert Keys().minute("NSE_FO", "1", minute) == f"nse_fo:1:{code}"


def test_a_token_is_sanitised_in_every_key() -> None:
    """ "Nifty 50" and "Nifty_50" name the same keys, the exchange in any case."""
    assert Keys().latest("nse_index", "Nifty 50") == Keys().latest("NSE_INDEX", "Nifty_50")
    assert Keys().stem("NSE_INDEX", "Nifty 50") == "nse_index:Nifty_50:"


usable = st.tuples(st.sampled_from(["A", "A_B", "B"]), st.text("ab_ 19", min_size=1, max_size=4)).filter(
    lambda name: not name_fault(*name)
)


@given(usable, usable)
def test_two_instruments_never_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    """For any two usable names that differ once sanitised, no key of one is a key of the other."""
    keys = Keys()
    stems = keys.stem(*one), keys.stem(*other)
    same = (one[0], one[1].replace(" ", "_")) == (other[0], other[1].replace(" ", "_"))
    assert (stems[0] == stems[1]) is same
    if not same:
        sets = [
            {
                keys.latest(*n),
                keys.confirmed(*n),
                keys.day(*n, 20251215),
                *(keys.minute(*n, m) for m in range(1440)),
            }
            for n in (one, other)
        ]
        assert sets[0].isdisjoint(sets[1])
