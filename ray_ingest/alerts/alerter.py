"""Shown every status of a run, it tells people what they should know of it."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType

from ray_ingest.actors.status import Status
from ray_ingest.alerts.commands import gaps_command
from ray_ingest.alerts.delivery import Sender
from ray_ingest.alerts.health import health_of
from ray_ingest.alerts.outbox import Outbox
from ray_ingest.alerts.senders import senders_of
from ray_ingest.clock import epoch_ms
from ray_ingest.core.alert_rules import AlertRules, AlertSettings, session_end_after
from ray_ingest.core.alert_texts import Message
from ray_ingest.core.calendar import Calendar
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.errors import RayIngestError
from ray_ingest.schema import AppConfig

log = logging.getLogger("ray_ingest.alerts")

LOOK_EVERY_S = 0.25
LAST_WORDS_S = 5.0
"""How long the end of a run waits for its last messages to go."""


class Alerter:
    """Tells the start, troubles and their ends, the day's summary, and at the end of the `with` block how the
    run ended. Nothing it does stops or delays the run, but for `LAST_WORDS_S` at its very end."""

    def __init__(self, rules: AlertRules, senders: Sequence[Sender], signature: str) -> None:
        self._rules = rules
        self._senders = senders
        self._signature = signature
        self._outbox: Outbox | None = None
        self._looked_s = 0.0
        self._broken = False

    def __enter__(self) -> Alerter:
        if self._senders:
            self._outbox = Outbox(self._senders)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outbox is None:
            return
        try:
            self._put(self._rules.ended(epoch_ms(), _told_of(error)))
        except Exception:
            self._give_up()
        self._outbox.close(LAST_WORDS_S)

    def show(self, status: Status) -> None:
        """The state of things as of now; most calls cost nothing."""
        now_s = time.monotonic()
        early = now_s - self._looked_s < LOOK_EVERY_S and not status.finished
        if self._outbox is None or early or self._broken:
            return
        self._looked_s = now_s
        try:
            for message in self._rules.observe(health_of(status, epoch_ms())):
                self._put(message)
        except Exception:
            self._give_up()

    def _put(self, message: Message) -> None:
        assert self._outbox is not None  # noqa: S101 — only called once there is one
        self._outbox.put(replace(message, text=f"{message.text}\n\n{self._signature}"))

    def _give_up(self) -> None:
        """An error of ours in here must not end the run."""
        self._broken = True
        log.exception("alerts end here, the run goes on")


def alerter_of(config: AppConfig) -> Alerter:
    """The alerter of a configuration; with alerts=none it does nothing."""
    alerts = config.alerts
    settings = AlertSettings(
        hold_ms=int(alerts.hold_s * 1000),
        calm_ms=int(alerts.calm_s * 1000),
        repeat_ms=int(alerts.repeat_min * 60_000),
        max_per_hour=alerts.max_per_hour,
    )
    senders = list(senders_of(alerts).values())
    session_end = None
    if alerts.daily_summary and senders:
        calendar = Calendar(CalendarTable.from_mapping(config.calendar))
        session_end = partial(session_end_after, calendar)
    rules = AlertRules(settings, session_end, gaps_command(config.redis))
    return Alerter(rules, senders, signature_of(config))


def signature_of(config: AppConfig) -> str:
    """The last line of every message: where it comes from."""
    return f"Ray Ingest on {platform.node()}, process {os.getpid()}, feed={config.feed.kind}"


def _told_of(error: BaseException | None) -> str | None:
    """What people read of the error a run ended with; only our own errors' texts hold no secret for sure."""
    if error is None:
        return None
    if isinstance(error, RayIngestError):
        return str(error)
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "stopped at once by a second signal; what was not committed is sent again next time"
    return type(error).__name__
