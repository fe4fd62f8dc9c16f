"""Ultralytics checkpoints as `Model`s. The only module that imports torch for inference, and only when asked.

Ultralytics' own `predict` costs several times the forward pass of a small model in Python, so only its network
and its box suppression are used here.
"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpta.errors import ModelInvalid, shown
from mpta.model import MAX_BATCH, TASKS, Task
from mpta.safety import secure_ultralytics
from mpta.suppression import IOU, MAX_BOXES, MAX_CANDIDATES, MAX_ORIENTED_CANDIDATES

#: The first torch whose restricted unpickler has no known hole (CVE-2025-32434, CVE-2026-24747).
_LEAST_TORCH = (2, 10)
#: Ultralytics swaps entries of `sys.modules` while it loads: one at a time.
_LOADING = threading.Lock()
#: What unpickling, fusing and trying out a network made of a stranger's bytes can end in.
_LOAD_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, pickle.UnpicklingError),
)


def _safe_ultralytics() -> ModuleType:
    """Import ultralytics with safe loading on; without it a checkpoint runs code and pip-installs what it names."""
    secure_ultralytics()
    import torch
    from ultralytics.nn import tasks

    if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < _LEAST_TORCH:
        raise ModelInvalid(f"torch {torch.__version__} cannot load a stranger's model safely; install 2.10 or later")
    if not tasks._SafeLoad.SUPPORTED:
        raise ModelInvalid("this ultralytics cannot load a stranger's model safely")
    return tasks


def load_checkpoint(path: Path, *, name: str, device: str = "cpu", threads: int | None = None) -> TorchModel:
    """Load ultralytics weights for inference.

    Args:
        path: the file on disk; never named in an error.
        name: what to call it there.
        device: `cpu`, `cuda`, `cuda:1`.
        threads: threads per pass, for all models of this process; None leaves them as they are.

    Raises:
        ModelInvalid: the file is no ultralytics checkpoint, or the device is not there.
    """
    tasks = _safe_ultralytics()
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        where = torch.device(device)
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as exc:  # AssertionError: torch was built without CUDA.
        raise ModelInvalid(f"device '{shown(device)}' is not available here") from exc
    try:
        # `safe_only` beside the variable: ultralytics may have been imported by others before us.
        with _LOADING:
            checkpoint, _ = tasks.torch_safe_load(str(path), safe_only=True)
        network = checkpoint.get("ema") or checkpoint.get("model")
        return TorchModel(network, checkpoint.get("train_args") or {}, where, name)
    except _LOAD_ERRORS as exc:
        raise ModelInvalid(f"'{shown(name)}' is not an ultralytics checkpoint that can be loaded safely") from exc


class TorchModel:
    """A network in memory, fused and in evaluation mode. See `mpta.model.Model` for its attributes."""

    def __init__(self, network: Any, train_args: dict[str, Any], device: Any, name: str) -> None:
        """Take over an ultralytics network (a `torch.nn.Module`) and bring it to the device."""
        import torch
        from ultralytics.utils.nms import non_max_suppression

        if not isinstance(network, torch.nn.Module):
            raise ModelInvalid(f"'{shown(name)}' holds no network")
        self.task = _task(network, train_args, name)
        self.names = _names(network, name)
        self._torch: Any = torch
        self._suppress: Any = non_max_suppression
        self._device = device
        self._network: Any = _ready(network, device)
        stride = getattr(network, "stride", None)
        step = max(int(stride.max()), 1) if isinstance(stride, torch.Tensor) else 32
        self.stride = 0 if self.task == "classify" else max(step, 32)
        self.imgsz = _imgsz(train_args.get("imgsz"), 224 if self.task == "classify" else 640, max(step, 32))
        self._mean_std = _normalisation(network) if self.task == "classify" else None
        self._try_out(name)

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> Sequence[NDArray[np.float32]]:
        """Run the batch, at most MAX_BATCH images per pass; see `mpta.model.Model.forward`."""
        found: list[NDArray[np.float32]] = []
        with self._torch.inference_mode():
            for start in range(0, len(batch), MAX_BATCH):
                found += self._pass(batch[start : start + MAX_BATCH], min_confidence)
        return found

    @property
    def parameters(self) -> int:
        """How many numbers the network has learned, after its normalisation was folded into its convolutions."""
        return sum(tensor.numel() for tensor in self._network.parameters())

    @property
    def size_bytes(self) -> int:
        """Memory that the parameters take on their device."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._tensors())

    def twin(self) -> TorchModel:
        """Return a model with the same parameters in memory, for another thread.

        A module of its own: ultralytics' heads keep the grid of their last input's shape, and a thread with another
        shape would change it between two lines of this one.
        """
        twin = copy.copy(self)
        twin._network = copy.deepcopy(self._network, {id(tensor): tensor for tensor in self._tensors()})
        return twin

    def _tensors(self) -> list[Any]:
        return [*self._network.parameters(), *self._network.buffers()]

    def _try_out(self, name: str) -> None:
        """Run once on black: a network that cannot run or has nameless classes is refused now, not in a worker.

        A small image where any size will do: at its own a large network takes seconds of the cores of all others.
        """
        height, width = (min(side, 4 * self.stride or side) for side in self.imgsz)
        found = self.forward(np.zeros((1, height, width, 3), np.uint8), 1.0)[0]
        classes = found.size if self.task == "classify" else int(getattr(self._network.model[-1], "nc", 0))
        if classes > len(self.names):
            raise ModelInvalid(f"'{shown(name)}' has {classes} classes and names {len(self.names)}")

    def _pass(self, batch: NDArray[np.uint8], min_confidence: float) -> list[NDArray[np.float32]]:
        images = self._torch.from_numpy(batch).to(self._device)  # Moved as bytes: a quarter of the traffic.
        images = images.permute(0, 3, 1, 2).contiguous().flip(1).float().div_(255)
        if self._mean_std is not None:
            images = (images - self._mean_std[0]) / self._mean_std[1]
        output = self._network(images)
        while isinstance(output, list | tuple):  # Segmentation nests its boxes beside masks, evaluation beside logits.
            output = output[0]
        if self.task == "classify":
            return list(output.float().cpu().numpy())
        rows = self._suppress(
            output,
            max(0.0, min_confidence - 1e-6),  # It keeps what is above, we keep what is at or above.
            IOU,
            max_det=MAX_BOXES,
            max_nms=MAX_ORIENTED_CANDIDATES if self.task == "obb" else MAX_CANDIDATES,
            nc=0 if self.task == "detect" else len(self.names),
            end2end=bool(getattr(self._network, "end2end", False)),
            rotated=self.task == "obb",
        )
        return [self._upright(row).cpu().numpy() for row in rows]

    def _upright(self, rows: Any) -> Any:
        """Return rows of x1 y1 x2 y2 confidence class; an oriented box becomes the upright one around it."""
        if self.task != "obb":
            return rows[:, :6]
        from ultralytics.utils import ops

        to_corners: Any = ops.xywhr2xyxyxyxy
        corners = to_corners(self._torch.cat([rows[:, :4], rows[:, -1:]], 1))
        return self._torch.cat([corners.amin(1), corners.amax(1), rows[:, 4:6]], 1)


def _ready(network: Any, device: Any) -> Any:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.float().fuse(verbose=False).eval().to(device)


def _task(network: Any, train_args: dict[str, Any], name: str) -> Task:
    from ultralytics.nn import tasks

    guess: Any = tasks.guess_model_task
    task = getattr(network, "task", None) or train_args.get("task") or guess(network)
    if task not in TASKS:
        raise ModelInvalid(f"'{shown(name)}' is a model for '{shown(str(task))}'; a node needs {', '.join(TASKS)}")
    return cast("Task", task)


def _names(network: Any, name: str) -> tuple[str, ...]:
    names = getattr(network, "names", None)
    if isinstance(names, dict):
        names = [names.get(index) for index in range(len(names))]
    if not isinstance(names, list | tuple) or not names or not all(isinstance(each, str) for each in names):
        raise ModelInvalid(f"'{shown(name)}' does not name its classes")
    return tuple(names)


def _imgsz(trained: object, default: int, step: int) -> tuple[int, int]:
    """Return height and width that the model was trained at, rounded up to what its stride allows."""
    sides = [trained, trained] if isinstance(trained, int) else trained
    if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
        sides = [default, default]
    height, width = (-(-min(int(side), 4096) // step) * step for side in sides)
    return height, width


def _normalisation(network: Any) -> tuple[Any, Any] | None:
    """Return mean and deviation that a classifier was trained with, or None for plain 0..1 as is usual."""
    last = getattr(getattr(network, "transforms", None), "transforms", [None])[-1]
    if type(last).__name__ != "Normalize":
        return None
    import torch

    device = next(network.parameters()).device
    mean, std = (torch.as_tensor(x, device=device).float().reshape(1, -1, 1, 1) for x in (last.mean, last.std))
    return None if not mean.any() and bool((std == 1).all()) else (mean, std)
