"""The unmodified SDK of Dhan against a server that speaks its protocol: what passes."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from ray_ingest.feeds.brokers.dhan import ADAPTER
from ray_ingest.feeds.session.adapter import Keys, Subscription
from ray_ingest.model import NULL, TickColumns, joined
from tests.venues.dhan.listening import NOW_MS, Memory, decoded, live
from tests.venues.dhan.venue import DhanVenue
from tests.venues.venue import VenueTick

KEYS_2000 = [f"{'NSE_FNO' if number % 2 else 'NSE_EQ'}:{number}" for number in range(2_000)]


def ticks_of(keys: list[str], number: int) -> list[VenueTick]:
    """The number-th tick of each."""
    return [
        VenueTick(
            key, round(100 + index * 0.05 + number, 2), 25, NOW_MS + number * 1_000, 1_000 + number * 25,
            70_000 + number if key.startswith("NSE_FNO") else None,
        )
        for index, key in enumerate(keys)
    ]  # fmt: skip


def known(keys: list[str]) -> Keys:
    """These as a feed that has subscribed to them knows them."""
    learnt = Keys("dhan")
    learnt.learn(Subscription(key.replace("FNO", "FO").replace(":", "|"), key) for key in keys)
    return learnt


def rows(columns: TickColumns, keys: Keys) -> list[VenueTick]:
    """What was decoded in the venue's terms."""
    names = {instrument: key for key, instrument in keys.ids.items()}
    fields = [getattr(columns, name).tolist() for name in ("instrument", *VenueTick._fields[1:])]
    return [
        VenueTick(names[row[0]], *(None if value == NULL else value for value in row[1:]))
        for row in zip(*fields, strict=True)
    ]


def seen_by(mode: str, tick: VenueTick) -> VenueTick:
    """What of a tick a mode carries."""
    return tick._replace(last_qty=None, day_volume=None, oi=None) if mode == "ticker" else tick


def frames_with(memory: Memory, keys: Keys, count: int) -> TickColumns:
    """All ticks, once there are so many."""
    memory.wait(lambda: sum(map(len, decoded(memory, keys, NOW_MS))) >= count)
    return joined(decoded(memory, keys, NOW_MS))


@pytest.mark.parametrize("mode", ADAPTER.modes)
def test_2000_instruments_arrive_as_they_were_sent(venue: DhanVenue, mode: str) -> None:
    """Every tick of every instrument, in order, with exact price, true UTC time and joined open interest."""
    with live(venue, mode) as (made, memory):
        made.subscribe(KEYS_2000)
        venue.wait_subscribed(KEYS_2000)
        sent = [tick for number in range(3) for tick in ticks_of(KEYS_2000, number)]
        assert venue.publish(sent) == 6_000
        keys = known(KEYS_2000)
        got = rows(frames_with(memory, keys, 6_000), keys)
        assert got == [seen_by(mode, tick) for tick in sent]
        assert memory.said[:2] == ["connected", "opened"]
    assert {len(request.get("InstrumentList", ())) for request in venue.requests} == {100, 0}


def test_subscriptions_change_while_running(venue: DhanVenue) -> None:
    """What is added comes, what is removed comes no longer, the rest goes on."""
    with live(venue, "quote") as (made, memory):
        made.subscribe(["NSE_EQ:1", "NSE_EQ:2"])
        venue.wait_subscribed(["NSE_EQ:1", "NSE_EQ:2"])
        made.unsubscribe(["NSE_EQ:1"])
        made.subscribe(["NSE_FNO:1"])
        venue.wait_subscribed(["NSE_FNO:1"])
        assert venue.subscribed() == {"NSE_EQ:2", "NSE_FNO:1"}
        sent = ticks_of(["NSE_EQ:1", "NSE_EQ:2", "NSE_FNO:1"], 0)
        assert venue.publish(sent) == 2
        keys = known(["NSE_EQ:1", "NSE_EQ:2", "NSE_FNO:1"])
        assert rows(frames_with(memory, keys, 2), keys) == sent[1:]


def test_split_into_small_segments(venue: DhanVenue) -> None:
    """Frames are whole however TCP cuts them."""
    venue.split(7)
    with live(venue) as (made, memory):
        made.subscribe(KEYS_2000[:50])
        venue.wait_subscribed(KEYS_2000[:50])
        sent = ticks_of(KEYS_2000[:50], 0)
        venue.publish(sent)
        keys = known(KEYS_2000[:50])
        assert rows(frames_with(memory, keys, 50), keys) == sent


def test_redirected(venue: DhanVenue) -> None:
    """A 302 is followed."""
    venue.redirect()
    with live(venue) as (made, _):
        made.subscribe(["NSE_EQ:1"])
        venue.wait_subscribed(["NSE_EQ:1"])


def test_wires_side_by_side() -> None:
    """Each has its own server, mode and instruments, and one's end is not the other's."""
    with DhanVenue() as first, DhanVenue() as second, live(first, "ticker") as (one, told_one):
        with live(second, "full") as (two, told_two):
            one.subscribe(["NSE_EQ:1"])
            two.subscribe(["NSE_FNO:2"])
            first.wait_subscribed(["NSE_EQ:1"])
            second.wait_subscribed(["NSE_FNO:2"])
            assert (first.subscribed(), second.subscribed()) == ({"NSE_EQ:1"}, {"NSE_FNO:2"})
            second.close(1000)
            told_two.wait_failure()
        first.publish(ticks_of(["NSE_EQ:1"], 0))
        keys = known(["NSE_EQ:1"])
        assert len(frames_with(told_one, keys, 1)) == 1
        assert not told_one.failures


def test_five_wires_of_5000(venue: DhanVenue) -> None:
    """A whole account in one process: each connection gets its own instruments, and no others."""
    shares = [[f"NSE_FNO:{wire * 5_000 + number}" for number in range(5_000)] for wire in range(5)]
    with ExitStack() as stack:
        pairs = [stack.enter_context(live(venue)) for _ in shares]
        for (made, _), share in zip(pairs, shares, strict=True):
            made.subscribe(share)
        everything = [key for share in shares for key in share]
        venue.wait_subscribed(everything)
        sent = ticks_of(everything, 0)
        assert venue.publish(sent) == 25_000
        for number, ((_, memory), share) in enumerate(zip(pairs, shares, strict=True)):
            keys = known(share)
            part = sent[number * 5_000 : (number + 1) * 5_000]
            assert rows(frames_with(memory, keys, 5_000), keys) == part


def test_text_is_a_sign_of_life(venue: DhanVenue) -> None:
    """A message that isn't binary is no frame, and ends nothing."""
    with live(venue) as (_, memory):
        venue.send_raw("{}")
        memory.wait_said("heard")
        assert not memory.failures
