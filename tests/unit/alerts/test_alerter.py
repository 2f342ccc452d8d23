"""The alerter never holds up, and never ends, the run that shows it its statuses."""

from __future__ import annotations

import threading
import time

import pytest

from ray_ingest.actors.messages import FeedStats
from ray_ingest.actors.status import Status
from ray_ingest.alerts import Alerter, alerter_of
from ray_ingest.alerts.delivery import DeliveryError, PartlyDeliveredError
from ray_ingest.alerts.outbox import CAPACITY, Outbox
from ray_ingest.config import compose
from ray_ingest.core.alert_rules import AlertRules, AlertSettings
from ray_ingest.core.alert_texts import Message
from ray_ingest.errors import StoreError

MESSAGE = Message("started", "", "started", "text")
RUNNING = Status([], [FeedStats("sim", "p", 1, "running")], {}, {}, {}, 0)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the alerts' log has said."""
    return [record.getMessage() for record in caplog.records if record.name == "ray_ingest.alerts"]


def test_a_receiver_that_hangs_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """Messages beyond the queue are dropped and that is said once; the end waits as long as it was told."""
    hang, reached = threading.Event(), threading.Event()

    def never(message: Message) -> None:
        reached.set()
        hang.wait()

    outbox = Outbox([never])
    outbox.put(MESSAGE)
    assert reached.wait(10)
    for _ in range(CAPACITY + 10):
        outbox.put(MESSAGE)
    began_s = time.monotonic()
    outbox.close(0.2)
    assert time.monotonic() - began_s < 5
    hang.set()
    assert warnings(caplog) == [f"alerts are dropped: {CAPACITY} wait to be sent already"]


def test_each_reason_is_said_once_until_one_gets_through(caplog: pytest.LogCaptureFixture) -> None:
    """Three messages are refused, one goes, one is refused: two lines."""
    answers = iter([False, False, False, True, False])

    def send(message: Message) -> None:
        if not next(answers):
            raise DeliveryError("alerts=email: no", lasting=True)

    outbox = Outbox([send])
    for _ in range(5):
        outbox.put(MESSAGE)
    outbox.close(10)
    assert warnings(caplog) == ["alerts=email: no; alerts don't get through, the run goes on"] * 2


def test_a_message_that_some_got_ends_other_reasons(caplog: pytest.LogCaptureFixture) -> None:
    """One dead address is said once, as what it is; the next outage of the server is said again."""
    down, partly = DeliveryError("down", lasting=True), PartlyDeliveredError("x got none", lasting=True)
    answers = iter([down, partly, partly, down])

    def send(message: Message) -> None:
        raise next(answers)

    outbox = Outbox([send])
    for _ in range(4):
        outbox.put(MESSAGE)
    outbox.close(10)
    lost = "down; alerts don't get through, the run goes on"
    assert warnings(caplog) == [lost, "x got none", lost]


def test_what_may_pass_is_tried_again_and_given_up_at_last(caplog: pytest.LogCaptureFixture) -> None:
    """As often as there are waits, and once more; what lasts is tried once."""
    tries = []

    def send(message: Message) -> None:
        tries.append(message)
        raise DeliveryError("busy", lasting=message.kind == "failed")

    outbox = Outbox([send], waits_s=(0.0, 0.0))
    outbox.put(MESSAGE)
    outbox.put(Message("failed", "", "failed", "text"))
    outbox.close(10)
    assert [message.kind for message in tries] == ["started"] * 3 + ["failed"]
    assert len(warnings(caplog)) == 1


def test_the_fault_of_a_library_ends_no_thread_and_shows_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """An error nobody foresaw may hold anything in its text: its type is said; the next message is sent."""
    sent: list[Message | None] = []

    def send(message: Message) -> None:
        if not sent:
            sent.append(None)
            raise RuntimeError("https://hooks.example.com/s3cret")
        sent.append(message)

    outbox = Outbox([send])
    outbox.put(MESSAGE)
    outbox.put(MESSAGE)
    outbox.close(10)
    assert sent == [None, MESSAGE]
    assert warnings(caplog) == ["alerts don't get through (RuntimeError), the run goes on"]


def alerter(*sent: list[Message], settings: AlertSettings | None = None) -> Alerter:
    """One that puts its messages into these lists."""
    senders = [box.append for box in sent]
    return Alerter(AlertRules(settings or AlertSettings()), senders, "Ray Ingest on desk")


def test_an_error_in_its_own_house_ends_alerts_not_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault in reading a status is logged once; showing goes on harmlessly, and the end is told."""
    monkeypatch.setattr("ray_ingest.alerts.alerter.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("ray_ingest.alerts.alerter.health_of", lambda status, now_ms: 1 / 0)
    box: list[Message] = []
    with alerter(box) as shown:
        shown.show(RUNNING)
        shown.show(RUNNING)
    assert warnings(caplog) == ["alerts end here, the run goes on"]
    assert [message.subject for message in box] == ["stopped"]


@pytest.mark.parametrize(
    ("error", "subject"),
    [
        (StoreError("gave up after 2 s"), "failed: gave up after 2 s"),
        (RuntimeError("s3cret"), "failed: RuntimeError"),
        (
            KeyboardInterrupt(),
            "failed: stopped at once by a second signal; what was not committed is sent again",
        ),
    ],
)
def test_the_end_is_told_with_what_ended_it(error: BaseException, subject: str) -> None:
    """Our own errors in their words; of others only the kind, for their words may hold anything. The error
    goes on to whoever handles it, and every message says which machine it came from."""
    box: list[Message] = []

    def run() -> None:
        with alerter(box) as shown:
            shown.show(RUNNING)
            raise error

    with pytest.raises(type(error)):
        run()
    assert box[0].subject == "started"
    assert box[-1].subject.startswith(subject)
    assert all(message.text.endswith("\n\nRay Ingest on desk") for message in box)


def test_without_alerts_nothing_happens() -> None:
    """alerts=none starts no thread and reads no status."""
    before = threading.active_count()
    with alerter_of(compose([])) as quiet:
        quiet.show(RUNNING)
        assert threading.active_count() == before


def test_a_look_costs_next_to_nothing() -> None:
    """Most statuses are not looked at; all of ten thousand take well under a second."""
    box: list[Message] = []
    with alerter(box) as shown:
        began_s = time.monotonic()
        for _ in range(10_000):
            shown.show(RUNNING)
        assert time.monotonic() - began_s < 1.0
