"""A real SMTP server on the loopback that wants STARTTLS or TLS and a log-in, and keeps what it is given."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from tests.servers import free_port

USER, PASSWORD = "desk@example.com", "s3cret-of-the-desk"
WITHIN_S = 30.0


class Mailbox:
    """The server and its mail; `answer` is what it says to the next mails, "250 …" if it takes them,
    `refused` an address it doesn't know, and `logins` how often somebody tried to log in."""

    def __init__(self, tls: ssl.SSLContext | None, implicit: bool) -> None:
        self.port = free_port()
        self.answer = "250 taken"
        self.refused = ""
        self.subjects: list[str] = []
        self.recipients: list[list[str]] = []
        self.logins = 0
        self._mails: queue.Queue[EmailMessage] = queue.Queue()
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._authenticate,
            auth_require_tls=False,  # it takes STARTTLS alone for TLS
            **(
                {"ssl_context": tls}
                if implicit
                else {"tls_context": tls, "require_starttls": tls is not None}
            ),
        )

    def next(self) -> EmailMessage:
        """The next mail, in the order of their coming."""
        return self._mails.get(timeout=WITHIN_S)

    def until(self, subject: str) -> list[EmailMessage]:
        """The next mails up to the first with this text in its subject."""
        mails = [self.next()]
        while subject not in mails[-1]["Subject"]:
            mails.append(self.next())
        return mails

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Called by aiosmtpd with each recipient."""
        if address == self.refused:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd with each mail."""
        if not session.authenticated:
            return "530 log in first"
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.recipients.append(list(envelope.rcpt_tos))
            self.subjects.append(str(mail["Subject"]))
            self._mails.put(mail)
        return self.answer

    def _authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        self.logins += 1
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=good, handled=False)


@contextmanager
def mailbox(tls: ssl.SSLContext | None, implicit: bool = False) -> Iterator[Mailbox]:
    """A running one; `implicit`: TLS from the first byte, not STARTTLS; without `tls` it has neither."""
    box = Mailbox(tls, implicit)
    box.controller.start()
    try:
        yield box
    finally:
        box.controller.stop()


def settings_of(box: Mailbox) -> list[str]:
    """What a person writes to have alerts sent there."""
    return [
        "alerts=email",
        "alerts.host=127.0.0.1",
        f"alerts.port={box.port}",
        f"alerts.user={USER}",
        f"alerts.sender={USER}",
        "alerts.to=[ops@example.com,night@example.com]",
    ]
