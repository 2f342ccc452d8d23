"""E-mail through a real SMTP server with log-in, TLS and a certificate, and all that can be wrong with it."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from ray_ingest.alerts.delivery import DeliveryError
from ray_ingest.alerts.outbox import Outbox
from ray_ingest.alerts.smtp import smtp_sender
from ray_ingest.config import compose
from ray_ingest.core.alert_texts import Message
from tests.integration.alerts.mailbox import PASSWORD, USER, Mailbox, mailbox, settings_of
from tests.servers import free_port
from tests.venues.tls import Authority

MESSAGE = Message(
    "degraded",
    "feed",
    "degraded: Müller & Söhne\nat ₹ 1,234.50",
    "What: ₹ 1,234.50 für Müller — “odd”.\n\n" + "x" * 2_000,
)


def refusal(*settings: str) -> DeliveryError:
    """How sending fails."""
    with pytest.raises(DeliveryError) as caught:
        smtp_sender(compose(settings).alerts)(MESSAGE)
    text = str(caught.value)
    assert "\n" not in text
    assert PASSWORD not in text
    return caught.value


def test_a_mail_arrives_as_it_was_meant(box: Mailbox) -> None:
    """Subject on one line, umlauts, the rupee sign, dashes and long lines as written, all recipients, and the
    headers that keep it out of spam folders and out-of-office loops."""
    smtp_sender(compose(settings_of(box)).alerts)(MESSAGE)
    mail = box.next()
    assert mail["Subject"] == "[Ray Ingest] degraded: Müller & Söhne at ₹ 1,234.50"
    assert mail.get_content().splitlines() == MESSAGE.text.splitlines()
    assert (mail["From"], mail["To"]) == (USER, "ops@example.com, night@example.com")
    assert box.recipients == [["ops@example.com", "night@example.com"]]
    assert mail["Date"]
    assert str(mail["Message-ID"]).endswith("@example.com>")
    assert mail["Auto-Submitted"] == "auto-generated"


def test_tls_from_the_first_byte_works_too(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """alerts.security=ssl, as on port 465."""
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", PASSWORD)
    with mailbox(authority.server(), implicit=True) as box:
        smtp_sender(compose([*settings_of(box), "alerts.security=ssl"]).alerts)(MESSAGE)
        assert "Müller" in box.next()["Subject"]


def test_the_password_may_be_in_a_file_and_may_change(box: Mailbox, tmp_path: Path) -> None:
    """It is read for every message: a new password needs no restart."""
    file = tmp_path / "password"
    file.write_text("old\n")
    settings = [*settings_of(box), f"alerts.secret_file={file}"]
    assert "refuses alerts.user or its password (SMTP 535)" in str(refusal(*settings))
    file.write_text(f"{PASSWORD}\n")
    smtp_sender(compose(settings).alerts)(MESSAGE)
    assert box.next()


def test_each_mistake_is_named(box: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line without the secret that says what to look at, and whether another try is any use."""
    right = settings_of(box)
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", f"{PASSWORD}-not")
    error = refusal(*right)
    assert error.lasting
    assert str(error) == (
        f"alerts=email: 127.0.0.1:{box.port} refuses alerts.user or its password (SMTP 535)"
    )
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", "pässword")
    assert "letters SMTP can't send" in str(refusal(*right))
    monkeypatch.delenv("RAY_INGEST_SMTP_PASSWORD")
    assert str(refusal(*right)) == (
        "alerts=email: RAY_INGEST_SMTP_PASSWORD is not set, and neither is alerts.secret_file"
    )
    missing = f"alerts.secret_file={tmp_path / 'none'}"
    assert str(refusal(*right, missing)) == f"alerts=email: {missing}: No such file or directory"
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", PASSWORD)
    box.answer = "554 no"
    assert (str(refusal(*right))[-16:], refusal(*right).lasting) == ("answers SMTP 554", True)
    box.answer = "451 later"
    assert not refusal(*right).lasting
    absent = refusal(*right, f"alerts.port={free_port()}")
    assert "can't be reached: Connection refused" in str(absent)
    assert not absent.lasting


def test_a_certificate_that_nobody_signed_is_refused(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """No password goes to a server that can't show who it is."""
    monkeypatch.delenv("SSL_CERT_FILE")
    error = refusal(*settings_of(box))
    assert "its certificate is not trusted" in str(error)
    assert error.lasting
    assert box.logins == 0


def test_a_server_without_starttls_gets_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TLS was taken away on the way, nobody logs in in clear."""
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", PASSWORD)
    with mailbox(None) as box:
        assert "does not offer STARTTLS, see alerts.security" in str(refusal(*settings_of(box)))
        assert box.logins == 0


def test_a_server_that_takes_a_call_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out ends the try; it can be made again."""
    monkeypatch.setattr("ray_ingest.alerts.smtp.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        settings = ("alerts=email", "alerts.host=127.0.0.1", f"alerts.port={port}", "alerts.sender=a@b.c")
        error = refusal(*settings, "alerts.to=[a@b.c]")
    assert "says nothing, or hung up" in str(error)
    assert not error.lasting


def test_what_fails_for_a_while_is_tried_again(box: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    """A server that is busy for a moment costs no mail, and nobody a line in the log."""
    send, tries = smtp_sender(compose(settings_of(box)).alerts), []

    def busy_at_first(message: Message) -> None:
        tries.append(message)
        box.answer = "451 later" if len(tries) < 3 else "250 taken"
        send(message)

    outbox = Outbox([busy_at_first], waits_s=(0.01, 0.01, 0.01))
    outbox.put(MESSAGE)
    assert box.next()
    outbox.close(5)
    assert len(tries) == 3
    assert not [record for record in caplog.records if record.name.startswith("ray_ingest")]


def test_a_debug_log_has_no_password(
    box: Mailbox, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever level the log has, and whatever the library prints."""
    with caplog.at_level(logging.DEBUG):
        smtp_sender(compose(settings_of(box)).alerts)(MESSAGE)
    assert box.next()
    assert PASSWORD not in caplog.text + "".join(capfd.readouterr())
