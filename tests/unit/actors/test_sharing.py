"""A shared feed: what it sends, what it keeps, and what it says of itself."""

import threading
import time

import numpy as np
import numpy.typing as npt

from ray_ingest.actors.duty import Duty
from ray_ingest.actors.live import decoded, digest_of, encoded, well_since_ms
from ray_ingest.actors.sharing import STEADY_MS, Sharing
from ray_ingest.actors.standby import Standby
from ray_ingest.clock import epoch_ms
from ray_ingest.core.connection import UNDERWAY_MS, ConnectionStatus, State
from ray_ingest.core.failover import CountedUntil
from ray_ingest.core.gaps import gap_notes, gap_of_all, is_note
from ray_ingest.core.preparation import Preparation
from ray_ingest.feeds.session.adapter import EVEN, Keys, Subscription, Uneven
from ray_ingest.model import GapReason
from tests.unit.actors.test_recorder import NO_FILTER, source_of
from tests.unit.actors.test_silence import Connected
from tests.unit.core.tick_makers import OPEN_MS, Tick, rows

NEVER = CountedUntil()


class Pumped:
    """A sharing of one partition whose sequence is a list."""

    def __init__(self, one_counts: bool = True, uneven: Uneven | None = None) -> None:
        source = source_of("A", "B", "C")
        connected = None
        if uneven is not None:
            source.__class__ = Connected
            assert isinstance(source, Connected)
            source.uneven, connected = uneven, source
        self._connected = connected
        self.sequence: list[npt.NDArray[np.void]] = []
        self.duty = Duty(counts=False)
        self.standby = Standby(None, source, 1, 100)
        preparation = Preparation(source.table, NO_FILTER, 1, 60_000)
        self.sharing = Sharing(self.duty, connected, preparation, self.standby, self._send, one_counts)

    def _send(self, partition: int, ticks: npt.NDArray[np.void], received_s: float) -> None:
        if len(ticks):
            self.sequence.append(ticks)

    def connect(self, at_ms: int) -> None:
        """Its connections became live then."""
        assert self._connected is not None
        self._connected.states = (ConnectionStatus("x", State.LIVE, at_ms, "", 3),) * 2

    def queue(self, *at_ms: int) -> None:
        """Ticks with a cumulative volume."""
        received_s = time.monotonic()
        self.sharing.queue(0, rows(Tick(0, at, volume=at) for at in at_ms), received_s)
        self.sharing.queued(received_s)

    @property
    def sent(self) -> list[int]:
        """Event times of the ticks in the sequence."""
        ticks = np.concatenate(self.sequence) if self.sequence else rows([])
        return (ticks["event_time_ms"][~is_note(ticks)] - OPEN_MS).tolist()


def test_what_came_on_standby_is_sent_first_and_once() -> None:
    """Nothing is sent before the feed counts; then what it held, then what comes; and again from the start
    when it counted no more meanwhile."""
    feed = Pumped()
    feed.queue(1, 2)
    assert (feed.sent, feed.standby.held_back) == ([], 2)
    for _ in range(2):
        feed.duty.tell(True, NEVER)
        feed.sharing.do_duty()
    feed.queue(3)
    assert (feed.sent, feed.standby.held_back) == ([1, 2, 3], 0)
    feed.duty.wanted = (False, NEVER)
    feed.sharing.do_duty()
    feed.queue(4)
    feed.duty.tell(True, NEVER)
    feed.sharing.do_duty()
    assert feed.sent == [1, 2, 3, 4]
    assert feed.duty.counted.event_ms == OPEN_MS + 4


def test_whoever_tells_it_to_end_knows_up_to_when_it_counted() -> None:
    """The answer comes when the pump has heeded it, and holds what was queued until then."""
    feed = Pumped()
    feed.duty.tell(True, NEVER)
    feed.sharing.do_duty()
    answers: list[CountedUntil] = []
    teller = threading.Thread(target=lambda: answers.append(feed.duty.tell(False, NEVER)))
    feed.queue(7)
    teller.start()
    while feed.duty.wanted[0]:
        pass
    feed.sharing.do_duty()
    teller.join()
    feed.queue(8)
    assert [answer.event_ms for answer in answers] == [OPEN_MS + 7]
    assert feed.sent == [7]


def test_what_was_heard_goes_by_the_clock_that_received_it() -> None:
    """Ticks of event times long ago were received now, those on standby when they came: a connection that
    became well before that has missed nothing since. Of ticks that don't count nothing is told."""
    feed = Pumped()
    began_ms = epoch_ms()
    feed.queue(1)
    assert feed.duty.counted == NEVER
    received_ms = feed.sharing.last_tick_ms
    assert began_ms <= received_ms <= epoch_ms()
    feed.duty.tell(True, NEVER)
    feed.sharing.do_duty()
    assert feed.duty.counted == CountedUntil(OPEN_MS + 1, received_ms)
    feed.queue(2)
    assert feed.duty.counted == CountedUntil(OPEN_MS + 2, feed.sharing.last_tick_ms)


def test_a_gap_is_noted_once_however_often_it_is_told() -> None:
    """The supervisor tells it until it sees that it was noted."""
    feed = Pumped()
    for _ in range(3):
        feed.duty.tell_gap(OPEN_MS, OPEN_MS + 5)
        feed.sharing.do_duty()
    (notes,) = feed.sequence
    assert notes.tolist() == gap_of_all(OPEN_MS - UNDERWAY_MS, OPEN_MS + 5, GapReason.RESTART).tolist()
    assert feed.duty.heard_before_ms == OPEN_MS + 5


def test_only_ticks_that_found_no_room_are_its_own_to_tell() -> None:
    """While it was away another may have counted."""
    feed = Pumped()
    notes = np.concatenate([gap_of_all(1, 2, reason) for reason in GapReason])
    assert feed.sharing.own_notes(notes)["day_volume"].tolist() == [GapReason.OVERFLOW]


def test_what_the_only_one_that_counts_missed_is_its_own_to_tell() -> None:
    """Nobody else counted since it began to; before that, or where several count, another may have had it."""
    now_ms = time.time_ns() // 1_000_000
    times_ms = (now_ms - 60_000, now_ms + 9)
    notes = np.concatenate([gap_of_all(at, at + 5, GapReason.DISCONNECT) for at in times_ms])
    for one_counts, told in ((True, [now_ms + 9]), (False, [])):
        feed = Pumped(one_counts)
        assert not len(feed.sharing.own_notes(notes))
        feed.duty.tell(True, NEVER)
        feed.sharing.do_duty()
        assert feed.sharing.own_notes(notes)["event_time_ms"].tolist() == told


def test_in_quiet_times_it_has_missed_nothing_until_a_while_ago() -> None:
    """A connection that is well may have been mute for two minutes; of the time before it was well, and of a
    feed that doesn't count, that says nothing."""
    for well_for_ms, counts, heard in ((0, True, False), (600_000, False, False), (600_000, True, True)):
        feed = Pumped(uneven=EVEN)
        now_ms = epoch_ms()
        feed.connect(now_ms - well_for_ms)
        feed.duty.tell(counts, NEVER)
        feed.sharing.do_duty()
        for _ in range(2):
            feed.sharing.look()
        expected_ms = now_ms - STEADY_MS if heard else 0
        latest_ms = expected_ms + epoch_ms() - now_ms
        assert expected_ms <= feed.duty.counted.heard_ms <= latest_ms


def keys_of(*listed: Subscription) -> Uneven:
    """What a feed with these subscriptions says that others lack."""
    keys = Keys("x")
    keys.learn(listed)
    return keys.uneven(listed)


UNEVEN = keys_of(
    Subscription("NSE_EQ|A", "a"),
    Subscription("NSE_EQ|B", "b", carriers="some"),
    Subscription("NSE_EQ|C", "c", carriers="one"),
)


def test_what_others_may_lack_counts_though_another_feed_does() -> None:
    """Of three instruments all feeds have the first: only its ticks wait until this feed counts."""
    feed = Pumped(uneven=UNEVEN)
    ticks = rows(Tick(id_, at, volume=at) for at, id_ in enumerate((0, 1, 2, 0), 1))
    feed.sharing.queue(0, ticks, time.monotonic())
    assert (feed.sent, feed.standby.held_back) == ([2, 3], 2)
    assert feed.duty.counted == NEVER
    feed.duty.tell(True, NEVER)
    feed.sharing.do_duty()
    assert feed.sent == [2, 3, 1, 4]


def test_what_no_other_feed_has_is_missed_when_this_one_is_away() -> None:
    """Whoever counts, of the third instrument the gap is told: a disconnection's, a restart's, by name or of
    all; of the others while it counts only."""
    for counts in (False, True):
        feed = Pumped(uneven=UNEVEN)
        feed.duty.tell(counts, NEVER)
        feed.sharing.do_duty()
        from_ms = epoch_ms() + 9
        for reason in (GapReason.DISCONNECT, GapReason.RESTART):
            told = gap_of_all(from_ms, from_ms + 5, reason)
            whole = counts and reason is GapReason.DISCONNECT
            wanted = told if whole else gap_notes([2], [from_ms], [from_ms + 5], [-1], reason)
            assert feed.sharing.own_notes(told).tolist() == wanted.tolist()
        named = gap_notes([0, 1, 2], [from_ms] * 3, [from_ms + 5] * 3, [-1] * 3, GapReason.DISCONNECT)
        assert feed.sharing.own_notes(named)["instrument"].tolist() == ([0, 1, 2] if counts else [2])


def test_a_feed_is_well_when_all_its_connections_are() -> None:
    """Since the last of them became live; those that carry nothing don't matter."""
    live = [ConnectionStatus("a", State.LIVE, 5, "", 10), ConnectionStatus("b", State.LIVE, 9, "", 10)]
    idle = ConnectionStatus("c", State.STOPPED, 20)
    assert well_since_ms([*live, idle]) == 9
    assert well_since_ms([*live, ConnectionStatus("d", State.STALE, 30, "", 1)]) == 0
    assert well_since_ms([idle]) == 0


def test_a_list_of_subscriptions_survives_its_way_to_a_feed() -> None:
    """It is what it was, and its digest tells it from others."""
    listed = (Subscription("NSE_EQ|2885", "k", 0.1, "some"),)
    assert decoded(encoded(listed)) == listed
    assert digest_of(encoded(listed)) != digest_of(encoded(()))
