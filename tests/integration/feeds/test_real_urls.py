"""The SDKs with their own URLs: TLS behind a CONNECT proxy, set up by nothing but a process's environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ray_ingest.feeds.brokers import adapter_of
from tests.venues.brokers import CLIENT_IDS, HOSTS, MARK, make_venue, new_token
from tests.venues.faults import ALL
from tests.venues.market import Market
from tests.venues.tls import Authority, Tunnel, routes

COUNT, SEED = 40, 11
FIRST_HOST = {"upstox": "api.upstox.com", "fyers": "api-t1.fyers.in", "dhan": "api-feed.dhan.co"}


@pytest.mark.parametrize("broker", ALL)
def test_an_sdk_finds_its_broker_by_its_own_url(broker: str, tmp_path: Path) -> None:
    """Through the proxy and over TLS every trade arrives, and neither output shows the token."""
    market, authority = Market(count=COUNT, seed=SEED, minutes=2), Authority(tmp_path)
    names = {one.keys[broker]: one.name for one in market.instruments}
    ticks = market.ticks(broker)
    trades = {(names[tick.key], round(tick.last_price, 4), tick.event_time_ms) for tick in ticks}
    token = new_token(broker)
    id_variable, token_variable = adapter_of(broker).environment
    with (
        make_venue(broker, market, authority.server(*HOSTS[broker])) as venue,
        Tunnel(routes(HOSTS[broker], venue.port), authority.ca_file) as tunnel,
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.feeds.one_broker", broker]
            + [str(number) for number in (COUNT, SEED, len(trades))],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                **tunnel.environment(),
                **({id_variable: CLIENT_IDS[broker]} if id_variable else {}),
                token_variable: token,
            },
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        try:
            venue.wait_subscribed(market.keys(broker), 60)
            venue.publish(ticks)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
        assert child.returncode == 0, err[-2000:]
        assert {tuple(trade) for trade in json.loads(out.splitlines()[-1])} == trades
        assert f"{FIRST_HOST[broker]}:443" in tunnel.asked
        assert set(tunnel.asked) <= {f"{host}:443" for host in HOSTS[broker]}
        assert "live" in err
        assert token not in out + err
        assert MARK not in out + err
