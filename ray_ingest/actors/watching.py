"""How the supervisor sees its actors: one question at a time to each, and patience with an end to it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import ray
from ray.exceptions import RayError

from ray_ingest.actors.options import replace
from ray_ingest.clock import epoch_ms

START_S = (
    60.0  # an actor that starts, on a machine with much else to do, may take so long for its first answer
)


class Watched:
    """One actor, asked for its `stats` again and again.

    `silent_since_ms` (epoch ms, 0: not silent) is when the first question without an answer was put. An actor
    that has answered and then says nothing for `silent_s`, or nothing for `START_S` since it began to start,
    is replaced; failing calls are no silence: Ray is at work then.
    """

    def __init__(self, handle: Any, silent_s: float) -> None:
        self.handle = handle
        self.silent_since_ms = 0
        self._silent_s = silent_s
        self._call: Any = None
        self._asked_s = 0.0
        self._has_answered = False

    def ask(self) -> Any:
        """The question under way, put now if there was none."""
        if self._call is None:
            self._call = self.handle.stats.remote()
            self._asked_s = time.monotonic()
        return self._call

    def answer(self, call_is_over: bool) -> bytes | None:
        """What it answered, if it has; else its silence is judged."""
        if not call_is_over:
            self._judge()
            return None
        call, self._call = self._call, None
        try:
            answer: bytes = ray.get(call)
        except RayError:
            self._has_answered = False
            self._note_silence()
            return None
        self._has_answered = True
        self.silent_since_ms = 0
        return answer

    def _judge(self) -> None:
        waited_s = time.monotonic() - self._asked_s
        if waited_s > 1.0:
            self._note_silence()
        if waited_s > (self._silent_s if self._has_answered else START_S):
            replace(self.handle)  # if that fails it is judged again
            self._call, self._has_answered = None, False

    def _note_silence(self) -> None:
        self.silent_since_ms = self.silent_since_ms or epoch_ms()


def answers_of(watched: Iterable[tuple[str, Watched]], patience_s: float) -> dict[str, bytes]:
    """Every actor is asked; the answers that come within `patience_s`, by name."""
    actors = dict(watched)
    calls = {name: actor.ask() for name, actor in actors.items()}
    ready, _ = ray.wait(list(calls.values()), num_returns=len(calls), timeout=patience_s)
    found = {name: actors[name].answer(call in ready) for name, call in calls.items()}
    return {name: answer for name, answer in found.items() if answer is not None}
