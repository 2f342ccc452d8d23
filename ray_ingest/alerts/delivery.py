"""What a way of sending is, how it fails, and where its secret comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ray_ingest.core.alert_texts import Message
from ray_ingest.schema import AlertsConfig

Sender = Callable[[Message], None]
"""Gives one message to one place, within some seconds. Raises DeliveryError."""

TIMEOUT_S = 5.0
"""For connecting, and for each answer."""

SECRETS = {
    "email": "RAY_INGEST_SMTP_PASSWORD",
    "telegram": "RAY_INGEST_TELEGRAM_TOKEN",
    "slack": "RAY_INGEST_SLACK_WEBHOOK_URL",
    "webhook": "RAY_INGEST_WEBHOOK_URL",
}
"""The environment variable of each kind's secret."""


class DeliveryError(Exception):
    """A message didn't get through; the text is one line without any secret, and so is `mend`, what to do
    about it. `lasting`: trying the same again is no use."""

    def __init__(self, text: str, lasting: bool, mend: str = "") -> None:
        super().__init__(text)
        self.lasting = lasting
        self.mend = mend


class PartlyDeliveredError(DeliveryError):
    """The message got through, but not to all it was for."""


def secret_of(alerts: AlertsConfig, environ: Mapping[str, str] = os.environ) -> str:
    """The secret, from its file or else from the environment. Raises DeliveryError where there is none."""
    name = SECRETS[alerts.kind]
    if alerts.secret_file is None:
        secret = environ.get(name, "").strip()
        where = f"{name} is not set, and neither is alerts.secret_file"
        mend = f"export {name}=…, or alerts.secret_file=FILE"
    else:
        mend = "write it into that file, or name another one"
        try:
            secret = Path(alerts.secret_file).expanduser().read_text("utf-8").strip()
            where = f"alerts.secret_file={alerts.secret_file} is empty"
        except OSError as error:
            secret, where = "", f"alerts.secret_file={alerts.secret_file}: {error.strerror}"
        except UnicodeDecodeError:
            secret, where = "", f"alerts.secret_file={alerts.secret_file} is not text"
    if not secret:
        raise DeliveryError(f"alerts={alerts.kind}: {where}", lasting=True, mend=mend)
    return secret
