"""Is this machine fit to run with these settings: `python -m ray_ingest.doctor`, docs/doctor.md.

Each check looks at one thing for real and says what it found in one line, and what mends it. `examine` runs
them; a check neither raises nor takes for ever.
"""

from ray_ingest.doctor.examination import CHECKS, examine
from ray_ingest.doctor.finding import Finding, Verdict

__all__ = ["CHECKS", "Finding", "Verdict", "examine"]
