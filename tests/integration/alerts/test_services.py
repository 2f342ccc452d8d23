"""Telegram, Slack and webhooks through apprise against a real HTTP server.

Slack's and Telegram's addresses are attributes of apprise's classes, and are turned to the loopback here;
whether the services themselves take what is sent was not tried: they can't be reached from here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram

from ray_ingest.alerts.delivery import DeliveryError, Sender
from ray_ingest.alerts.services import service_senders
from ray_ingest.config import compose
from ray_ingest.core.alert_rules import Kind
from ray_ingest.core.alert_texts import Message
from tests.integration.alerts.posts import Posts, posts
from tests.servers import free_port

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyzABCDEFG"  # noqa: S105 — made up
SLACK_PATH = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
SLACK_URL = f"https://hooks.slack.com/services/{SLACK_PATH}"
MESSAGE = Message(Kind.DEGRADED, "store", "degraded: store", "What: ₹ & <b>Müller</b>.\nDo: nothing.")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    """The server, with Slack and Telegram turned to it."""
    with posts() as running:
        here = f"http://127.0.0.1:{running.port}"
        monkeypatch.setattr(NotifyTelegram, "notify_url", f"{here}/bot")
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{here}/services")
        monkeypatch.setenv("RAY_INGEST_TELEGRAM_TOKEN", TOKEN)
        monkeypatch.setenv("RAY_INGEST_SLACK_WEBHOOK_URL", SLACK_URL)
        monkeypatch.setenv(
            "RAY_INGEST_WEBHOOK_URL", f"http://me:pa%40ss@127.0.0.1:{running.port}/a/b?key=k3y"
        )
        yield running


def senders(*settings: str) -> list[Sender]:
    """What a configuration sends through."""
    return service_senders(compose(settings).alerts)


def refusal(send: Sender) -> DeliveryError:
    """How sending fails: one line, no secret."""
    with pytest.raises(DeliveryError) as caught:
        send(MESSAGE)
    text = str(caught.value)
    assert "\n" not in text
    for secret in (TOKEN, SLACK_PATH, "pa@ss", "pa%40ss", "k3y"):
        assert secret not in text
    return caught.value


def test_a_webhook_gets_json(server: Posts) -> None:
    """Path, query and log-in of the URL are kept; subject, text and kind are fields."""
    (send,) = senders("alerts=webhook")
    send(MESSAGE)
    path, body, login = server.next()
    assert path == "/a/b?key=k3y"
    assert login == "Basic bWU6cGFAc3M="
    assert (body["title"], body["message"], body["type"]) == (MESSAGE.subject, MESSAGE.text, "warning")


def test_each_chat_of_telegram_gets_it(server: Posts) -> None:
    """One call a chat, so that a repeated try reaches none twice; what looks like HTML stays text."""
    for send in senders("alerts=telegram", "alerts.to=['-1001','42']"):
        send(MESSAGE)
    calls = [server.next(), server.next()]
    assert [path for path, _, _ in calls] == [f"/bot{TOKEN}/sendMessage"] * 2
    assert [str(body["chat_id"]) for _, body, _ in calls] == ["-1001", "42"]
    for part in ("degraded: store", "₹ &amp; &lt;b&gt;Müller&lt;/b&gt;", "Do: nothing."):
        assert part in calls[0][1]["text"]


def test_slack_gets_it(server: Posts) -> None:
    """To the incoming webhook, without apprise's picture and footer."""
    (send,) = senders("alerts=slack")
    send(MESSAGE)
    path, body, _ = server.next()
    assert path == f"/services/{SLACK_PATH}"
    (attachment,) = body["attachments"]
    assert attachment["title"] == MESSAGE.subject
    assert "Müller" in attachment["text"]
    assert "Do: nothing." in attachment["text"]
    assert "footer" not in attachment


@pytest.mark.parametrize(
    "settings", [["alerts=slack"], ["alerts=webhook"], ["alerts=telegram", "alerts.to=[42]"]]
)
def test_what_a_service_answers_decides_whether_to_try_again(server: Posts, settings: list[str]) -> None:
    """A refused token isn't tried again; a busy or absent server is."""
    (send,) = senders(*settings)
    for status, lasting in ((401, True), (404, True), (429, False), (500, False)):
        server.status, server.body = status, b"{}"
        assert refusal(send).lasting is lasting, status


def test_a_server_that_is_not_there_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens; the text names the kind, not the URL."""
    monkeypatch.setenv("RAY_INGEST_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/k3y")
    (send,) = senders("alerts=webhook")
    error = refusal(send)
    assert str(error).startswith("alerts=webhook: ")
    assert not error.lasting


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (["alerts=slack"], "RAY_INGEST_SLACK_WEBHOOK_URL", "https://hooks.slack.com/k3y"),
        (["alerts=slack"], "RAY_INGEST_SLACK_WEBHOOK_URL", "https://example.com/services/a/b/k3y"),
        (["alerts=webhook"], "RAY_INGEST_WEBHOOK_URL", "ftp://k3y"),
        (["alerts=webhook"], "RAY_INGEST_WEBHOOK_URL", "http://h:port/k3y"),
        (["alerts=webhook"], "RAY_INGEST_WEBHOOK_URL", "http://[h/k3y"),
        (["alerts=telegram", "alerts.to=[42]"], "RAY_INGEST_TELEGRAM_TOKEN", "k3y"),
    ],
)
def test_a_secret_that_can_not_be_one_is_named_not_shown(
    settings: list[str], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says which variable holds it."""
    monkeypatch.setenv(name, value)
    (send,) = senders(*settings)
    error = refusal(send)
    assert name in str(error)
    assert error.lasting


def test_a_missing_secret_and_a_missing_extra_are_named(
    server: Posts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line each: what to set, what to install, which file is empty."""
    (send,) = senders("alerts=slack")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "apprise", None)
        assert str(refusal(send)) == "alerts=slack needs apprise: pip install 'ray-ingest[alerts]'"
    monkeypatch.delenv("RAY_INGEST_SLACK_WEBHOOK_URL")
    assert "RAY_INGEST_SLACK_WEBHOOK_URL is not set" in str(refusal(send))
    (tmp_path / "empty").touch()
    (send,) = senders("alerts=slack", f"alerts.secret_file={tmp_path / 'empty'}")
    assert f"alerts.secret_file={tmp_path / 'empty'} is empty" in str(refusal(send))


def test_a_debug_log_has_no_secret(server: Posts, caplog: pytest.LogCaptureFixture) -> None:
    """Neither apprise's lines nor those of the HTTP library below it, good or bad."""
    with caplog.at_level(logging.DEBUG):
        for settings in (["alerts=slack"], ["alerts=webhook"], ["alerts=telegram", "alerts.to=[42]"]):
            (send,) = senders(*settings)
            server.status, server.body = 200, b"ok"
            send(MESSAGE)
            server.status = 403
            refusal(send)
    for secret in (TOKEN, SLACK_PATH, "pa@ss", "k3y"):
        assert secret not in caplog.text
