"""The files of the embedded server, which several processes look at."""

import threading
from pathlib import Path

from ray_ingest.store.valkey import ServerFiles


def test_a_process_id_may_vanish_while_it_is_read(tmp_path: Path) -> None:
    """Whoever closes the store last removes it; somebody else who closes it then reads none, and no error."""
    files, over = ServerFiles(tmp_path), threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            files.pid.write_text("7\n")
            files.pid.unlink()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert {files.read_pid() for _ in range(5_000)} <= {0, 7}
    finally:
        over.set()
        other.join()
