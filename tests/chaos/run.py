"""One seed from start to verdict."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from hashlib import sha1
from pathlib import Path
from uuid import uuid4

import msgspec
import psutil
import ray
from redis.exceptions import RedisError

from ray_ingest.actors.supervisor import Status
from ray_ingest.errors import RayIngestError
from ray_ingest.pipeline import open_store, run_plan
from ray_ingest.store.scripts import script_texts
from tests.chaos.comparison import differences
from tests.chaos.faults import inject
from tests.chaos.monitor import Monitor
from tests.chaos.oracle import expected_of
from tests.chaos.proxy import FaultProxy
from tests.chaos.scenario import Scenario
from tests.chaos.source import BEGUN
from tests.chaos.stores import Store
from tests.chaos.system import ENDING, config_of, note_ending, pids_of, plan_for
from tests.chaos.verdict import Verdict

LONGEST_S = 60.0
LOSING = {"flushall", "wiped", "server_torn_tail", "failover"}
"""Faults by which a store goes back, which nobody notices after a run's last look at it."""
LATE = "the store went back at the end, and the run was started again"
RUNS = 6
"""A run that ends in an error is started again, as a service manager would, so often at most."""


class Run:
    """A scenario under way in `folder`."""

    def __init__(
        self, scenario: Scenario, folder: Path, longest_s: float = LONGEST_S, rewinds: bool = True
    ) -> None:
        self._rewinds = rewinds
        self._longest_s = longest_s
        self.scenario = scenario
        self.folder = folder
        self.verdict = Verdict(scenario.seed)
        self.injected: list[tuple[str, float]] = []
        self._struck_s = 0.0
        self._stop = threading.Event()
        self._pids: dict[str, list[int]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        replicated = any(fault.kind == "failover" for fault in scenario.faults)
        self.store = Store(folder, scenario, replicated)
        self._stack.callback(self.store.close)
        commit = script_texts()["commit"].encode()
        digest = sha1(commit, usedforsecurity=False).hexdigest()
        self.proxy = FaultProxy(folder / "p", self.store.current.socket, digest)
        self._stack.callback(self.proxy.close)
        self.monitor = Monitor(self.store, scenario.partitions)
        self._stack.callback(self.monitor.close)

    def close(self) -> None:
        """End servers, proxy and driver."""
        self._kill_driver()
        self._stack.close()

    def note(self, text: str) -> None:
        """Something worth knowing that is no failure."""
        self.verdict.notes.append(text)

    def pids(self, role: str) -> list[int]:
        """Process ids of "feed", "ohlc" or "supervisor" actors as last seen."""
        if role == "supervisor":
            return [p.pid for p in self._descendants() if _title(p).startswith("ray::supervisor")]
        if self._process is not None:
            with suppress(FileNotFoundError):
                self._pids = msgspec.json.decode((self.folder / "pids").read_bytes())
        return self._pids.get(role, [])

    def driver_pid(self) -> int:
        """Process id of the driver in a process of its own; 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def go(self) -> Verdict:
        """Load, faults, comparison."""
        began_s = time.monotonic()
        over = threading.Event()
        faults = threading.Thread(target=self._inject_all, name="faults", daemon=True)
        watchdog = threading.Thread(target=self._watch, args=(over,), name="watchdog", daemon=True)
        faults.start()
        watchdog.start()
        if self.scenario.live:
            threading.Thread(target=self._stop_once_right, args=(over,), name="closer", daemon=True).start()
        drive = self._drive_apart if self.scenario.own_driver else self._drive_here
        try:
            drive()
            faults.join(LONGEST_S)
            if self._struck_s > self._ending_s() and not self.verdict.wrong:
                # Nobody may have been there any more to notice: the same command makes it good.
                self.note(LATE)
                drive()
        finally:
            over.set()
        watchdog.join()
        if not self.verdict.wrong:
            with self.store.client() as client:
                self.verdict.wrong = differences(client, self.scenario, expected_of(self.scenario))
        self.verdict.took_s = time.monotonic() - began_s
        return self.verdict

    def _ending_s(self) -> float:
        """Since when (monotonic s) the run was ending; a fault of later may have come after its last look."""
        with suppress(FileNotFoundError):
            return float((self.folder / ENDING).read_text())
        return time.monotonic()

    def _drive_here(self) -> None:
        def watch(status: Status) -> None:
            self._pids = pids_of(status)
            note_ending(self.folder, status)

        namespace = f"chaos-{uuid4().hex[:8]}"
        if not self._stop.is_set():
            self.verdict.runs += 1
            try:
                config = config_of(self.scenario, self.folder, self.proxy.url)
                with open_store(config):
                    plan = plan_for(self.scenario, config, self.folder, namespace, self._rewinds)
                    run_plan(plan, config.redis.give_up_s, self._stop, watch)
            except RayIngestError as error:  # no fault of the scenario excuses it
                self.verdict.wrong.append(f"the run ended with {type(error).__name__}: {error}")
                return
        left = ray.util.list_named_actors(all_namespaces=True)
        if left:
            self.verdict.wrong.append(f"actors left behind: {left}")

    def _drive_apart(self) -> None:
        (self.folder / "scenario").write_bytes(pickle.dumps(self.scenario))
        (self.folder / "url").write_text(self.proxy.url)
        command = [sys.executable, "-m", "tests.chaos.driver", str(self.folder)]
        while not self._stop.is_set():
            self.verdict.runs += 1
            with (self.folder / "driver.log").open("ab") as output:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            code = self._process.wait()
            if code == 0 or not self._again(f"the driver ended with {code}: {self._last_words()}"):
                return

    def _again(self, why: str) -> bool:
        self.note(why)
        if self.verdict.runs >= RUNS:
            self.verdict.wrong.append(f"gave up after {RUNS} runs: {why}")
        return not self.verdict.wrong

    def _last_words(self) -> str:
        lines = (self.folder / "driver.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _inject_all(self) -> None:
        begun = self.folder / BEGUN
        while not begun.exists():
            if self._stop.wait(0.01):
                return
        begun_s = float(begun.read_text())
        while self.scenario.live and not self.monitor.committed():  # else nothing is lost for good
            if self._stop.wait(0.01):
                return
        for fault in self.scenario.faults:
            self._stop.wait(max(0.0, begun_s + fault.at_s - time.time()))
            injected_s = time.monotonic()
            try:
                inject(self, fault)
            except (
                Exception
            ) as error:  # a fault that can't be done is the harness's failure: told, never hidden
                self.verdict.wrong.append(f"the harness failed at {fault}: {error!r}")
                return
            self.injected.append((fault.kind, injected_s))
            if fault.kind in LOSING:
                self._struck_s = time.monotonic()

    def _watch(self, over: threading.Event) -> None:
        if over.wait(self._longest_s):
            return
        self.verdict.wrong.append(
            f"not over after {self._longest_s:g} s, {self.monitor.committed():,} ticks committed"
        )
        self.verdict.wrong += self._stacks()
        self._stop.set()
        self._kill_driver()

    def _stop_once_right(self, over: threading.Event) -> None:
        """A live source never ends: its run is stopped when everything is in the store, if ever."""
        expected = expected_of(self.scenario)
        while not over.wait(0.5):
            with suppress(RedisError), self.store.client() as client:
                if not differences(client, self.scenario, expected):
                    self._stop.set()
                    return

    def _stacks(self) -> list[str]:
        """Where the actors stand, if py-spy is there."""
        program = shutil.which("py-spy", path=os.path.dirname(sys.executable)) or shutil.which("py-spy")
        texts = []
        for process in self._descendants() if program else []:
            if _title(process).startswith(("ray::supervisor", "ray::ohlc", "ray::feed")):
                command = [str(program), "dump", "--nonblocking", "--pid", str(process.pid)]
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
                texts.append(f"{_title(process)}\n{done.stdout}{done.stderr}")
        return texts

    def _descendants(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.driver_pid() or os.getpid()).children(recursive=True)
        return []

    def _kill_driver(self) -> None:
        """End the driver and everything it started."""
        if self._process is None:
            return
        for process in [*self._descendants()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run_seed(scenario: Scenario, keep: bool = False, longest_s: float = LONGEST_S) -> Verdict:
    """Run a scenario in a folder of its own, which stays when it fails and `keep` is set."""
    folder = Path(tempfile.mkdtemp(prefix=f"ri-chaos-{scenario.seed}-", dir=tempfile.gettempdir()))
    verdict = Verdict(scenario.seed)
    try:
        run = Run(scenario, folder, longest_s)
        try:
            verdict = run.go()
            verdict.recovery_s = [(kind, run.monitor.recovery_s(at_s)) for kind, at_s in run.injected]
        finally:
            run.close()
    finally:
        if keep and verdict.wrong:
            verdict.notes.append(f"its files are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return verdict


def _title(process: psutil.Process) -> str:
    """The process's title in lower case; Ray's workers name their actor there."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline()).strip().lower()
    return ""
