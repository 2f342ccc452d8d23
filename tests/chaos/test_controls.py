"""Each guard, and what happens without it: a fixed small scenario that comes out right with the guard and is
shown to come out wrong when it is switched off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import pytest

from ray_ingest.actors.ohlc import OhlcPartition
from ray_ingest.actors.ohlc_settings import OhlcSettings
from ray_ingest.pipeline import open_store, plan_of
from ray_ingest.store.scripts import script_texts
from tests.chaos.comparison import HEADER, differences
from tests.chaos.lines import Line, OwnerProcess, settle
from tests.chaos.oracle import RECORD, expected_of
from tests.chaos.proxy import FaultProxy
from tests.chaos.run import LONGEST_S, Run
from tests.chaos.scenario import Fault, Scenario
from tests.chaos.stores import Store
from tests.chaos.system import config_of
from tests.chaos.tape import DATE
from tests.chaos.verdict import Verdict

SMALL = Scenario(
    seed=1,
    producers=1,
    shared=False,
    partitions=1,
    calendar="nse",
    minutes=4,
    server="valkey",
    appendfsync="always",
    journaled=False,
    faults=(),
    ticks_per_second=1_000,
    instruments=24,
)
HUNG_S = 15.0
"""After that a run that is to fail has."""

FENCE = "holder ~= owner"
OFFSET_CHECK = "committed ~= range[2]"


def without(check: str) -> dict[str, str]:
    """The scripts with one condition of the commit never true."""
    texts = script_texts()
    assert texts["commit"].count(check) == 1
    return texts | {"commit": texts["commit"].replace(check, "false")}


@contextmanager
def stage(
    folder: Path, scenario: Scenario, scripts: Mapping[str, str] | None = None, checks: bool = True
) -> Iterator[tuple[Store, FaultProxy, OhlcSettings]]:
    """A store, the way to it, and the settings of its owner."""
    texts = scripts or script_texts()
    digest = sha1(texts["commit"].encode(), usedforsecurity=False).hexdigest()
    with ExitStack() as stack:
        store = Store(folder, scenario, replicated=False, checks=checks)
        stack.callback(store.close)
        proxy = FaultProxy(folder / "p", store.current.socket, digest)
        stack.callback(proxy.close)
        config = config_of(scenario, folder, proxy.url)
        with open_store(config):
            (settings,) = plan_of(config, proxy.url, "").owners
            yield store, proxy, replace(settings, scripts=texts)


def wrong(store: Store, scenario: Scenario) -> list[str]:
    """What differs from the oracle."""
    with store.client() as client:
        return differences(client, scenario, expected_of(scenario))


def amended(store: Store) -> int:
    """Candles that were published as final and then changed."""
    with store.client() as client:
        days = [client.get(key) or b"" for key in client.scan_iter(f"*:{DATE}")]
    return sum(
        RECORD.unpack_from(d, at)[-1] > 0 for d in days for at in range(HEADER.size, len(d), RECORD.size)
    )


@pytest.mark.parametrize("fenced", [True, False])
def test_without_the_fence_a_zombie_closes_minutes_that_go_on(tmp_path: Path, fenced: bool) -> None:
    """An owner is frozen, replaced, and thawed while one of two producers still talks to it: its commits are
    refused. Without the check of the owner it closes minutes of which the other producer has more to send."""
    scenario = replace(SMALL, producers=2, disorder=0.0)
    with stage(tmp_path, scenario, None if fenced else without(FENCE)) as (store, _, settings):
        first, second = Line(scenario, 0), Line(scenario, 1)
        before = OhlcPartition(settings)
        for line in (first, second):
            line.send(before, 0.4)
        before.close()
        zombie = OwnerProcess(settings, verifies=fenced)
        try:
            zombie.freeze()
            owner = OhlcPartition(settings)
            second.push(owner)
            zombie.thaw()
            reply = first.send(zombie, 1.0)
        finally:
            zombie.close()
        assert reply.fenced == fenced
        if fenced:
            first.push(owner)
        settle(owner, *((second, first) if fenced else (second,)))
        owner.close()
        assert wrong(store, scenario) == []  # a candle closed too early is mended by what comes later, but:
        assert (amended(store) == 0) == fenced


@pytest.mark.parametrize("checked", [True, False])
def test_without_the_offset_check_a_commit_that_comes_late_counts_twice(
    tmp_path: Path, checked: bool
) -> None:
    """A commit is held up in the network until its owner has sent the same ticks again; when it arrives after
    all, the store refuses it by its offsets. Without that check its ticks are counted twice."""
    scripts = None if checked else without(OFFSET_CHECK)
    with stage(tmp_path, SMALL, scripts) as (store, proxy, settings):
        line, owner = Line(SMALL, 0), OhlcPartition(settings)
        line.send(owner, 0.5)
        proxy.withhold_next_commit(lambda: None)
        line.send(owner, 0.6)
        answer = proxy.deliver()
        assert answer.startswith(b"-OFFSET") == checked, answer
        settle(owner, line)
        owner.close()
        assert (wrong(store, SMALL) == []) == checked


@pytest.mark.parametrize("checks", [True, False])
def test_without_the_aof_check_redis_7_breaks_on_the_restart_after_next(tmp_path: Path, checks: bool) -> None:
    """Redis 7.0 crashes in the middle of writing a commit to its AOF, starts, is written to, starts again:
    its own checker, run before each start, keeps that right. Without it the AOF is corrupt by then."""
    scenario = replace(SMALL, server="redis")
    with stage(tmp_path, scenario, checks=checks) as (store, _, settings):
        line, owner = Line(scenario, 0), OhlcPartition(settings)
        line.send(owner, 0.5)
        store.kill()
        store.tear(middle_of_last_commit(tmp_path))
        store.start()
        for share in range(6, 10):
            line.send(owner, share / 10)
        store.kill()
        broken = None
        try:
            store.start()
        except RuntimeError as error:
            broken = error
        if broken is None:
            settle(owner, line)
        owner.close()
        assert (broken is None and wrong(store, scenario) == []) == checks


@pytest.mark.parametrize("journaled", [True, False])
def test_without_a_journal_a_wiped_store_stays_wrong(tmp_path: Path, ray: str, journaled: bool) -> None:
    """A live feed's store is emptied in mid-run: the journal has every tick, and the candles are whole again.
    Without one, what was committed before is gone."""
    scenario = replace(
        SMALL, live=True, journaled=journaled, load_s=3.0, faults=(Fault("flushall", 1.5, 0.0, 0.0),)
    )
    verdict = verdict_of(scenario, tmp_path, LONGEST_S if journaled else HUNG_S)
    assert (verdict.wrong == []) == journaled


@pytest.mark.parametrize("rewinds", [True, False])
def test_without_a_rewind_a_lost_call_is_never_made_good(tmp_path: Path, ray: str, rewinds: bool) -> None:
    """An owner is killed with ticks it took and didn't commit: the feed asks where it stands and sends them
    again. A feed that goes on where it was never gets any further."""
    scenario = replace(SMALL, load_s=3.0, faults=(Fault("ohlc_kill", 1.5, 0.0, 0.0),))
    verdict = verdict_of(scenario, tmp_path, LONGEST_S if rewinds else HUNG_S, rewinds)
    assert (verdict.wrong == []) == rewinds


def verdict_of(scenario: Scenario, folder: Path, longest_s: float, rewinds: bool = True) -> Verdict:
    """The verdict of a whole run."""
    run = Run(scenario, folder, longest_s, rewinds=rewinds)
    try:
        verdict = run.go()
        assert [kind for kind, _ in run.injected] == [fault.kind for fault in scenario.faults]
        return verdict
    finally:
        run.close()


def middle_of_last_commit(folder: Path) -> int:
    """A size to which the newest increment of the AOF is cut within its last transaction."""
    (newest,) = (folder / "primary" / "appendonlydir").glob("*.incr.aof")
    data = newest.read_bytes()
    begins = [found.start() for found in re.finditer(rb"\*1\r\n\$5\r\nMULTI\r\n", data)]
    return (begins[-1] + len(data)) // 2


def test_the_comparison_sees_a_single_wrong_byte(tmp_path: Path) -> None:
    """The comparison that all of this rests on finds one changed price, a missing list and a spare key."""
    with stage(tmp_path, SMALL) as (store, _, settings):
        line, owner = Line(SMALL, 0), OhlcPartition(settings)
        settle(owner, line)
        owner.close()
        assert wrong(store, SMALL) == []
        stem = next(iter(expected_of(SMALL).partition_of))
        spoil: list[Callable[[], object]] = []
        with store.client() as client:
            spoil += [lambda: client.delete(f"{stem}_latest_:"), lambda: client.set("spare", 1)]
            spoil += [lambda: client.hincrby("ray_ingest:meta:0", "offset:f0-line", 1)]
            spoil += [lambda: client.setrange(f"{stem}{DATE}", HEADER.size + 15 * RECORD.size, b"\1")]
            for number, change in enumerate(spoil):
                change()
                assert len(wrong(store, SMALL)) >= number + 1
