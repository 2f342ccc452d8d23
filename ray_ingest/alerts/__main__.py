"""`python -m ray_ingest.alerts alerts=email …`: a test message through everything that is configured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ray_ingest.alerts.alerter import signature_of
from ray_ingest.alerts.delivery import DeliveryError, Sender
from ray_ingest.alerts.senders import senders_of
from ray_ingest.clock import epoch_ms
from ray_ingest.command_line import OneLineParser, exit_code_of
from ray_ingest.config import compose
from ray_ingest.core.alert_rules import Kind
from ray_ingest.core.alert_texts import Message, trial_text
from ray_ingest.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Send it; the exit code is 0 when all of it was delivered, 1 when something wasn't, 2 for settings that
    can't be used."""

    def run() -> int:
        config = compose(_parser().parse_args(argv).settings)
        senders = senders_of(config.alerts)
        if not senders:
            raise ConfigError("alerts=none: nobody is told; give alerts=email or another of docs/alerts.md")
        text = f"{trial_text(epoch_ms())}\n\n{signature_of(config)}"
        message = Message(Kind.TEST, "", Kind.TEST.value, text)
        delivered = True
        for name, send in senders.items():
            why = _why_not(send, message)
            why = why.removeprefix(f"alerts={config.alerts.kind}: ")
            print(f"{name}: not delivered: {why}" if why else f"{name}: delivered", flush=True)
            delivered = delivered and not why
        return int(not delivered)

    return exit_code_of(run)


def _why_not(send: Sender, message: Message) -> str:
    """Why it wasn't delivered, and what mends it; "" if it was."""
    try:
        send(message)
    except DeliveryError as error:
        return f"{error}; {error.mend}" if error.mend and error.mend not in str(error) else str(error)
    except Exception as error:  # a library's fault: its text may hold anything
        return type(error).__name__
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m ray_ingest.alerts",
        description="Send a test message as alerts are sent. Exit code 0: delivered, 1: not.",
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="as for python -m ray_ingest.main")
    return parser


if __name__ == "__main__":
    sys.exit(main())
