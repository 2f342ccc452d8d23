"""A running system at a glance: `python -m ray_ingest.status`, docs/doctor.md.

The supervisor serves its status beside the metrics (`page`); whoever asks for it (`asking`) twice
can tell rates (`glance`), and shows them (`view`). It needs neither Ray nor the store.
"""
