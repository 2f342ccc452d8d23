"""An outage is told whole, bit by bit, and only what the market was open for."""

from ray_ingest.feeds.session.outage import Outage
from ray_ingest.feeds.source import Disconnected


def outage_of(*instruments: int) -> Outage:
    """Since 1,000 ms, told every 10 s."""
    outage = Outage(1_000, tell_s=10.0)
    outage.include(instruments)
    return outage


def test_the_pieces_make_up_the_whole() -> None:
    """Each begins where the one before ended; the last ends with the first tick after it."""
    outage = outage_of(3, 4)
    assert outage.at(10_999, True) is None
    assert outage.at(11_000, True) == Disconnected(1_000, 11_000, (3, 4))
    assert outage.at(20_999, True) is None
    assert outage.until(21_500) == Disconnected(11_000, 21_500, (3, 4))


def test_a_closed_market_is_nothing_to_miss() -> None:
    """What was missed before it closed is told then; a night adds nothing; after it counting begins again."""
    outage = outage_of(3)
    assert outage.at(5_000, False) == Disconnected(1_000, 5_000, (3,))
    assert outage.at(90_000, False) is None
    assert outage.at(91_000, True) is None
    assert outage.until(92_000) == Disconnected(90_000, 92_000, (3,))


def test_what_is_subscribed_later_is_missed_with_the_rest() -> None:
    """A connection that is lost again before its first tick has one outage, of all it carried; none twice."""
    outage = outage_of(3, 4)
    outage.include((4, 7))
    assert outage.until(2_000) == Disconnected(1_000, 2_000, (3, 4, 7))
