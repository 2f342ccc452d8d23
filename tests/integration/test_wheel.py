"""The built wheel is all that a user needs: it runs from anywhere, with the menu and scripts it carries."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.integration.run.processes import QUICK, ROOT, running


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment: the wheel, and what it depends on as installed here, but not the
    checkout, since an editable install is a .pth file, which counts in its own site folder only."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python"]
    subprocess.run([*command, str(python), str(wheel)], check=True, capture_output=True)
    return python


def test_the_wheel_holds_the_package_the_menu_and_the_scripts_and_nothing_else(wheel: Path) -> None:
    """Every file of ray_ingest/, conf/ and lua/; no tests, caches, notebooks or data."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "ray_ingest").rglob("*") if path.is_file()
    }
    for folder in ("conf", "lua"):
        wanted |= {f"ray_ingest/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob("*.*")}
    assert held == {name for name in wanted if "__pycache__" not in name}


def test_the_installed_wheel_runs_the_main_job_from_the_root_folder(installed: Path, tmp_path: Path) -> None:
    """Outside the checkout, from `/`: its own conf/ and lua/, in every process, and every candle right."""
    code = "from ray_ingest import resources as r; print(r.__file__, *map(r.resource_dir, ['conf', 'lua']))"
    asked = subprocess.run(
        [installed, "-c", code], cwd="/", env={}, check=True, capture_output=True, text=True
    )
    fresh = installed.parents[1]
    assert len(asked.stdout.split()) == 3
    assert all(Path(line).is_relative_to(fresh) for line in asked.stdout.split())
    arguments = ("feed.minutes=3", "ingest.partitions=2", *QUICK)
    with running(tmp_path, *arguments, python=str(installed), program=None, cwd=Path("/")) as run:
        assert run.end() == 0
    assert run.errors == ""
    equal, expected = run.verdict()
    assert equal == expected > 0
