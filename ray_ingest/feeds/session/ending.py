"""Ends a wire beside the session, which can't wait for it."""

from __future__ import annotations

import logging
import threading
import time

from ray_ingest.feeds.session.adapter import Wire

log = logging.getLogger(__name__)

OVERTIME_S = 1.0


class Ending:
    """A wire on its way out; `wake` is set when it is there."""

    def __init__(self, wire: Wire, timeout_s: float, wake: threading.Event) -> None:
        self._wire = wire
        self._timeout_s = timeout_s
        self._wake = wake
        self._clean: bool | None = None
        self._late_s = time.monotonic() + timeout_s + OVERTIME_S
        self._thread = threading.Thread(target=self._close, name="wire-closer", daemon=True)
        self._thread.start()

    @property
    def clean(self) -> bool | None:
        """None while it goes on; False when something of the wire runs on for good."""
        if self._clean is None and time.monotonic() > self._late_s:
            return False
        return self._clean

    def wait(self) -> bool:
        """Until it is over; True when it is so cleanly."""
        self._thread.join(max(0.0, self._late_s - time.monotonic()))
        return bool(self._clean)

    def _close(self) -> None:
        try:
            self._clean = self._wire.close(self._timeout_s)
        except Exception as error:  # whatever state the wire is in, it isn't trusted any more
            log.warning("closing a connection failed: %s", type(error).__name__)
            self._clean = False
        self._wake.set()
