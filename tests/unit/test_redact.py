"""Redaction: a secret the process knows never comes out as text, whoever writes it."""

import subprocess
import sys

import pytest

from ray_ingest import redact

SECRET = "s3cret/of+the==tests"  # noqa: S105

PROGRAM = f"""
import logging, sys, threading, traceback, warnings
from ray_ingest.redact import install, register
early = logging.StreamHandler(sys.stdout)          # made before, holding the very stream
early.setFormatter(logging.Formatter("early %(message)s %(args)s"))
logging.getLogger("third.party").addHandler(early)
REDACTING
register({SECRET!r})
secret = {SECRET!r}
print("printed", secret, {{"token": secret}})
print("to stderr", secret, file=sys.stderr)
sys.stdout.writelines(["line ", secret, chr(10)])
log = logging.getLogger("third.party")
log.warning("as %s and %r", secret, [secret])
log.warning("misfit %d", secret)
logging.warning(secret)
logging.getLogger("http").error("GET wss://host/feed?version=2&token=unregistered-one&x=1")
logging.getLogger("http").error("Authorization: Bearer unregistered-one")
try:
    raise ValueError(f"failed with {{secret}}")
except ValueError:
    log.exception("caught")
    traceback.print_exc()
warnings.warn(f"warned {{secret}}")
thread = threading.Thread(target=lambda: (_ for _ in ()).throw(KeyError(secret)))
thread.start(); thread.join()
from urllib.parse import quote
print("quoted", quote(secret, safe=""))
install() if "install" in "REDACTING" else None
print("still", sys.stdout.isatty(), sys.stdout.encoding)
raise RuntimeError(secret)
"""


def written(redacting: str) -> str:
    """Everything a process of its own writes."""
    program = PROGRAM.replace("REDACTING", redacting)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    return run.stdout + run.stderr


def test_nothing_written_holds_a_secret() -> None:
    """Prints, logs of any logger and of handlers made earlier, tracebacks, warnings, threads, URLs."""
    text = written("install()")
    for place in ("printed", "to stderr", "early as", "misfit", "caught", "failed with", "warned", "quoted"):
        assert place in text
    assert "still false utf-8" in text.lower()
    assert SECRET not in text
    assert "s3cret%2Fof" not in text
    assert "unregistered-one" not in text
    assert "token=***&x=1" in text
    assert text.count("***") > 12


def test_without_it_all_of_that_is_seen() -> None:
    """Negative control: the same program shows its secrets when nothing is installed."""
    text = written("pass")
    assert text.count(SECRET) > 10
    assert text.count("unregistered-one") == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wss://a/b?token=abc.def&v=2", "wss://a/b?token=***&v=2"),
        ("access_token=abc, more", "access_token=***, more"),
        ("Bearer abc.def-ghi next", "Bearer *** next"),
        ("the token is refused", "the token is refused"),
        ("token expired", "token expired"),
    ],
)
def test_by_shape(text: str, expected: str) -> None:
    """Tokens that nobody registered are known by where they stand; words about tokens stay."""
    assert redact.redact(text) == expected


def test_short_texts_are_no_secrets() -> None:
    """They would blot out everything else."""
    redact.register("a")
    redact.register("")
    assert redact.redact("a cat") == "a cat"
