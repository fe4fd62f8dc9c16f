"""Split the lock for an image whose torch is another build than the lock's: `split_lock.py LOCK BACKEND FOLDER`.

Writes FOLDER/locked.txt, which is installed with its hashes, and FOLDER/torch.txt, which holds torch and torchvision
at the lock's versions and comes from the backend's own index. Their CUDA libraries are in neither: the CPU build needs
none, and another CUDA version brings its own. When BACKEND is what the lock holds anyway, all of it is in locked.txt.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_TORCH = {"torch", "torchvision"}
_CUDA = re.compile(r"(nvidia|cuda)-|triton$")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>\S+)")
_VIA = re.compile(r"^ +# +(?:via +)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)


def main() -> int:
    """Write the two files; return the exit status."""
    lock, backend, folder = sys.argv[1:]
    blocks = re.split(r"^(?=[A-Za-z0-9])", Path(lock).read_text(), flags=re.MULTILINE)[1:]
    found = [(match["name"], match["version"], block) for block in blocks if (match := _REQUIREMENT.match(block))]
    versions = {name: version for name, version, _ in found}
    if not {*_TORCH, "cuda-toolkit"} <= versions.keys():
        sys.stderr.write(f"{lock}: no torch, torchvision and cuda-toolkit in it; was it written by `make lock`?\n")
        return 1
    apart = set() if backend == _own_backend(versions["cuda-toolkit"]) else _apart(found)
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    (into / "locked.txt").write_text("".join(block for name, _, block in found if name not in apart))
    (into / "torch.txt").write_text("".join(f"{name}=={versions[name]}\n" for name in sorted(_TORCH & apart)))
    return 0


def _own_backend(toolkit: str) -> str:
    """Return uv's name of the backend that the lock holds: cu130 for CUDA 13.0."""
    return "cu" + "".join(toolkit.split(".")[:2])


def _apart(found: list[tuple[str, str, str]]) -> set[str]:
    """Return torch, torchvision, and the CUDA libraries that nothing but these asks for (nvidia-ml-py stays)."""
    parents = {name: {m["name"] for m in _VIA.finditer(block)} - {"via"} for name, _, block in found}
    apart = set(_TORCH)
    while more := {n for n, asked_by in parents.items() if n not in apart and _CUDA.match(n) and asked_by <= apart}:
        apart |= more
    return apart


if __name__ == "__main__":
    sys.exit(main())
