"""`python -m ray_ingest.alerts`: a test message through real servers, and all that can keep it away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ray_ingest.alerts.__main__ import main
from tests.integration.alerts.mailbox import PASSWORD, Mailbox, settings_of
from tests.integration.alerts.posts import posts
from tests.servers import free_port

TO = "alerts=email to ops@example.com, night@example.com"


def test_a_test_mail_arrives(box: Mailbox) -> None:
    """As a person calls it: one mail to all, one line, exit code 0, and nothing else is printed."""
    command = [sys.executable, "-m", "ray_ingest.alerts", *settings_of(box)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{TO}: delivered\n", "")
    mail = box.next()
    assert mail["Subject"] == "[Ray Ingest] test"
    assert box.recipients == [["ops@example.com", "night@example.com"]]
    text = "\n".join(str(mail.get_content()).splitlines())
    assert text.startswith("What: a test; alerts arrive here.\nSince: ")
    assert "\nDo: nothing.\n\nRay Ingest on " in text


@pytest.mark.parametrize("mistake", ["password", "no password", "nobody listens", "refused"])
def test_what_keeps_it_away_is_said(
    mistake: str, box: Mailbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and one line with the reason and what mends it, without the password."""
    settings, port = settings_of(box), box.port
    reason = "answers SMTP 554; see what the server's own log says"
    if mistake == "password":
        monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", f"{PASSWORD}-wrong")
        reason = (
            "refuses alerts.user or its password (SMTP 535); correct alerts.user or RAY_INGEST_SMTP_PASSWORD"
        )
    elif mistake == "nobody listens":
        port = free_port()
        settings.append(f"alerts.port={port}")
        reason = "can't be reached: Connection refused; correct alerts.host and alerts.port"
    box.answer = "554 no"
    reason = f"127.0.0.1:{port} {reason}"
    if mistake == "no password":
        monkeypatch.delenv("RAY_INGEST_SMTP_PASSWORD")
        reason = "RAY_INGEST_SMTP_PASSWORD is not set, and neither is alerts.secret_file"
    assert main(settings) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{TO}: not delivered: {reason}")
    assert printed.out.count("\n") == 1
    assert printed.err == ""
    assert PASSWORD not in printed.out


def test_an_address_among_others_that_is_refused_is_named(
    box: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others get their mail, and nobody is told that all is well."""
    box.refused = "night@example.com"
    assert main(settings_of(box)) == 1
    assert "refuses night@example.com of alerts.to, the others got it" in capsys.readouterr().out
    assert box.next()
    assert box.recipients == [["ops@example.com"]]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ([], "alerts=none: nobody is told"),
        (["alerts=email", "alerts.host=h"], "alerts.sender=None: must be an address"),
        (["alerts=post"], "alerts=post: must be one of email"),
    ],
)
def test_settings_that_can_not_be_used_are_refused(
    settings: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line on stderr."""
    assert main(settings) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(complaint)
    assert printed.err.count("\n") == 1


def test_a_webhook_is_tried_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the message as alerts come; refused, its URL is in no line."""
    with posts() as server:
        monkeypatch.setenv("RAY_INGEST_WEBHOOK_URL", f"http://127.0.0.1:{server.port}/s3cret-path")
        assert main(["alerts=webhook"]) == 0
        assert capsys.readouterr().out == "alerts=webhook: delivered\n"
        _, body, _ = server.next()
        assert (body["title"], body["type"]) == ("test", "info")
        server.status = 403
        assert main(["alerts=webhook"]) == 1
        printed = capsys.readouterr().out
    assert printed.startswith("alerts=webhook: not delivered: ")
    assert "s3cret" not in printed
