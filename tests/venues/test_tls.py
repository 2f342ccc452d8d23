"""Clients that know only the brokers' real URLs find the venues, and nobody else trusts them."""

from __future__ import annotations

import ssl
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import websocket

from tests.venues.plain import TICKS, PlainVenue, assert_silent
from tests.venues.tls import BROKERS, Authority, Tunnel, routes

CHILD = """
import sys, urllib.request, websocket
for host in sys.argv[1:]:
    client = websocket.create_connection(f"wss://{host}/feed", timeout=10)
    client.send('["A"]')
    print(client.recv(), urllib.request.urlopen(f"https://{host}/rest", timeout=10).status)
    client.shutdown()
"""


def test_a_child_process_reaches_venues_by_the_brokers_own_urls(tmp_path: Path) -> None:
    """With the tunnel's environment alone the real hosts lead here, by WebSocket and by HTTPS."""
    authority = Authority(tmp_path)
    with (
        PlainVenue(authority.server(*BROKERS)) as venue,
        Tunnel(routes(BROKERS, venue.port), authority.ca_file) as tunnel,
    ):
        child = subprocess.run(
            [sys.executable, "-c", CHILD, *BROKERS],
            env=tunnel.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (child.returncode, child.stdout.splitlines()) == (0, ["ok 200"] * len(BROKERS)), child.stderr
        assert set(tunnel.asked) == {f"{host}:443" for host in BROKERS}


def test_nobody_else_trusts_the_authority_and_other_hosts_are_refused(tmp_path: Path) -> None:
    """Without its file the certificate is refused, and the tunnel leads nowhere but to its venues."""
    authority = Authority(tmp_path)
    with PlainVenue(authority.server()) as venue, Tunnel({}, authority.ca_file) as tunnel:
        assert venue.url.startswith("wss://")
        with pytest.raises(ssl.SSLCertVerificationError):
            websocket.create_connection(venue.url, timeout=10)
        trusting = {"ca_certs": str(authority.ca_file)}
        with closing(websocket.create_connection(venue.url, timeout=10, sslopt=trusting)) as client:
            assert client.connected
        proxied = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": tunnel.environment()["https_proxy"]})
        )
        with pytest.raises(OSError, match="403"):
            proxied.open("https://example.invalid/", timeout=10)


def test_tls_fails_as_plain_does(tmp_path: Path) -> None:
    """Reset, half-open and stalled connections are the same to a client of TLS."""
    authority = Authority(tmp_path)
    sslopt = {"ca_certs": str(authority.ca_file)}
    with PlainVenue(authority.server()) as venue:
        for strike in (venue.half_open, venue.stall_mid_frame, venue.abort):
            with closing(websocket.create_connection(venue.url, timeout=10, sslopt=sslopt)) as client:
                client.send('["A"]')
                assert client.recv() == "ok"
                strike()
                venue.publish(TICKS)
                if strike == venue.abort:
                    # OpenSSL tells a reset as an end now and then.
                    with pytest.raises((OSError, websocket.WebSocketConnectionClosedException)):
                        client.recv()
                else:
                    assert_silent(client)
                    client.shutdown()  # type: ignore[no-untyped-call]
