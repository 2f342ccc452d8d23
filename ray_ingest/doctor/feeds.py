"""What live feeds need besides the machine: tokens, lists of instruments, a calendar that knows the day."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np

from ray_ingest.clock import IST, epoch_ms, today
from ray_ingest.config import AppConfig
from ray_ingest.core.calendar import DAY_MS, Calendar
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.doctor.finding import Finding, ok, warning, wrong
from ray_ingest.errors import ConfigError, TokenError
from ray_ingest.feeds.brokers import adapter_of
from ray_ingest.feeds.session.tokens import TokenSettings, expiry_ms, read_credentials
from ray_ingest.instruments import Instruments, MastersError
from ray_ingest.live import token_settings_of
from ray_ingest.model import DAY_MINUTES, IST_OFFSET_MS, MINUTE_MS, Phase
from ray_ingest.subscriptions import subscriptions_of

SOON_MS = 3_600_000
AHEAD_DAYS = 30
FETCH = "python -m ray_ingest.instruments fetch"
_EPOCH = date(1970, 1, 1)


def tokens(config: AppConfig) -> Iterator[Finding]:
    """Of each configured broker: there is one, nobody else can read it, and it isn't over."""
    for broker in config.live_brokers:
        settings = token_settings_of(config, broker)
        finding = _token(settings, adapter_of(broker).renewal)
        alone = len(config.live_brokers) == 1
        if finding.verdict == "wrong" and not alone:  # the others go on without it
            finding = warning(finding.check, finding.found, finding.mend)
        yield finding
        yield from _readers(settings)


def _token(settings: TokenSettings, renewal: str) -> Finding:
    check = f"token {settings.broker}"
    try:
        token = read_credentials(settings).access_token
    except TokenError as error:
        return wrong(check, str(error), renewal)
    place = str(settings.token_file or settings.environment[1])
    end_ms, now_ms = expiry_ms(token), epoch_ms()
    if end_ms is None:
        return ok(check, f"from {place}; it doesn't say when it ends")
    at = datetime.fromtimestamp(end_ms / 1000, IST).strftime("%d %b %H:%M IST")
    if end_ms <= now_ms:
        return wrong(check, f"from {place}: it ended at {at}", renewal)
    if end_ms - now_ms < SOON_MS:
        return warning(check, f"from {place}: it ends at {at}", renewal)
    return ok(check, f"from {place}, until {at}")


def _readers(settings: TokenSettings) -> Iterator[Finding]:
    path = settings.token_file
    if path is None or not path.exists():
        return
    found = path.stat()
    if found.st_mode & 0o077:
        yield warning(f"token {settings.broker}", f"others can read {path}", f"chmod 600 {path}")
    elif found.st_uid != os.getuid():
        yield warning(f"token {settings.broker}", f"{path} is another user's", f"sudo chown $USER {path}")


def instruments(config: AppConfig) -> Iterator[Finding]:
    """What is to be subscribed is known to each broker, by lists of this session day."""
    if not config.live_brokers:
        return
    try:
        wanted = subscriptions_of(config)
    except ConfigError as error:
        yield wrong("instruments", str(error), FETCH)
        return
    try:
        masters = Instruments.load().masters
    except MastersError:
        masters = {}
    for broker, subscriptions in wanted.items():
        check, text = f"instruments {broker}", f"{len(subscriptions):,} to subscribe"
        master, fetch = masters.get(broker), f"{FETCH} --broker {broker}"
        if master is None:
            yield warning(check, f"{text}, by their plain names: there is no list", fetch)
        elif _next_session(config, master.day) <= today():
            yield warning(check, f"{text}; the list is of {master.day:%d %b %Y}", fetch)
        else:
            yield ok(check, f"{text}, the list is of {master.day:%d %b %Y}")


def calendar(config: AppConfig, on: date | None = None) -> Iterator[Finding]:
    """It knows today, and the coming weeks' holidays."""
    table = CalendarTable.from_mapping(config.calendar)
    known, day = Calendar(table), ((on or today()) - _EPOCH).days
    until = _EPOCH + timedelta(days=table.last_day)
    text = f"{_phases(known, day)}; holidays known until {until:%d %b %Y}"
    mend = f"add the exchanges' new holidays to conf/calendar/{table.name}.yaml, and raise last_date"
    if not known.first_day <= day <= known.last_day:
        yield wrong("calendar", text, mend)
    elif table.last_day - day < AHEAD_DAYS:
        yield warning("calendar", text, mend)
    else:
        yield ok("calendar", text)


def _phases(known: Calendar, day: int) -> str:
    """The phases of a day: those of the segment that keys expire with, or of the first there is."""
    segment = known.table.expiry_segment or next(iter(known.table.segments))
    index, _ = known.classify(segment, "-")
    shown = _EPOCH + timedelta(days=day)
    if not known.is_session(index, day):
        following = _EPOCH + timedelta(days=known.next_session_day(day))
        return f"{shown:%a %d %b}: no session of {segment}, the next is on {following:%a %d %b}"
    times = day * DAY_MS - IST_OFFSET_MS + np.arange(DAY_MINUTES, dtype=np.int64) * MINUTE_MS
    phases, _, _ = known.locate(np.full(DAY_MINUTES, index, np.uint8), times)
    edges = np.flatnonzero(np.diff(phases, prepend=0, append=0))
    spans = [
        f"{Phase(phases[a]).label} {a // 60:02}:{a % 60:02}–{b // 60:02}:{b % 60:02}"
        for a, b in pairwise(edges)
        if phases[a]
    ]
    return f"{shown:%a %d %b}: {', '.join(spans)}"


def _next_session(config: AppConfig, day: date) -> date:
    known = Calendar(CalendarTable.from_mapping(config.calendar))
    return _EPOCH + timedelta(days=known.next_session_day((day - _EPOCH).days))
