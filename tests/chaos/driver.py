"""The main job in a process of its own, which may be killed: `python -m tests.chaos.driver FOLDER`.

The folder holds `scenario` (pickled) and `url`. It writes `pids` and `ending` whenever it has looked, and
ends as the main job does: exit code 0, or another one after one line that says why.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from pathlib import Path

import msgspec

from ray_ingest import pipeline
from ray_ingest.actors.supervisor import Status
from ray_ingest.errors import RayIngestError
from tests.chaos.scenario import Scenario
from tests.chaos.system import config_of, note_ending, pids_of, plan_for


def main(folder: Path) -> int:
    """Run the folder's scenario to its end; returns the exit code."""
    scenario: Scenario = pickle.loads((folder / "scenario").read_bytes())  # noqa: S301 - the harness wrote it
    url = (folder / "url").read_text()

    def watch(status: Status) -> None:
        fresh = folder / f"pids.{os.getpid()}"
        fresh.write_bytes(msgspec.json.encode(pids_of(status)))
        fresh.replace(folder / "pids")
        note_ending(folder, status)

    config = config_of(scenario, folder, url)
    # The product's own run, Ray's loss included; only what it runs is ours.
    pipeline.plan_of = lambda config, url, namespace: plan_for(scenario, config, folder, namespace)
    try:
        with pipeline.open_store(config) as store:
            pipeline.run(config, store, threading.Event(), watch)
    except RayIngestError as error:
        print(f"chaos driver: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
