"""The SDK's real URL: TLS through a CONNECT proxy, in a process whose environment leads there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.http11 import Request, Response

from ray_ingest.core.connection import Trouble
from tests.venues import tls
from tests.venues.upstox.listening import NOW_MS, TOKEN, Memory, wire
from tests.venues.upstox.venue import UpstoxVenue
from tests.venues.venue import VenueTick, response

KEY = "NSE_FO|35000"
CLIENT = f"""
from tests.venues.upstox.listening import Memory, decoded, wire
memory = Memory()
ours = wire(None, memory)
ours.start()
memory.wait(lambda: memory.failures or "opened" in memory.said)
for trouble, why in memory.failures:
    print(trouble.name, why)
if not memory.failures:
    ours.subscribe(["{KEY}"])
    memory.wait(lambda: len(memory.frames) == 2)
    print(decoded(memory, ["{KEY}"])[0].last_price)
print(ours.close(5.0))
"""


def run(environment: dict[str, str]) -> list[str]:
    """What the client prints; it must print no token, and nothing as an error."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def test_the_real_url_works_where_the_server_is_who_it_says_and_nowhere_else(tmp_path: Path) -> None:
    """The SDK verifies no certificate and would show its token to whoever answers; the wire does."""
    authority = tls.Authority(tmp_path)
    with (
        UpstoxVenue(authority.server(*tls.UPSTOX)) as venue,
        tls.Tunnel(tls.routes(tls.UPSTOX, venue.port), authority.ca_file) as tunnel,
    ):
        venue.publish([VenueTick(KEY, 101.5, 75, NOW_MS, 1_000, 150)])
        trusting = {**os.environ, **tunnel.environment()}
        assert run(trusting) == ["101.5", "True"]
        doubting = {
            name: value
            for name, value in trusting.items()
            if name not in ("WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE")
        }
        failure, closed = run(doubting)
        assert failure.startswith("NETWORK")
        assert "certificate verify failed" in failure
        assert closed == "True"
        assert venue.attempts == 1
        assert tunnel.asked == ["api.upstox.com:443"] * 2


def test_a_redirect_away_from_tls_never_sees_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can forge a redirect must not get the token in the clear by it."""
    authority = tls.Authority(tmp_path)
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(authority.ca_file))
    with UpstoxVenue() as plain, UpstoxVenue(authority.server()) as venue:

        def downgrade(request: Request) -> Response:
            return response(302, headers={"Location": plain.url})

        monkeypatch.setattr(venue, "handshake", downgrade)
        memory = Memory()
        ours = wire(venue.url, memory)
        ours.start()
        assert memory.wait_failed() == (Trouble.PROTOCOL, "redirected to an address without TLS")
        assert ours.close(10.0)
        assert (venue.attempts, plain.attempts) == (1, 0)
