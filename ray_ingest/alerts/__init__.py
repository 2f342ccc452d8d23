"""Alerts to people: what a run's statuses say of its health, told by e-mail, Telegram, Slack or a webhook.

`core/alert_rules.py` decides what is told; here are the way from a `Status` to it, and the sending.
"""

from ray_ingest.alerts.alerter import Alerter, alerter_of

__all__ = ["Alerter", "alerter_of"]
