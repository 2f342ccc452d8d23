"""Where `conf/` and `lua/` are: inside the installed package, or beside it in a checkout."""

from importlib.resources import files
from pathlib import Path


def resource_dir(name: str) -> Path:
    """Absolute path of the resource folder `name` ("conf" or "lua").

    Raises FileNotFoundError when neither the package nor the checkout holds it.
    """
    package = Path(str(files("ray_ingest")))
    for candidate in (package / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no folder {name!r} in {package} or beside it: the installation is incomplete")
