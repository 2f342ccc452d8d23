"""Thin shells around the core: plain classes, wrapped in `ray.remote` in `options.py` and nowhere else."""
