"""The arbiter: who counts, when another takes over, and when nobody did."""

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from ray_ingest.core.failover import (
    Arbiter,
    Candidate,
    CountedUntil,
    Decision,
    FailoverPlan,
    FailoverSettings,
)

ORDER = ("upstox", "fyers", "dhan")
SETTINGS = FailoverSettings(silence_ms=1_500, failback_ms=30_000)
FAILOVER = FailoverPlan("failover", ORDER, SETTINGS)
ARBITRATE = FailoverPlan("arbitrate", ORDER, SETTINGS)
NOW_MS = 1_000_000
EVENT_MS = NOW_MS - 900
NEVER = CountedUntil()
LOOK_MS = 100


def well(name: str, active: bool = False, **changes: int) -> Candidate:
    """A feed that has been well for 100 s and ticks; one that is active has counted all of it, the newest
    with an event time of EVENT_MS."""
    counted = CountedUntil(EVENT_MS, NOW_MS) if active else NEVER
    usual = Candidate(name, active, NOW_MS - 100_000, NOW_MS, counted, NOW_MS - 50_000 if active else 0)
    return replace(usual, **changes)


def away(name: str, active: bool = False) -> Candidate:
    """A feed that isn't connected now."""
    return well(name, active, well_since_ms=0)


@dataclass
class Feed:
    """A live feed of a busy market as a simulation has it: it counts from the look after it was told."""

    name: str
    up: bool = True
    mute: bool = False
    well_since_ms: int = 0
    last_tick_ms: int = 0
    active: bool = False
    counted: CountedUntil = NEVER
    heard_before_ms: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def live(self, now_ms: int) -> None:
        """What a look's time brings."""
        if not self.up:
            self.well_since_ms = 0
        elif not self.well_since_ms:
            self.well_since_ms, self.heard_before_ms = now_ms, self.counted.heard_ms
        if self.up and not self.mute:
            self.last_tick_ms = now_ms
            if self.active:
                self.counted = CountedUntil(now_ms // 1_000 * 1_000, now_ms)

    def heed(self, decision: Decision) -> None:
        """Do as it was told."""
        if self.name in decision.active and not self.active:
            self.heard_before_ms = max(self.heard_before_ms, decision.counted.heard_ms)
        self.active = self.name in decision.active
        if decision.gap and decision.teller == self.name:
            self.gaps.append(decision.gap)
            self.heard_before_ms = max(self.heard_before_ms, decision.gap[1])

    @property
    def candidate(self) -> Candidate:
        """As its figures tell."""
        return Candidate(
            self.name,
            self.active,
            self.well_since_ms,
            self.last_tick_ms,
            self.counted,
            self.heard_before_ms,
        )


def settled(arbiter: Arbiter, *feeds: Candidate) -> Decision:
    """The decision once these feeds have been like that for a while."""
    arbiter.decide(NOW_MS - 2_000, [replace(feed, last_tick_ms=NOW_MS - 2_000) for feed in feeds])
    return arbiter.decide(NOW_MS, feeds)


def test_the_first_that_is_well_counts_at_the_start() -> None:
    """Nobody counts before anybody is connected; then the first in order that is."""
    arbiter = Arbiter(FAILOVER)
    assert arbiter.decide(NOW_MS, [away(name) for name in ORDER]).active == frozenset()
    decision = arbiter.decide(NOW_MS + 1, [away("upstox"), well("fyers"), well("dhan")])
    assert decision.active == {"fyers"}
    assert decision.gap is None


def test_one_that_is_not_connected_is_left_at_once() -> None:
    """Disconnected, its token expired, its process dead: the next that is well takes over without a gap."""
    arbiter = Arbiter(FAILOVER)
    assert settled(arbiter, well("upstox", True), well("fyers"), well("dhan")).active == {"upstox"}
    decision = arbiter.decide(NOW_MS + LOOK_MS, [away("upstox", True), well("fyers"), well("dhan")])
    counted = CountedUntil(EVENT_MS, NOW_MS)
    assert decision == Decision(frozenset({"fyers"}), counted, None, "", "upstox is not connected")


def test_if_none_is_well_the_active_stays() -> None:
    """There is nobody better, and it may be the first to come back."""
    arbiter = Arbiter(FAILOVER)
    settled(arbiter, well("upstox", True), well("fyers"))
    decision = arbiter.decide(NOW_MS + LOOK_MS, [away("upstox", True), away("fyers")])
    assert (decision.active, decision.why) == ({"upstox"}, "")


def test_silence_counts_from_the_first_tick_that_another_had() -> None:
    """Half a minute in which nobody ticks is no silence; then a standby ticks, and takes over 1.5 s later, or
    a look's time sooner."""
    arbiter = Arbiter(FAILOVER)
    quiet = [well("upstox", True), well("fyers", last_tick_ms=NOW_MS - 3)]
    for at_ms in range(NOW_MS, NOW_MS + 30_000, LOOK_MS):
        assert arbiter.decide(at_ms, quiet).active == {"upstox"}
    first_ms = NOW_MS + 30_000
    for at_ms in range(first_ms, first_ms + 1_400, LOOK_MS):
        ticking = [well("upstox", True), well("fyers", last_tick_ms=at_ms - 1)]
        assert arbiter.decide(at_ms, ticking).active == {"upstox"}
    assert arbiter.decide(first_ms + 1_500, ticking).active == {"fyers"}


def test_one_that_ticks_is_preferred_to_one_that_is_only_connected() -> None:
    """The next in order has been mute for long: it is passed over."""
    arbiter = Arbiter(FAILOVER)
    mute = well("fyers", last_tick_ms=NOW_MS - 5_000)
    for at_ms in range(NOW_MS - 4_000, NOW_MS, LOOK_MS):
        ticking = [well("upstox", True, last_tick_ms=at_ms), mute, well("dhan", last_tick_ms=at_ms)]
        arbiter.decide(at_ms, ticking)
    assert arbiter.decide(NOW_MS, [away("upstox", True), mute, well("dhan")]).active == {"dhan"}


def test_one_that_was_well_all_along_is_preferred_to_one_that_has_just_come_back() -> None:
    """The next in order connected after the active one's last tick: taking it would leave a gap."""
    arbiter = Arbiter(FAILOVER)
    settled(arbiter, well("upstox", True), well("fyers"), well("dhan"))
    fresh = replace(well("fyers"), well_since_ms=NOW_MS + 5)
    gone = replace(away("upstox", True), last_tick_ms=NOW_MS - 1)
    decision = arbiter.decide(NOW_MS + LOOK_MS, [gone, fresh, well("dhan")])
    assert decision.active == {"dhan"}
    assert decision.gap is None


def test_one_that_came_back_within_the_second_of_the_last_trade_missed_nothing() -> None:
    """Brokers tell event times in whole seconds: the newest that counted is older than the connection of the
    one that takes over, though its tick was received long after."""
    arbiter = Arbiter(FAILOVER)
    settled(arbiter, well("upstox", True), well("fyers"))
    fresh = well("fyers", well_since_ms=NOW_MS - 500)
    decision = arbiter.decide(NOW_MS + LOOK_MS, [away("upstox", True), fresh])
    assert (decision.active, decision.gap) == ({"fyers"}, None)
    later = replace(fresh, well_since_ms=NOW_MS + 5)
    decision = Arbiter(FAILOVER).decide(NOW_MS + LOOK_MS, [away("upstox", True), later])
    assert decision.gap == (NOW_MS, NOW_MS + 5)


def test_another_arbiter_goes_on_where_the_first_was() -> None:
    """A supervisor that starts again finds who counts from the feeds, and switches nothing."""
    assert Arbiter(FAILOVER).decide(NOW_MS, [well("upstox"), well("fyers", True)]).active == {"fyers"}


def test_the_preferred_one_counts_again_when_it_has_been_well_for_long() -> None:
    """Not before 30 s, and not while it is connected and mute."""
    arbiter = Arbiter(FAILOVER)
    for at_ms in range(NOW_MS, NOW_MS + 60_000, LOOK_MS):
        back_ms = NOW_MS + 10_000  # from then on it ticks
        upstox = well("upstox", last_tick_ms=at_ms if at_ms >= back_ms else NOW_MS - 5_000)
        decision = arbiter.decide(at_ms, [upstox, well("fyers", True, last_tick_ms=at_ms)])
        assert decision.active == ({"upstox"} if at_ms >= back_ms + 30_000 - LOOK_MS else {"fyers"}), at_ms


def test_all_count_when_they_are_arbitrated() -> None:
    """Each has what the others lack; what one missed is no gap while another is well."""
    resumed = well("upstox", True, well_since_ms=NOW_MS - 10, heard_before_ms=NOW_MS - 5_000)
    decision = Arbiter(ARBITRATE).decide(NOW_MS, [resumed, well("fyers", True), away("dhan", True)])
    assert (decision.active, decision.gap) == (set(ORDER), None)


def test_when_all_were_away_the_first_that_is_back_tells_the_gap() -> None:
    """Also when a second one is back and ticks before anybody looked; and nothing is told twice."""
    first = well("upstox", True, well_since_ms=NOW_MS - 50, heard_before_ms=NOW_MS - 9_000)
    second = well("fyers", True, well_since_ms=NOW_MS - 20, heard_before_ms=NOW_MS - 8_000)
    arbiter = Arbiter(ARBITRATE)
    decision = arbiter.decide(NOW_MS, [first, second])
    assert (decision.gap, decision.teller) == ((NOW_MS - 8_000, NOW_MS - 50), "upstox")
    noted = replace(first, heard_before_ms=NOW_MS - 50)
    assert arbiter.decide(NOW_MS + LOOK_MS, [noted, second]).gap is None


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["up", "down", "mute", "speak", "killed"]),
        st.sampled_from([0, 1, 3, 10, 40]),
    ),
    max_size=40,
)


@given(CHANGES, st.booleans())
def test_whatever_happens_to_the_feeds(changes: list[tuple[int, str, int]], restarts: bool) -> None:
    """In a busy market with brokers that come, go, and fall mute: never do two count; one that is preferred
    comes back only when it was left long ago; one that is mute while another ticks is left; a gap is told of
    every time in which nobody was connected, and of none in which anything was counted; also by a supervisor
    that starts again."""
    feeds = [Feed(name) for name in ORDER]
    arbiter, now_ms = Arbiter(FAILOVER), NOW_MS
    before, dark_since_ms, mute_looks = "", 0, 0
    left_ms = dict.fromkeys(ORDER, -(10**9))
    dark: list[tuple[int, int]] = []
    counted_ms: list[int] = []
    for number, change, looks in changes:
        feed = feeds[number]
        if change in ("up", "down"):
            feed.up = change == "up"
        elif change in ("mute", "speak"):
            feed.mute = change == "mute"
        else:  # a process that starts again neither counts nor is connected
            feed.well_since_ms, feed.active, mute_looks = 0, False, 0
            arbiter = Arbiter(FAILOVER) if restarts else arbiter
        for _ in range(looks + 1):
            now_ms += LOOK_MS
            for each in feeds:
                each.live(now_ms)
            counted_ms += [now_ms] * any(each.counted.heard_ms == now_ms for each in feeds)
            decision = arbiter.decide(now_ms, [each.candidate for each in feeds])
            for each in feeds:
                each.heed(decision)
            assert len(decision.active) <= 1
            active = next(iter(decision.active), "")
            if before and active not in ("", before):
                if ORDER.index(active) < ORDER.index(before) and "for 30 s" in decision.why:
                    assert now_ms - left_ms[active] >= SETTINGS.failback_ms
                left_ms[before], mute_looks = now_ms, 0
            before = active or before
            mute = any(each.active and each.up and each.mute for each in feeds)
            mute_looks = mute_looks + 1 if mute and any(each.up and not each.mute for each in feeds) else 0
            assert mute_looks <= 16
            if not any(each.up for each in feeds):
                dark_since_ms = dark_since_ms or now_ms
            elif dark_since_ms:
                if counted_ms and counted_ms[0] < dark_since_ms:
                    dark.append((dark_since_ms, now_ms))
                dark_since_ms = 0
    gaps = sorted(gap for each in feeds for gap in each.gaps)
    for since_ms, until_ms in dark:
        assert any(first <= since_ms and until_ms <= last for first, last in gaps), (dark, gaps)
    assert not any(first < at_ms < last for first, last in gaps for at_ms in counted_ms), gaps


def test_after_the_clock_was_set_back_the_preferred_feed_still_comes_back() -> None:
    """It waits for as long as it always does, not for as long as the clock was set back besides."""
    arbiter = Arbiter(FAILOVER)
    arbiter.decide(NOW_MS, [away("upstox"), well("fyers", active=True)])
    back_ms = NOW_MS - 500_000
    taken_ms = 0
    for now_ms in range(back_ms, back_ms + 60_000, LOOK_MS):
        upstox = well("upstox", well_since_ms=back_ms, last_tick_ms=now_ms)
        fyers = well("fyers", active=True, last_tick_ms=now_ms)
        if arbiter.decide(now_ms, [upstox, fyers]).active == {"upstox"}:
            taken_ms = now_ms
            break
    assert taken_ms == back_ms + SETTINGS.failback_ms
