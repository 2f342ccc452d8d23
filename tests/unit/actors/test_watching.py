"""Patience with actors that don't answer, and with Ray: plain objects are the actors."""

import logging
import threading
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import ray
from ray.exceptions import RayError

from ray_ingest.actors import driver, supervisor, watching
from ray_ingest.actors.driver import Driver
from ray_ingest.actors.status import Status, Story
from ray_ingest.actors.supervisor import Plan, Supervisor
from ray_ingest.actors.watching import Watched

QUESTION = SimpleNamespace(remote=lambda *args: object())
ACTOR: Any = SimpleNamespace(stats=QUESTION, status=QUESTION)


def test_a_replacement_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killing a frozen actor may fail while the GCS is away: the next look tries again."""
    tried: list[Any] = []

    def fail(handle: Any) -> None:
        tried.append(handle)
        raise RayError("the GCS is away")

    monkeypatch.setattr(watching, "replace", fail)
    monkeypatch.setattr(ray, "get", lambda call: b"")
    watched = Watched(ACTOR, silent_s=-1.0)
    watched.ask()
    assert watched.answer(call_is_over=True) == b""
    for _ in range(2):
        watched.ask()
        with pytest.raises(RayError):
            watched.answer(call_is_over=False)
    assert len(tried) == 2


def test_a_supervisor_that_is_being_started_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answered and then says nothing for `silent_s` is replaced; the one that starts in its place
    has START_S for its first answer, however short `silent_s` is."""
    patience: list[float] = []
    replaced: list[Any] = []
    monkeypatch.setattr(driver, "start_supervisor", lambda *args: ACTOR)
    monkeypatch.setattr(driver, "replace", replaced.append)
    monkeypatch.setattr(driver, "SLICE_S", 0.0)
    plan: Any = SimpleNamespace(namespace="", silent_s=0.5)
    follower = Driver(plan, lambda: None, Story("supervisor"))

    def ask(timeout_s: float, *args: Any) -> bytes:
        patience.append(timeout_s)
        if timeout_s < driver.START_S:
            raise driver.SilentError("frozen")
        answer: bytes = msgspec.msgpack.encode(Status([], [], {}, {}, {}, 0))
        return answer

    monkeypatch.setattr(follower, "_ask", ask)
    assert follower.status() is None
    assert follower.status() is not None
    assert follower.status() is None
    assert patience == [0.5, driver.START_S, 0.5]
    assert len(replaced) == 2


def test_watching_goes_on_when_ray_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails in a round, such as a call while the GCS is away, is logged once and the next round comes:
    a watcher that ended would show the last picture for ever."""
    rounds: list[float] = []
    lives = threading.Event()

    def answers(actors: Iterable[Any], patience_s: float) -> dict[str, bytes]:
        rounds.append(patience_s)
        if len(rounds) < 3:
            raise RayError("the GCS is away")
        lives.set()
        return {}

    monkeypatch.setattr(supervisor, "answers_of", answers)
    with caplog.at_level(logging.WARNING):
        watcher = Supervisor(Plan([], [], "", None))
        assert lives.wait(10)
        watcher.stop(drain=False)
        watcher.close_actors()
    assert [record.getMessage() for record in caplog.records] == [
        "the supervisor tries again: RayError: the GCS is away"
    ]
