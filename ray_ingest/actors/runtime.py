"""The Ray that a run uses: one of its own on this machine, or a cluster's; and whether it is still there."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psutil
import ray
import ray._private.parameter as ray_parameter
import ray._private.worker as ray_worker

from ray_ingest.errors import ActorError, ConfigError
from ray_ingest.ports import LOOPBACK, next_free_port
from ray_ingest.schema import RayConfig

MARK = "RAY_INGEST_RAY"
"""Environment variable by which a process of a Ray of our own is known, whoever its parent is by now. Ray's
agents lose theirs with the title they give themselves: they are remembered as the raylet's."""

SYSTEM_CONFIG = {"timeout_ms_task_wait_for_death_info": 0, "task_events_shutdown_flush_timeout_ms": 100}
"""A caller learns of an actor's death at once, not after a second's wait for the reasons of it; and leaving a
Ray whose GCS is dead doesn't wait five seconds to tell it of tasks."""

RAYLET, _ = KEPT_ALIVE = ("raylet", "gcs_server")
END_S = 5.0
GONE_NAP_S = 0.005


class RayLostError(ActorError):
    """A Ray of our own lost one of the processes it can't do without."""


class Runtime:
    """See the module's text; for a with statement. `namespace` is that of our actors' names."""

    def __init__(self, config: RayConfig) -> None:
        self.local = config.kind == "local"
        self.namespace = f"ray_ingest-{uuid4().hex[:8]}" if self.local else config.namespace
        self.restarts = 0
        self._config = config
        self._processes: dict[str, psutil.Process] = {}
        self._agents: set[psutil.Process] = set()

    def __enter__(self) -> Runtime:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start Ray, or connect to the cluster's. Raises ActorError or ConfigError in one line."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Ray prints every death of an actor's process in red; we say it in a line of our own.
        ray_worker.print_to_stdstream = _print_nothing
        on_sigterm = signal.getsignal(signal.SIGTERM)
        if self.local:
            self._start_own()
        else:
            self._connect()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # ray.init put its own there, which drains nothing

    def check(self) -> None:
        """Raises RayLostError when a Ray of our own has died; of a cluster's nothing can be known here."""
        for name, process in self._processes.items():
            if not _lives(process):
                raise RayLostError(f"Ray's process {name} (pid {process.pid}) died")

    def restart(self) -> None:
        """Start a new Ray in place of one that died. Raises ActorError when it doesn't start."""
        self.restarts += 1
        self.close()
        self.start()

    def close(self) -> None:
        """End our own Ray with all its processes, or leave the cluster's."""
        self._processes = {}
        # Ray would ask each in turn, for seconds. But its raylet has to live, which it does as long as its
        # agents do: without one Ray ends this process, if an init process is its parent.
        self._end(lambda process: process.name() not in KEPT_ALIVE and process not in self._agents)
        ray.shutdown()
        self._end(lambda process: True)

    def _end(self, which: Callable[[psutil.Process], bool]) -> None:
        """Kill the processes of a Ray of our own that `which` chooses, and see them gone."""
        if not self.local:
            return
        killed = []
        found = {process for process in psutil.process_iter() if self._is_ours(process)}
        for process in found | self._agents | _agents_of(found):
            with suppress(psutil.Error):
                if which(process):
                    process.kill()
                    killed.append(process)
        deadline_s = time.monotonic() + END_S
        while any(map(_lives, killed)) and time.monotonic() < deadline_s:
            time.sleep(GONE_NAP_S)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get(MARK) == self.namespace)
        except (psutil.Error, OSError):  # another user's, or just ending
            return False

    def _start_own(self) -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ[MARK] = self.namespace
        usual = ray_parameter.RayParams
        ray_parameter.RayParams = _AnyAgentPort  # type: ignore[misc]
        try:
            ray.init(
                address="local",
                namespace=self.namespace,
                num_cpus=2,
                include_dashboard=self._config.dashboard,
                dashboard_host=LOOPBACK,
                dashboard_port=next_free_port(self._config.dashboard_port),  # Ray itself would give up
                _system_config=SYSTEM_CONFIG,
                **_QUIET,
            )
        except Exception as error:  # bare ones, such as after 30 s on a machine with too much else to do
            reason = " ".join(str(error).split())
            raise ActorError(f"Ray doesn't start on this machine: {reason}") from None
        finally:
            del os.environ[MARK]  # the next Ray in this process may be another's
            ray_parameter.RayParams = usual  # type: ignore[misc]
        node: Any = ray_worker._global_node
        processes = node.all_processes
        self._processes = {name: psutil.Process(processes[name][0].process.pid) for name in KEPT_ALIVE}
        self._agents = _agents_of(self._processes.values())

    def _connect(self) -> None:
        address = self._config.address
        try:
            ray.init(address=address, namespace=self.namespace, **_QUIET)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"ray.address={address}: no Ray cluster answers there; `ray up cluster.yaml` "
                f"starts one ({str(error).splitlines()[0]})"
            ) from None


_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}


def _agents_of(processes: Iterable[psutil.Process]) -> set[psutil.Process]:
    """What the raylets among these have started."""
    found: set[psutil.Process] = set()
    for process in processes:
        with suppress(psutil.Error):
            if process.name() == RAYLET:
                found |= set(process.children())
    return found


class _AnyAgentPort(ray_parameter.RayParams):
    """`ray.init` can't be told a port for the dashboard's agent. When its usual one is taken, as by another
    Ray or by one that has just died, it tries again for seconds, and all of Ray waits for it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.dashboard_agent_listen_port = 0


def _print_nothing(*args: Any, **options: Any) -> None:
    """In place of Ray's printing of its daemons' messages."""


def _lives(process: psutil.Process) -> bool:
    """One that is dead and was not reaped yet is dead: a container's first process may never do it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
