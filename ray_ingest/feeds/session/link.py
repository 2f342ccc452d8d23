"""One connection to a broker, kept up through all the wires it takes."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterable, Iterator

from ray_ingest.core.backoff import Backoff
from ray_ingest.core.connection import UNDERWAY_MS, ConnectionStatus, State, Trouble
from ray_ingest.core.stall import StallWatch
from ray_ingest.core.trading_hours import InstrumentHours
from ray_ingest.errors import ProcessSpentError
from ray_ingest.feeds.session.adapter import Subscription
from ray_ingest.feeds.session.attempt import Attempt, Decoded, Moment, Shared
from ray_ingest.feeds.session.ending import Ending
from ray_ingest.feeds.session.inbox import Change, Failure, Lost
from ray_ingest.feeds.session.outage import Outage
from ray_ingest.feeds.source import Disconnected
from ray_ingest.model import GapReason, TickColumns
from ray_ingest.redact import redact

log = logging.getLogger(__name__)

HALF_OPEN_PINGS = 2.2
TROUBLED = (State.STALE, State.BACKING_OFF, State.TOKEN_EXPIRED)


class Link:
    """One connection; used on the session's thread only, but for `status` and `dropped`.

    Attributes:
        subscriptions: what it carries, by the broker's key; changed by `add` and `remove` only.
        last_tick_ms: when (epoch ms) the last ticks came, 0: never.
    """

    def __init__(self, number: int, shared: Shared) -> None:
        settings = shared.settings.session
        self.name = f"{shared.adapter.name}-{number}"
        self.subscriptions: dict[str, Subscription] = {}
        self.last_tick_ms = 0
        self._shared = shared
        self._settings = settings
        self._standing = (State.STOPPED, 0, "not started")
        self._attempt: Attempt | None = None
        self._ending: Ending | None = None
        self._outage: Outage | None = None
        self._backoff = Backoff(settings.backoff, random.random)
        self._watch = StallWatch(settings.stall)
        self._hours = InstrumentHours(shared.hours)
        self._token_version = 0  # of the last attempt
        self._due_s = 0.0  # the next attempt
        self._stage_s = 0.0  # since when it is in its state
        self._fed_s = 0.0  # for how long this attempt has brought ticks
        self._seen_ms = 0  # up to here nothing was missed
        self._last_frame_ms = 0
        self._openings = 0
        self._expired_ms = 0  # since when the token is no good, 0: it is
        self._tally: tuple[Counter[str], Attempt | None] = Counter(), None  # of earlier attempts, and of this

    @property
    def state(self) -> State:
        """As of now."""
        return self._standing[0]

    @property
    def has_more(self) -> bool:
        """Whether the last step left something to do."""
        return self._attempt is not None and self._attempt.has_more

    def status(self) -> ConnectionStatus:
        """For people and metrics; from any thread."""
        state, since_ms, why = self._standing
        why = why or (self._shared.token.warning if state is State.LIVE else "")
        number, reconnects = len(self.subscriptions), max(0, self._openings - 1)
        return ConnectionStatus(self.name, state, since_ms, why, number, reconnects, self._last_frame_ms)

    def dropped(self) -> Counter[str]:
        """What was no tick or found no room, by reason; from any thread."""
        dropped, attempt = self._tally
        return dropped + attempt.dropped if attempt else dropped

    def add(self, subscriptions: Iterable[Subscription], now: Moment) -> None:
        """Carry these too."""
        new, was_empty = {one.key: one for one in subscriptions}, not self.subscriptions
        self.subscriptions.update(new)
        self._hours.of(one.name for one in self.subscriptions.values())
        if self._attempt is not None and self.state is State.LIVE:
            self._attempt.wire.subscribe(list(new))
            if was_empty:
                self._watch.subscribed(now.s)

    def remove(self, keys: Iterable[str]) -> None:
        """Carry these no longer."""
        gone = [key for key in keys if self.subscriptions.pop(key, None)]
        self._hours.of(one.name for one in self.subscriptions.values())
        self._watch.forget()
        if self._attempt is not None and self.state is State.LIVE:
            self._attempt.wire.unsubscribe(gone)

    def step(self, now: Moment) -> Iterator[TickColumns | Disconnected]:
        """Take what came, and do what is due. Raises ProcessSpentError and ConfigError."""
        self._hours.look(now.s, now.ms)
        if (attempt := self._attempt) is not None:
            for event in attempt.events(now):
                yield from self._handle(event, attempt, now)
            if self._attempt is not None:
                self._check(attempt, now)
            if self._attempt is None and (lost := attempt.inbox.take_lost()):
                yield from self._handle(lost, attempt, now)
        elif self._ending is not None:
            self._finish(self._ending)
        elif self.subscriptions:
            self._begin_when_due(now)
        elif self.state is not State.STOPPED:
            self._stand(State.STOPPED, now, "nothing is subscribed")
            if self._outage is not None:
                yield self._outage.until(now.ms)
                self._outage = None
        if self._outage is not None and (missed := self._outage.at(now.ms, self._hours.is_open)):
            yield missed

    def resumed(self, now: Moment) -> None:
        """The session was held up until now, so nobody else is to blame for silence."""
        self._watch.resumed(now.s)
        self._stage_s = now.s
        if self._attempt is not None:
            self._attempt.inbox.heard_s = now.s

    def stop(self, now: Moment) -> Ending | None:
        """Begin to end for good; the wire's end, if there is a wire."""
        if self._attempt is not None:
            self._end(self._attempt)
        self._stand(State.STOPPED, now)
        return self._ending

    def _handle(
        self, event: Decoded | Change | Failure | Lost, attempt: Attempt, now: Moment
    ) -> Iterator[TickColumns | Disconnected]:
        match event:
            case Decoded(at_s, at_ms, ticks):
                self._last_frame_ms = at_ms
                if ticks is not None:
                    self._watch.frame(at_s, self._hours.busy)
                    self._fed_s = now.s - self._stage_s
                    self.last_tick_ms = self._seen_ms = at_ms
                    if self._outage is not None:
                        yield self._outage.until(at_ms)
                        self._outage = None
                    yield ticks
            case Lost(from_ms, to_ms, frames):
                log.warning("%s: no room for %d frames", self.name, frames)
                yield Disconnected(from_ms - UNDERWAY_MS, to_ms, self._ids(), GapReason.OVERFLOW)
            case Change.CONNECTED:
                self._stand(State.AUTHENTICATING, now)
            case Change.OPENED:
                self._opened(attempt, now)
            case Failure(trouble, why):
                self._fail(attempt, now, trouble, why)

    def _opened(self, attempt: Attempt, now: Moment) -> None:
        self._stand(State.LIVE, now)
        self._openings += 1
        self._seen_ms = now.ms
        attempt.wire.subscribe(list(self.subscriptions))
        self._watch.subscribed(now.s)
        if self._outage is not None and not self._hours.is_open:
            self._outage = None  # what there was to tell was told when the market closed

    def _check(self, attempt: Attempt, now: Moment) -> None:
        wire_settings, in_state_s = self._shared.settings.wire, now.s - self._stage_s
        connect_s, authenticate_s = wire_settings.connect_s, self._settings.authenticate_s
        trouble, why, state = Trouble.NETWORK, "", State.BACKING_OFF
        if self.state is State.CONNECTING and in_state_s > connect_s:
            why = f"no connection within {connect_s:g} s"
        elif self.state is State.AUTHENTICATING and in_state_s > authenticate_s:
            why = f"no word on the token within {authenticate_s:g} s"
        elif self.state is State.LIVE:
            if not self._hours.is_open:
                self._seen_ms = now.ms  # while nothing trades nothing is missed
            deaf_s = now.s - attempt.inbox.heard_s
            if deaf_s > HALF_OPEN_PINGS * wire_settings.ping_s:
                why = f"no sign of life for {deaf_s:.1f} s"
            elif not attempt.has_more and (mute := self._mute(now)):
                why, state = mute, State.STALE
            elif self._token_version != self._shared.token.version and not self._hours.is_open:
                trouble, why = Trouble.TOKEN, "there is a new token"
        if why:
            self._fail(attempt, now, trouble, why, state)

    def _mute(self, now: Moment) -> str:
        carried = len(self.subscriptions)
        return self._watch.stall(now.s, self._hours.busy, carried) if carried else ""

    def _fail(
        self, attempt: Attempt, now: Moment, trouble: Trouble, why: str, state: State = State.BACKING_OFF
    ) -> None:
        if self.state is State.LIVE and self.subscriptions:
            self._outage = self._outage or Outage(self._seen_ms - UNDERWAY_MS, self._settings.tell_gap_s)
            self._outage.include(self._ids())
        token, wait_s = self._shared.token, 0.0
        if trouble is not Trouble.TOKEN:
            wait_s = self._backoff.wait_s(trouble, self._fed_s)
        else:
            token.read()
            if token.version == self._token_version:
                token.refused()
                state, wait_s = State.TOKEN_EXPIRED, token.settings.retry_s
                why = f"{why}; {token.error or self._shared.adapter.renewal}"
        self._stand(state, now, why)
        self._due_s = now.s + wait_s
        self._end(attempt)

    def _end(self, attempt: Attempt) -> None:
        self._tally = self.dropped(), None
        self._ending, self._attempt = attempt.end(), None
        self._watch.lost()

    def _finish(self, ending: Ending) -> None:
        if ending.clean is None:
            return
        self._ending = None
        if not ending.clean:
            raise ProcessSpentError(f"{self.name}: its SDK can't end a connection: a new process is needed")

    def _begin_when_due(self, now: Moment) -> None:
        token = self._shared.token
        if token.credentials is None:
            if self.state is not State.TOKEN_EXPIRED:
                self._stand(State.TOKEN_EXPIRED, now, token.error)
            return
        renewed = self.state is State.TOKEN_EXPIRED and self._token_version != token.version
        if now.s < self._due_s and not renewed:
            return
        self._token_version, self._fed_s = token.version, 0.0
        self._stand(State.CONNECTING, now)
        self._attempt = Attempt(self.name, self._shared, token.credentials, now)
        self._tally = self._tally[0], self._attempt
        self._attempt.wire.start()

    def _stand(self, state: State, now: Moment, why: str = "") -> None:
        why = redact(" ".join(why.split()))
        level = logging.WARNING if state in TROUBLED else logging.INFO
        log.log(level, "%s: %s%s", self.name, state, f": {why}" if why else "")
        since_ms = now.ms
        if state is State.TOKEN_EXPIRED:  # it is tried now and then, and expired all the time
            since_ms = self._expired_ms = self._expired_ms or now.ms
        elif state is State.LIVE:
            self._expired_ms = 0
        self._standing, self._stage_s = (state, since_ms, why), now.s

    def _ids(self) -> tuple[int, ...]:
        ids = self._shared.keys.ids
        return tuple(ids[key] for key in self.subscriptions)
