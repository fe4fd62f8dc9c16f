"""`make bench`: every measurement, each in a process of its own, as tables. Quote ratios from one run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

from rich.console import Console

#: In this order. Each prints its own tables.
MEASUREMENTS = tuple(
    f"benchmarks.{name}"
    for name in ("hot_path", "relay", "engine", "tree", "capture", "inspection", "loading", "system")
)


def main() -> int:
    """Run all; return how many failed."""
    Console().print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
    )
    return sum(subprocess.run([sys.executable, "-m", name], check=False).returncode != 0 for name in MEASUREMENTS)


if __name__ == "__main__":
    sys.exit(main())
