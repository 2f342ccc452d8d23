"""What the tests of alerts share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_ingest.config import compose
from ray_ingest.pipeline import running_ray
from tests.integration.alerts.mailbox import PASSWORD, Mailbox, mailbox
from tests.venues.tls import Authority


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A throw-away authority that this test's mail client trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca_file))
    return made


@pytest.fixture
def box(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A server with STARTTLS whose password the environment has."""
    monkeypatch.setenv("RAY_INGEST_SMTP_PASSWORD", PASSWORD)
    with mailbox(authority.server()) as running:
        yield running


@pytest.fixture(scope="package")
def ray_up() -> Iterator[None]:
    """A Ray for the runs in this process."""
    with running_ray(compose(["ray.dashboard=false"])):
        yield
