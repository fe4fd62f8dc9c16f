"""The GPU: whether there is one, and its load as the CMS is told it: percent of its time and of its memory."""

from __future__ import annotations

import importlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Percent of the device; None without one."""

    gpu: float | None = None
    gpu_memory: float | None = None


def device(wanted: str) -> str:
    """Return the device that `wanted` means: itself, or for `auto` the GPU where there is one."""
    if wanted != "auto":
        return wanted
    # Imported here: a worker told to use the CPU need not pay seconds and 200 MB before its first package.
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load(name: str) -> Load:
    """Return the load of the device called `name`; empty for a CPU, or where the driver does not tell."""
    if not name.startswith("cuda"):
        return Load()
    import torch

    # A bare Exception to Python, and without types of its own: a partition of a GPU has no utilisation to tell.
    unknown: type[Exception] = importlib.import_module("pynvml").NVMLError
    try:
        free, total = torch.cuda.mem_get_info(name)
        return Load(float(torch.cuda.utilization(name)), 100.0 * (total - free) / total)
    except (RuntimeError, unknown):
        return Load()
