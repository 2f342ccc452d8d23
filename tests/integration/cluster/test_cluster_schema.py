"""cluster.yaml against Ray's own schema and against what we promise of it; nothing is started."""

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CHECKOUT = Path(__file__).resolve().parents[3]
COMMANDS = ["setup_commands", "head_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"]

Config = dict[str, Any]


def cluster() -> Config:
    """The file as Ray reads it."""
    config: Config = yaml.safe_load((CHECKOUT / "cluster.yaml").read_text())
    return config


def check(config: Config) -> None:
    """Raise jsonschema.ValidationError where Ray would refuse the file, AssertionError where we would."""
    validate_config(prepare_config(copy.deepcopy(config)))

    assert config["provider"]["head_ip"] == "127.0.0.1", "as it comes, the cluster is this machine"
    for remote, local in config["file_mounts"].items():
        assert (CHECKOUT / local).exists(), f"{local} is not in the checkout"
        assert remote == f"~/ray-ingest-node/{local}"
    for command in (command for key in COMMANDS for command in config[key]):
        parsed = subprocess.run(
            ["/bin/bash", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        assert not parsed.stderr, parsed.stderr
    assert any("~/.bashrc" in command for command in config["setup_commands"]), "ray is on no login PATH"
    assert "~/.ray/auth_token" in config["cluster_synced_files"], "workers don't get the token"
    head, worker = (" ".join(config[key]) for key in COMMANDS[2:])
    for start in (head, worker):
        assert "RAY_AUTH_MODE=token" in start
        assert "RAY_USAGE_STATS_ENABLED=0" in start
        assert "--node-ip-address=$NODE_IP" in start
    for needed in (
        "--dashboard-host=127.0.0.1",
        "--port=6380",
        "--autoscaling-config=~/ray_bootstrap_config",
    ):
        assert needed in head, f"the head is started without {needed}"
    assert "RAY_enable_autoscaler_v2=0" in head, "no worker would ever join"
    assert "--address=$RAY_HEAD_IP:6380" in worker


def test_cluster_yaml_is_valid() -> None:
    """Ray accepts cluster.yaml, and it keeps what its comments say about addresses, tokens and commands."""
    check(cluster())


def test_workers_are_taken_over() -> None:
    """A user who fills in worker_ips gets all of them, without setting anything else."""
    config = cluster()
    config["provider"]["worker_ips"] = ["10.0.0.11", "10.0.0.12"]
    check(config)
    assert prepare_config(config)["max_workers"] == 2


def replaced(key: str, old: str, new: str) -> Callable[[Config], None]:
    """A fault: other words in the commands of `key`."""

    def put_in(config: Config) -> None:
        assert any(old in command for command in config[key])
        config[key] = [command.replace(old, new) for command in config[key]]

    return put_in


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (lambda config: config.update(worker_ip=[]), jsonschema.ValidationError),
        (lambda config: config.update(cluster_name=7), jsonschema.ValidationError),
        (lambda config: config["provider"].update(worker_ips="10.0.0.11"), jsonschema.ValidationError),
        (lambda config: config["auth"].update(user="me"), jsonschema.ValidationError),
        (lambda config: config["setup_commands"].append({"run": "ls"}), jsonschema.ValidationError),
        (lambda config: config["file_mounts"].update({"~/ray-ingest-node/absent": "absent"}), AssertionError),
        (lambda config: config["setup_commands"].pop(), AssertionError),
        (replaced("setup_commands", "; fi", ""), AssertionError),
        (replaced("head_start_ray_commands", "--dashboard-host=127.0.0.1", ""), AssertionError),
        (replaced("worker_start_ray_commands", "RAY_AUTH_MODE=token", ""), AssertionError),
        (replaced("worker_start_ray_commands", "6380", "6379"), AssertionError),
    ],
)
def test_a_broken_file_is_refused(fault: Callable[[Config], None], refusal: type[Exception]) -> None:
    """Negative control: the same check refuses a copy with any one fault in it."""
    config = cluster()
    fault(config)
    with pytest.raises(refusal):
        check(config)
