"""The driver's side of a run: it starts the supervisor or finds it again, follows it, and ends all actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import ray
from ray.exceptions import RayError

from ray_ingest.actors.live import encoded
from ray_ingest.actors.options import end_actors, replace, start_supervisor
from ray_ingest.actors.status import Status, Story
from ray_ingest.actors.supervisor import DRIVER_S, Plan, Supervisor
from ray_ingest.errors import ActorError, ConfigError, RayIngestError
from ray_ingest.feeds.session.adapter import Subscription

SLICE_S = 0.1
START_S = 60.0
STOP_S = 120.0
CLOSE_S = 10.0


class SilentError(ActorError):
    """The supervisor gave no answer in time."""


class Driver:
    """Follows the supervisor of one plan. `check` is called again and again while an answer is waited for,
    and what it raises ends the waiting; `story` goes on from plan to plan."""

    def __init__(self, plan: Plan, check: Callable[[], None], story: Story) -> None:
        self._plan = plan
        self._check = check
        self._story = story
        self._name = uuid4().hex
        self._supervisor = start_supervisor(Supervisor, plan, plan.namespace)
        self._failing_since_s: float | None = None
        self._has_answered = True  # `adopt` waits for the first answer
        self._is_ours = False
        self._lists: dict[str, bytes] = {}
        self._lists_told = ""  # the incarnation of the supervisor that knows them

    def adopt(self) -> None:
        """Take the supervisor over, be it new or one whose driver died.

        Raises ConfigError when it carries out another plan, or its driver lives.
        """
        deadline_s = time.monotonic() + 2 * DRIVER_S
        while (refusal := self._adopted()) == "driver" and time.monotonic() < deadline_s:
            time.sleep(SLICE_S)
        place = f"the Ray namespace {self._plan.namespace}"
        if refusal == "driver":
            raise ConfigError(f"a run is under way in {place}: stop it, or choose another ray.namespace")
        if refusal == "plan":
            raise ConfigError(
                f"a run with other settings goes on in {place}: the command that started it takes it over; "
                "or choose another ray.namespace"
            )
        self._is_ours = True

    def status(self) -> Status | None:
        """How everything is; None while the supervisor is being started again, which may take a minute: one
        that has answered before and says nothing for `silent_s` is replaced.

        Raises ActorError when it takes longer.
        """
        patience_s = self._plan.silent_s if self._has_answered else START_S
        try:
            answer = self._ask(patience_s, "status", self._name)
        except SilentError:
            replace(self._supervisor)
        except RayError as error:
            self._raise_cause(error)
        else:
            self._failing_since_s, self._has_answered = None, True
            status = msgspec.msgpack.decode(answer, type=Status)
            self._tell_lists(status.incarnation)
            return self._story.told(status)
        self._has_answered = False
        now_s = time.monotonic()
        self._failing_since_s = self._failing_since_s or now_s
        if now_s - self._failing_since_s > START_S:
            raise ActorError(f"the supervisor has not answered for {START_S:g} s; the same command resumes")
        time.sleep(SLICE_S / 2)
        return None

    def set_subscriptions(self, lists: Mapping[str, Sequence[Subscription]]) -> None:
        """What feeds listen to from now on, by feed; a supervisor that is started again is told again."""
        self._lists = {name: encoded(subscriptions) for name, subscriptions in lists.items()}
        self._lists_told = ""

    def stop(self, watch: Callable[[Status], None]) -> Status:
        """Have everything that was taken committed; the final status, `watch` being shown those on the way. A
        supervisor that dies or freezes meanwhile is asked again when it is back. Raises ActorError when that
        takes too long."""
        deadline_s = time.monotonic() + STOP_S
        while time.monotonic() < deadline_s:
            with suppress(RayError, SilentError):
                status = self._story.told(
                    msgspec.msgpack.decode(self._stopped(deadline_s, watch), type=Status)
                )
                with suppress(RayError, SilentError):  # they are killed next, anyway
                    self._ask(CLOSE_S, "close_actors")
                return status
            time.sleep(SLICE_S)
        raise ActorError(f"the supervisor did not stop its actors within {STOP_S:g} s")

    def disown(self) -> None:
        """There is nothing left to be ended."""
        self._is_ours = False

    def end(self) -> None:
        """Kill all actors of the plan, if they are ours to kill."""
        if self._is_ours:
            end_actors(self._plan.names, self._plan.namespace)

    def _tell_lists(self, incarnation: str) -> None:
        if self._lists and self._lists_told != incarnation:
            self._supervisor.set_subscriptions.remote(self._lists)
            self._lists_told = incarnation

    def _adopted(self) -> str:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                refusal: str = self._ask(START_S, "adopt", self._name, self._plan.digest)
                return refusal
            except RayError as error:  # it is being started again
                self._raise_cause(error)
                if time.monotonic() > deadline_s:
                    raise ActorError(f"the supervisor failed: {_last_line(error)}") from None
                time.sleep(SLICE_S)

    def _stopped(self, deadline_s: float, watch: Callable[[Status], None]) -> bytes:
        """What `stop` answers. It may take long, so the supervisor is asked for its status meanwhile."""
        call = self._supervisor.stop.remote(True)
        while not ray.wait([call], timeout=SLICE_S)[0]:
            if time.monotonic() > deadline_s:
                raise SilentError("the supervisor does not stop")
            if (status := self.status()) is not None:
                watch(status)
        answer: bytes = ray.get(call)
        return answer

    def _ask(self, timeout_s: float, method: str, *args: Any) -> Any:
        """Raises RayError when the call fails, SilentError when it isn't answered in time."""
        call = getattr(self._supervisor, method).remote(*args)
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._check()
            ready, _ = ray.wait([call], timeout=SLICE_S)
            if ready:
                return ray.get(call)
            if time.monotonic() > deadline_s:
                raise SilentError(f"the supervisor gave no answer within {timeout_s:g} s")

    def _raise_cause(self, error: RayError) -> None:
        """What the supervisor raised on purpose is what the user is told."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, RayIngestError):
            self._is_ours = True  # it never came to be: only what it left is there to be ended
            raise cause from None


def _last_line(error: RayError) -> str:
    return str(error).strip().splitlines()[-1]
