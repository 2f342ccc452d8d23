"""Everything through which a configuration tells people."""

from __future__ import annotations

from ray_ingest.alerts.delivery import Sender
from ray_ingest.alerts.services import service_senders
from ray_ingest.alerts.smtp import smtp_sender
from ray_ingest.schema import AlertsConfig


def senders_of(alerts: AlertsConfig) -> dict[str, Sender]:
    """By their names for a person, such as "alerts=email to you@example.com"; none where nobody is told."""
    name = f"alerts={alerts.kind}"
    if alerts.kind == "none":
        return {}
    if alerts.kind == "email":
        return {f"{name} to {', '.join(alerts.to)}": smtp_sender(alerts)}
    names = [f"{name} to {chat}" for chat in alerts.to] if alerts.kind == "telegram" else [name]
    return dict(zip(names, service_senders(alerts), strict=True))
