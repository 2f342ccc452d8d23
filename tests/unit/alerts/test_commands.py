"""The commands that alerts tell people to type."""

from pathlib import Path

import pytest

from ray_ingest.alerts.commands import gaps_command
from ray_ingest.config import compose
from ray_ingest.redact import HIDDEN

CANDLES = "python -m ray_ingest.candles"


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ([], f"{CANDLES} gaps"),
        (
            ["redis.data_dir=/d/my store", "redis.prefix=x:"],
            f"{CANDLES} --data-dir '/d/my store' --prefix x: gaps",
        ),
        (["redis=url", "redis.url=redis://db:6379/2"], f"{CANDLES} --url redis://db:6379/2 gaps"),
        (
            ["redis=url", "redis.url=redis://me:s3cret-of-mine@db/0"],
            f"{CANDLES} --url URL gaps  (URL: the run's redis.url)",
        ),
    ],
)
def test_gaps_are_listed_of_the_runs_own_store(settings: list[str], command: str) -> None:
    """The store of the run, as a shell takes it; an address with a log-in is left to the reader."""
    told = gaps_command(compose(settings).redis)
    assert told == command
    assert HIDDEN not in told


def test_a_relative_folder_is_told_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the alert may be in another folder than the run."""
    monkeypatch.chdir(tmp_path)
    assert (
        gaps_command(compose(["redis.data_dir=store"]).redis) == f"{CANDLES} --data-dir {tmp_path}/store gaps"
    )
