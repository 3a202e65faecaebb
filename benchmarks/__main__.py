"""Run the short benchmarks, each in a process of its own so that none inherits another's memory."""

from __future__ import annotations

import subprocess
import sys

SHORT = (
    "statistics",
    "preparation",
    "lengths",
    "injection_overhead",
    "scaling",
    "catalogue",
    "training",
    "ladder",
    "where_time_goes",
)

if __name__ == "__main__":
    for name in SHORT:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
