"""Thin shells around the core: plain classes, wrapped in `ray.remote` in `options.py` and nowhere else."""

import os

# Read when Ray is imported. Ray ends a driver that leaves a dead raylet, without a word, if it takes the
# raylet's process for dead: without this, if an init process is the driver's parent (a service, a container).
# We start another Ray, and go on.
os.environ["RAY_RAYLET_PID"] = str(os.getpid())
