"""Dhan's token is in the URL: nothing that is printed, logged or said may quote it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ray_ingest import redact
from ray_ingest.feeds.brokers import dhan_sdk
from tests.venues.dhan.listening import TOKEN, live, wire
from tests.venues.dhan.venue import DhanVenue
from tests.venues.tls import DHAN, Authority, Tunnel, routes

CHILD = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG)
from tests.venues.dhan.listening import wire
with wire(None, token=os.environ["DHAN_ACCESS_TOKEN"]) as (made, memory):
    memory.wait_said("opened")
    made.subscribe(["NSE_EQ:2885"])
    memory.wait(lambda: len(memory.frames) == 2)
    assert made.close(5)
    print("closed", memory.failures)
"""


def lives_and_deaths(venue: DhanVenue) -> list[str]:
    """Connections that end in every way; what their listeners were told."""
    told = []
    for fault in (lambda: venue.close(1000), venue.abort, venue.expire_token):
        with live(venue) as (made, memory):
            made.subscribe(["NSE_EQ:1"])
            venue.wait_subscribed(["NSE_EQ:1"])
            fault()
            told.append(memory.wait_failure()[1])
    for status in (401, 403, 503):
        venue.refuse(status)
        with wire(venue.url) as (_, memory):
            told.append(memory.wait_failure()[1])
    for url in ("ws://127.0.0.1:1", "no url", f"{venue.url}nowhere", "wss://127.0.0.1:99999"):
        with wire(url) as (_, memory):
            told.append(memory.wait_failure()[1])
    return told


def test_the_token_is_nowhere(
    venue: DhanVenue, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Logged at DEBUG from every library, through good days and bad: no token, no client id, no print."""
    caplog.set_level(logging.CRITICAL, "websockets.server")  # the venue's own, in this process
    caplog.set_level(logging.DEBUG)
    told = lives_and_deaths(venue)
    printed = capfd.readouterr()
    everything = "".join((*told, caplog.text, *map(repr, caplog.records), printed.out, printed.err))
    assert len(told) == 10
    for secret in (TOKEN, *TOKEN.split("."), "1100003626"):
        assert secret not in everything
    assert printed.out == ""
    assert any(record.name == "asyncio" for record in caplog.records)  # so the log was listened to


def test_the_library_would_log_it(
    venue: DhanVenue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: with the log of `websockets` on, the token is in it."""
    caplog.set_level(logging.CRITICAL, "websockets.server")
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(dhan_sdk, "_SILENT", logging.getLogger("websockets.client"))
    monkeypatch.setattr(redact, "redact", str)  # another test of this process may have installed it
    with live(venue):
        pass
    assert TOKEN in caplog.text


def test_the_real_url_behind_a_proxy(tmp_path: Path) -> None:
    """A child with the tunnel's environment alone reaches api-feed.dhan.co by TLS, and shows no token."""
    authority = Authority(tmp_path)
    with (
        DhanVenue(authority.server(*DHAN)) as venue,
        Tunnel(routes(DHAN, venue.port), authority.ca_file) as tunnel,
    ):
        child = subprocess.run(
            [sys.executable, "-c", CHILD],
            env={**os.environ, **tunnel.environment(), "DHAN_ACCESS_TOKEN": TOKEN},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (child.returncode, child.stdout) == (0, "closed []\n"), child.stderr
        assert tunnel.asked == ["api-feed.dhan.co:443"]
        assert venue.farewells == 1
        assert TOKEN.split(".")[1] not in child.stderr
