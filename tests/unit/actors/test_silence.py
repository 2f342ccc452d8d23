"""The silence between two processes of a feed: told whole, and only once it is over."""

from dataclasses import replace

from ray_ingest.actors.silence import PIECE_MS, Silence
from ray_ingest.core.connection import ConnectionStatus, State
from ray_ingest.feeds.session.adapter import EVEN, Subscription, Uneven
from tests.unit.actors.test_recorder import ListSource, source_of

DOWN = ConnectionStatus("x-1", State.TOKEN_EXPIRED, 50, "", 10)
UP = replace(DOWN, state=State.LIVE, since_ms=9_000)


class Connected(ListSource):
    """A source with two connections, which the test sets."""

    last_tick_ms = 0
    states = (DOWN, DOWN)
    uneven: Uneven = EVEN

    def connections(self) -> list[ConnectionStatus]:
        """As the test says."""
        return list(self.states)

    def dropped(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def set_subscriptions(self, subscriptions: tuple[Subscription, ...]) -> None:
        """What it has."""


def connected() -> Connected:
    """One whose connections are both down."""
    source = source_of("A")
    source.__class__ = Connected
    assert isinstance(source, Connected)
    return source


def test_without_connections_it_ends_at_once_and_is_told_once() -> None:
    """Such a source listens as soon as it is made; without a journal nothing is known to be missing."""
    silence = Silence(1_000, None)
    assert [silence.end(now_ms, False) for now_ms in (5_000, 6_000)] == [(1_000, 5_000), None]
    assert Silence(0, None).end(5_000, True) is None


def test_it_lasts_until_every_connection_is_live() -> None:
    """A token may be refused for hours of an open market: all of that is missing."""
    source = connected()
    silence = Silence(1_000, source)
    assert silence.end(5_000, False) is None
    source.states = (UP, DOWN)
    assert silence.end(9_500, False) is None
    source.states = (UP, replace(UP, since_ms=12_000))
    assert [silence.end(12_100, True), silence.end(12_200, True)] == [(1_000, 12_000), None]


def test_ticks_that_come_before_that_are_told_after_a_piece_of_it() -> None:
    """They would move the journal's end beyond a silence nobody had told; one piece every half minute."""
    source = connected()
    source.states = (UP, DOWN)
    silence = Silence(1_000, source)
    told = [silence.end(now_ms, True) for now_ms in (9_500, 9_600, 9_500 + PIECE_MS)]
    assert told == [(1_000, 9_500), None, (9_500, 9_500 + PIECE_MS)]
    source.states = (UP, replace(UP, since_ms=60_000))
    assert silence.end(60_100, True) == (9_500 + PIECE_MS, 60_000)
