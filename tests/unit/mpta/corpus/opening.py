"""Run by path in a process of its own: open every package of a folder and print what that cost, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import mpta

#: No package of the corpus is to leave a file of this size, not even for a moment.
_FILE_BYTES = 16 << 20
_ADDRESS_BYTES = 1 << 30


def _refusal(path: Path) -> str:
    try:
        mpta.open_package(path, name="hostile.mpta")
    except mpta.PackageInvalid as exc:
        return str(exc)
    return "opened"


def _peak_mb() -> float:
    """Return the most memory that this program held. `ru_maxrss` would count the process that it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _main(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    opened = {}
    for path in sorted(folder.iterdir()):
        began = time.process_time()
        opened[path.name] = (_refusal(path), time.process_time() - began)
    found = {"opened": opened, "peak_mb": _peak_mb(), "modules": sorted(sys.modules)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
