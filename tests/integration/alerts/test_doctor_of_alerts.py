"""The doctor's look at alerts: a real mail server, nothing sent, everything that can be wrong named."""

from __future__ import annotations

import socket
import time

import pytest

from ray_ingest.config import compose
from ray_ingest.doctor import CHECKS, Finding, Verdict, examine
from ray_ingest.doctor.alerts import alerts
from tests.integration.alerts.mailbox import PASSWORD, USER, Mailbox, mailbox, settings_of
from tests.servers import free_port

OK, WRONG = Verdict.OK, Verdict.WRONG
SECRET = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"  # noqa: S105


def found(*settings: str) -> Finding:
    """The check's one finding, through the doctor."""
    (finding,) = examine(compose(settings), [check for check in CHECKS if check.name == "alerts"])
    assert finding.check == "alerts"
    assert (finding.verdict is OK) == (not finding.mend)
    assert "\n" not in finding.found + finding.mend
    for secret in (PASSWORD, SECRET, "TIiajkdnlazkcOXrIdevi7FQ"):
        assert secret not in finding.found + finding.mend
    return finding


def test_a_mail_server_that_lets_us_in_is_well(box: Mailbox) -> None:
    """It is logged in to, and gets no mail."""
    finding = found(*settings_of(box))
    assert (finding.verdict, finding.found) == (OK, f"127.0.0.1:{box.port} lets {USER} in")
    assert (box.logins, box.subjects) == (1, [])


def test_a_mail_server_without_a_log_in_is_asked_too() -> None:
    """It has to answer as a mail server does."""
    with mailbox(None) as box:
        settings = [one for one in settings_of(box) if "alerts.user" not in one]
        finding = found(*settings, "alerts.security=none")
        assert (finding.verdict, finding.found) == (OK, f"127.0.0.1:{box.port} answers, without a log-in")


def test_each_mistake_is_wrong_and_comes_with_its_remedy(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, a missing one, a server that isn't there, and one nobody vouches for."""
    right = settings_of(box)
    nobody = found(*right, f"alerts.port={free_port()}")
    assert nobody.verdict is WRONG
    assert nobody.found.endswith("can't be reached: Connection refused")
    assert nobody.mend.startswith("correct alerts.host and alerts.port")
    with monkeypatch.context() as changed:
        changed.setenv("RAY_INGEST_SMTP_PASSWORD", f"{PASSWORD}-not")
        refused = found(*right)
        assert refused.found.endswith("refuses alerts.user or its password (SMTP 535)")
        assert refused.mend == "correct alerts.user or RAY_INGEST_SMTP_PASSWORD"
        changed.delenv("RAY_INGEST_SMTP_PASSWORD")
        missing = found(*right)
        assert "RAY_INGEST_SMTP_PASSWORD is not set" in missing.found
        assert missing.mend == "export RAY_INGEST_SMTP_PASSWORD=…, or alerts.secret_file=FILE"
    monkeypatch.delenv("SSL_CERT_FILE")
    untrusted = found(*right)
    assert "its certificate is not trusted" in untrusted.found
    assert "SSL_CERT_FILE" in untrusted.mend


def test_a_server_that_says_nothing_takes_no_longer_than_its_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The doctor goes on."""
    monkeypatch.setattr("ray_ingest.alerts.smtp.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = ("alerts=email", "alerts.host=127.0.0.1", f"alerts.port={mute.getsockname()[1]}")
        began_s = time.monotonic()
        finding = found(*settings, "alerts.sender=a@b.c", "alerts.to=[a@b.c]")
    assert time.monotonic() - began_s < 5
    assert finding.verdict is WRONG
    assert finding.found.endswith("says nothing, or hung up")


def test_of_services_only_the_secret_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, missing, or no such thing; nothing is sent, for nothing listens."""
    monkeypatch.setenv("RAY_INGEST_SLACK_WEBHOOK_URL", SECRET)
    assert found("alerts=slack").verdict is OK
    monkeypatch.setenv("RAY_INGEST_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/")
    assert found("alerts=webhook").verdict is OK
    monkeypatch.setenv("RAY_INGEST_TELEGRAM_TOKEN", "k3y")
    assert "can't be one" in found("alerts=telegram", "alerts.to=[42]").found
    monkeypatch.delenv("RAY_INGEST_SLACK_WEBHOOK_URL")
    missing = found("alerts=slack")
    assert missing.verdict is WRONG
    assert missing.mend.startswith("export RAY_INGEST_SLACK_WEBHOOK_URL=…")


def test_without_alerts_nothing_is_said() -> None:
    """Nobody is to be told: nothing to look at."""
    assert list(alerts(compose([]))) == []
