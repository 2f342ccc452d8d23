"""Alerts by e-mail.

Not through apprise: it doesn't tell a refused password from an unreachable server, and e-mail, the first
choice of most, needs no extra this way.
"""

from __future__ import annotations

import platform
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ray_ingest.alerts.delivery import (
    SECRETS,
    TIMEOUT_S,
    DeliveryError,
    PartlyDeliveredError,
    Sender,
    secret_of,
)
from ray_ingest.core.alert_texts import Message
from ray_ingest.schema import AlertsConfig

LONGEST_SUBJECT = 150
_PLACE = "correct alerts.host and alerts.port, or start the server; alerts.security is that of the port"


def smtp_sender(alerts: AlertsConfig) -> Sender:
    """Sends to all addresses of `alerts.to` at once. Certificates are checked; SSL_CERT_FILE is heeded."""

    def send(message: Message) -> None:
        with _session(alerts) as server:
            refused = server.send_message(_mail(alerts, message))
        if refused:
            raise PartlyDeliveredError(
                f"alerts=email: {alerts.host}:{alerts.port} refuses {', '.join(refused)} of alerts.to, "
                "the others got it",
                lasting=True,
                mend="correct alerts.to",
            )

    return send


def check_login(alerts: AlertsConfig) -> None:
    """Connect, TLS and log-in as for a message, and nothing sent. Raises DeliveryError."""
    with _session(alerts):
        pass


@contextmanager
def _session(alerts: AlertsConfig) -> Iterator[smtplib.SMTP]:
    """A server that has let us in; what goes wrong with it, also while it is used, is a DeliveryError."""
    where = f"alerts=email: {alerts.host}:{alerts.port}"
    password = secret_of(alerts) if alerts.user else ""
    try:
        context = ssl.create_default_context()
        with _connected(alerts, context) as server:
            if alerts.security == "starttls":
                server.starttls(context=context)
            if alerts.user:
                server.login(alerts.user, password)
            server.ehlo_or_helo_if_needed()
            yield server
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(
            f"{where}: its certificate is not trusted: {error.verify_message}",
            True,
            "correct alerts.host, or put its authority into the file that SSL_CERT_FILE names",
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        secret = alerts.secret_file or SECRETS["email"]
        text = f"refuses alerts.user or its password (SMTP {error.smtp_code})"
        raise _refusal(alerts, text, f"alerts.user or {secret}") from None
    except smtplib.SMTPRecipientsRefused:
        raise _refusal(alerts, "refuses the addresses of alerts.to", "alerts.to") from None
    except smtplib.SMTPNotSupportedError:
        wants = "STARTTLS" if alerts.security == "starttls" else "logging in"
        text = f"does not offer {wants}, see alerts.security"
        raise _refusal(alerts, text, "alerts.security and alerts.port") from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(
            f"{where} answers SMTP {error.smtp_code}",
            error.smtp_code >= 500,
            "see what the server's own log says, and whether alerts.sender may send there",
        ) from None
    except smtplib.SMTPServerDisconnected:
        raise DeliveryError(f"{where} says nothing, or hung up", False, _PLACE) from None
    except UnicodeError:
        text = ": user, password or an address has letters SMTP can't send"
        raise DeliveryError(f"{where}{text}", True, "give it another one") from None
    except smtplib.SMTPException as error:
        raise DeliveryError(f"{where}: {type(error).__name__}", False, _PLACE) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DeliveryError(f"{where} can't be reached: {reason}", False, _PLACE) from None


def _connected(alerts: AlertsConfig, context: ssl.SSLContext) -> smtplib.SMTP:
    host, name = alerts.host or "", platform.node() or "localhost"
    if alerts.security == "ssl":
        return smtplib.SMTP_SSL(host, alerts.port, local_hostname=name, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(host, alerts.port, local_hostname=name, timeout=TIMEOUT_S)


def _refusal(alerts: AlertsConfig, text: str, settings: str) -> DeliveryError:
    """What the server doesn't take however often it is tried; `settings` are to be corrected."""
    return DeliveryError(f"alerts=email: {alerts.host}:{alerts.port} {text}", True, f"correct {settings}")


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
