"""Alerts by e-mail.

Not through apprise: it doesn't tell a refused password from an unreachable server, and e-mail, the first
choice of most, needs no extra this way.
"""

from __future__ import annotations

import platform
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ray_ingest.alerts.delivery import TIMEOUT_S, DeliveryError, Sender, secret_of
from ray_ingest.core.alert_texts import Message
from ray_ingest.schema import AlertsConfig

LONGEST_SUBJECT = 150


def smtp_sender(alerts: AlertsConfig) -> Sender:
    """Sends to all addresses of `alerts.to` at once. Certificates are checked; SSL_CERT_FILE is heeded."""

    def send(message: Message) -> None:
        where = f"alerts=email: {alerts.host}:{alerts.port}"
        password = secret_of(alerts) if alerts.user else ""
        try:
            _send(alerts, password, _mail(alerts, message))
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(
                f"{where}: its certificate is not trusted: {error.verify_message}", True
            ) from None
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(
                f"{where} refuses alerts.user or its password (SMTP {error.smtp_code})", True
            ) from None
        except smtplib.SMTPRecipientsRefused:
            raise DeliveryError(f"{where} refuses the addresses of alerts.to", True) from None
        except smtplib.SMTPNotSupportedError:
            wants = "STARTTLS" if alerts.security == "starttls" else "logging in"
            raise DeliveryError(f"{where} does not offer {wants}, see alerts.security", True) from None
        except smtplib.SMTPResponseException as error:
            lasting = error.smtp_code >= 500
            raise DeliveryError(f"{where} answers SMTP {error.smtp_code}", lasting) from None
        except smtplib.SMTPServerDisconnected:
            raise DeliveryError(f"{where} says nothing, or hung up", False) from None
        except UnicodeError:
            raise DeliveryError(
                f"{where}: user, password or an address has letters SMTP can't send", True
            ) from None
        except smtplib.SMTPException as error:
            raise DeliveryError(f"{where}: {type(error).__name__}", False) from None
        except OSError as error:
            raise DeliveryError(
                f"{where} can't be reached: {error.strerror or type(error).__name__}", False
            ) from None

    return send


def _send(alerts: AlertsConfig, password: str, mail: EmailMessage) -> None:
    host, name = alerts.host or "", platform.node() or "localhost"
    context = ssl.create_default_context()
    if alerts.security == "ssl":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, alerts.port, local_hostname=name, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(host, alerts.port, local_hostname=name, timeout=TIMEOUT_S)
    with server:
        if alerts.security == "starttls":
            server.starttls(context=context)
        if alerts.user:
            server.login(alerts.user, password)
        server.send_message(mail)


def _mail(alerts: AlertsConfig, message: Message) -> EmailMessage:
    sender = alerts.sender or ""
    mail = EmailMessage()
    mail["Subject"] = f"[Ray Ingest] {' '.join(message.subject.split())}"[:LONGEST_SUBJECT]
    mail["From"] = sender
    mail["To"] = ", ".join(alerts.to)
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # no out-of-office notes in return
    mail.set_content(message.text + "\n", cte="quoted-printable")
    return mail
