"""Would alerts reach the people they are for: secret, server and log-in; nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator

from ray_ingest.alerts.delivery import DeliveryError
from ray_ingest.alerts.services import check_services
from ray_ingest.alerts.smtp import check_login
from ray_ingest.config import AppConfig
from ray_ingest.doctor.finding import Finding, ok, wrong


def alerts(config: AppConfig) -> Iterator[Finding]:
    """Log in at the mail server; of a service only the secret is looked at. None configured: none found."""
    settings = config.alerts
    if settings.kind == "none":
        return
    try:
        if settings.kind == "email":
            check_login(settings)
            lets_in = f"lets {settings.user} in" if settings.user else "answers, without a log-in"
            found = f"{settings.host}:{settings.port} {lets_in}"
        else:
            check_services(settings)
            found = f"{settings.kind}: the secret is there; python -m ray_ingest.alerts tries it"
    except DeliveryError as error:
        yield wrong("alerts", str(error), error.mend)
    else:
        yield ok("alerts", found)
