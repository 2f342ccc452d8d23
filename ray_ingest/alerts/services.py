"""Alerts by Telegram, Slack and webhooks, through apprise, which knows what each of them wants."""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ray_ingest.alerts.delivery import SECRETS, TIMEOUT_S, DeliveryError, Sender, secret_of
from ray_ingest.core.alert_rules import Kind
from ray_ingest.core.alert_texts import Message
from ray_ingest.schema import AlertsConfig

_TYPES = {Kind.DEGRADED: "warning", Kind.STILL: "warning", Kind.RECOVERED: "success", Kind.FAILED: "failure"}
_BUSY = (408, 429)


def service_senders(alerts: AlertsConfig) -> list[Sender]:
    """One for each Telegram chat, so that a repeated try reaches no chat twice; one otherwise."""
    return [_Service(alerts, chat) for chat in (alerts.to if alerts.kind == "telegram" else [""])]


def check_services(alerts: AlertsConfig) -> None:
    """The secret is there, can be one, and there is what sends it; nothing is sent. Raises DeliveryError."""
    _Service(alerts, alerts.to[0] if alerts.kind == "telegram" else "").place(secret_of(alerts))


class _Service:
    """One place; apprise is imported with the first message."""

    def __init__(self, alerts: AlertsConfig, chat: str) -> None:
        self._alerts = alerts
        self._chat = chat

    def __call__(self, message: Message) -> None:
        secret, kind = secret_of(self._alerts), self._alerts.kind
        service, said = self.place(secret)
        good = service.notify(
            title=message.subject,
            body=message.text,
            notify_type=_TYPES.get(Kind(message.kind), "info"),
            body_format="text",
        )
        if not good:
            why = said.last or "the message was not taken"
            code = re.search(r"error=(\d+)", why)
            lasting = code is not None and 400 <= int(code[1]) < 500 and int(code[1]) not in _BUSY
            raise DeliveryError(f"alerts={kind}: {_without(secret, why)}", lasting)

    def place(self, secret: str) -> tuple[Any, _Warnings]:
        """What apprise sends through, and what keeps its warnings. Raises DeliveryError if there is none."""
        kind = self._alerts.kind
        try:
            import apprise
        except ImportError:
            install = "pip install 'ray-ingest[alerts]'"
            raise DeliveryError(f"alerts={kind} needs apprise: {install}", True, install) from None
        said = _Warnings.of_apprise()
        asset = apprise.AppriseAsset(app_id="Ray Ingest", async_mode=False)
        common = {"asset": asset, "cto": TIMEOUT_S, "rto": TIMEOUT_S}
        try:
            place = _PLACES[kind](secret, self._chat, common)
        except (ValueError, apprise.exception.AppriseException):
            name = self._alerts.secret_file or SECRETS[kind]
            text = f"alerts={kind}: what {name} holds can't be one"
            raise DeliveryError(text, True, f"give {name} the one that {kind} gave you") from None
        return apprise.Apprise(place, asset=asset), said


# The classes are made directly, for from a URL apprise imports all of its hundred services. ValueError and
# AppriseException mean a secret that can't be one.


def _telegram(token: str, chat: str, common: dict[str, Any]) -> Any:
    from apprise.plugins.telegram import NotifyTelegram

    return NotifyTelegram(token, targets=[chat], **common)  # type: ignore[no-untyped-call]


def _slack(secret: str, chat: str, common: dict[str, Any]) -> Any:
    from apprise.plugins.slack import NotifySlack

    found = re.fullmatch(r"https://hooks\.slack\.com/services/(\w+)/(\w+)/(\w+)", secret)
    if found is None:
        raise ValueError
    a, b, c = found.groups()
    return NotifySlack(  # type: ignore[no-untyped-call]
        token_a=a, token_b=b, token_c=c, include_image=False, include_footer=False, **common
    )


def _webhook(secret: str, chat: str, common: dict[str, Any]) -> Any:
    from apprise.plugins.custom_json import NotifyJSON

    url = urlsplit(secret)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError
    return NotifyJSON(  # type: ignore[no-untyped-call]
        params=dict(parse_qsl(url.query)),
        secure=url.scheme == "https",
        host=url.hostname,
        port=url.port,
        user=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        fullpath=url.path,
        **common,
    )


_PLACES = {"telegram": _telegram, "slack": _slack, "webhook": _webhook}


def _without(secret: str, text: str) -> str:
    """The text on one line, without the secret, or a part of it such as a URL's path."""
    url = urlsplit(secret)
    for part in (secret, url.path, url.query, url.password):
        if part and part != "/":
            text = text.replace(part, "…")
    return " ".join(text.split())


class _Warnings(logging.Handler):
    """Keeps what apprise says last instead of logging it: it says why only in its log, and its debug lines,
    like those of urllib3, hold tokens."""

    last = ""

    @classmethod
    def of_apprise(cls) -> _Warnings:
        """In place of what apprise logged to before."""
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        log, handler = logging.getLogger("apprise"), cls(logging.WARNING)
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.WARNING)
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.last = record.getMessage()
