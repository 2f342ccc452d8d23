"""Sends messages on a thread of its own: whatever the receivers do, the run goes on."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress

from ray_ingest.alerts.delivery import DeliveryError, PartlyDeliveredError, Sender
from ray_ingest.core.alert_texts import Message

log = logging.getLogger("ray_ingest.alerts")

CAPACITY = 100
WAITS_S = (1.0, 4.0, 16.0)
"""Between the tries of one message."""


class Outbox:
    """Messages on their way through all senders, in order; `put` neither waits nor raises.

    Each reason for which messages don't get through is logged once, until one does.
    """

    def __init__(self, senders: Sequence[Sender], waits_s: Sequence[float] = WAITS_S) -> None:
        self._senders = senders
        self._waits_s = waits_s
        self._queue: queue.Queue[Message | None] = queue.Queue(CAPACITY)
        self._closing = threading.Event()
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Send it when those before it are sent or given up."""
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._say(f"alerts are dropped: {CAPACITY} wait to be sent already")

    def close(self, patience_s: float) -> None:
        """Give what is left some seconds, with no more waiting between tries; then leave it."""
        self._closing.set()
        with suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(patience_s)
        if self._thread.is_alive() and not self._said:
            self._say(f"the last alerts could not be sent within {patience_s:g} s")

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            for sender in self._senders:
                self._send(sender, message)

    def _send(self, sender: Sender, message: Message) -> None:
        for wait_s in (*self._waits_s, None):
            try:
                sender(message)
            except PartlyDeliveredError as error:
                self._said &= {str(error)}
                self._say(str(error))
                return
            except DeliveryError as error:
                if wait_s is None or error.lasting:
                    self._say(f"{error}; alerts don't get through, the run goes on")
                    return
                self._closing.wait(wait_s)
            except Exception as error:  # a library's fault: its text may hold anything
                self._say(f"alerts don't get through ({type(error).__name__}), the run goes on")
                return
            else:
                self._said.clear()
                return

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)
