"""What a feed says of itself while its pump goes on."""

import threading
from typing import Any

import numpy as np

from ray_ingest.actors.feed import _look
from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.pump import FeedSettings, Pump
from ray_ingest.actors.sender import Sender, SenderSettings
from ray_ingest.core.filters import FilterSettings
from ray_ingest.feeds.sim_settings import SimSettings
from ray_ingest.feeds.sim_source import SimSource
from ray_ingest.model import TICK

SENDER = SenderSettings(batch_ticks=2_000, window_calls=4, linger_s=0.0, heartbeat_s=1.0)


class Finishing(Pump):
    """The last commit is answered while somebody reads its figures, whichever he reads last."""

    def __init__(self) -> None:
        source = SimSource(SimSettings(), False)
        super().__init__(
            FeedSettings("sim", lambda: source, None, 1, 1_000, 100, 1_000, FilterSettings(), SENDER),
            [],
            threading.Event(),
        )
        self.senders = [Sender(None, "sim-1", source.table, False, SENDER)]
        self.senders[0].append(np.zeros(10, TICK), 0.0)

    @property
    def journal_size(self) -> Any:
        """None; it ends meanwhile."""
        self.senders[0].outbox.acknowledge(10)
        self.done = True


def test_a_feed_that_has_ended_tells_all_it_did() -> None:
    """Its state and its figures belong together: what it said last is the run's total if it dies then."""
    pump, stats = Finishing(), FeedStats("sim", "", 1, state="running")
    _look(stats, pump)
    assert (stats.state, stats.committed) == ("running", 0)
    _look(stats, pump)
    assert (stats.state, stats.committed) == ("ended", 10)
