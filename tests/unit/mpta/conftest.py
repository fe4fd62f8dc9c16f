"""Real tiny YOLO checkpoints with seeded random weights, built once per session."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpta.safety import secure_ultralytics

secure_ultralytics()

#: Two convolutions and a head each: milliseconds per pass, and every code path of a large model.
BACKBONE: list[list[Any]] = [[-1, 1, "Conv", [8, 3, 4]], [-1, 1, "Conv", [16, 3, 4]], [-1, 1, "Conv", [16, 3, 2]]]
CONFIGS: dict[str, dict[str, Any]] = {
    "detect": {"nc": 2, "reg_max": 16, "backbone": BACKBONE, "head": [[[1, 2], 1, "Detect", ["nc"]]]},
    "classify": {"nc": 3, "backbone": BACKBONE, "head": [[-1, 1, "Classify", ["nc"]]]},
    "segment": {"nc": 2, "reg_max": 16, "backbone": BACKBONE, "head": [[[1, 2], 1, "Segment", ["nc", 8, 16]]]},
    "pose": {
        "nc": 1,
        "reg_max": 16,
        "kpt_shape": [4, 3],
        "backbone": BACKBONE,
        "head": [[[1, 2], 1, "Pose", ["nc", [4, 3]]]],
    },
    "obb": {"nc": 2, "reg_max": 16, "backbone": BACKBONE, "head": [[[1, 2], 1, "OBB", ["nc", 1]]]},
}
NAMES = {
    "detect": {0: "car", 1: "truck"},
    "classify": {0: "sedan", 1: "van", 2: "pickup"},
    "segment": {0: "car", 1: "truck"},
    "pose": {0: "plate"},
    "obb": {0: "car", 1: "truck"},
}


def build(task: str, path: Path) -> Path:
    """Save a checkpoint as ultralytics' trainer does, with weights that give confidences all over the range."""
    import torch
    from ultralytics.nn import tasks

    torch.manual_seed(7)
    classes: dict[str, Any] = {
        "detect": tasks.DetectionModel,
        "classify": tasks.ClassificationModel,
        "segment": tasks.SegmentationModel,
        "pose": tasks.PoseModel,
        "obb": tasks.OBBModel,
    }
    network = classes[task](cfg=dict(CONFIGS[task]), ch=3, verbose=False)
    for name, weight in network.named_parameters():
        if weight.ndim == 4 and ".dfl." not in name:
            torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
        elif ".cv2." in name and name.endswith(".2.bias"):  # Boxes of about a grid cell, not of the whole image.
            weight.data = -0.7 * torch.arange(16.0).repeat(4)
        elif name.endswith("bias"):
            torch.nn.init.normal_(weight, -0.5 if ".cv3." in name else 0.0, 0.3)
    network.names, network.task = NAMES[task], task
    size = 64 if task == "classify" else 128
    torch.save({"model": network.half(), "ema": None, "train_args": {"imgsz": size, "task": task}}, path)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoint file by task."""
    home = tmp_path_factory.mktemp("weights")
    return {task: build(task, home / f"{task}.pt") for task in CONFIGS}


@pytest.fixture(scope="session")
def exported(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a task's checkpoint to ONNX as ultralytics does, each kind once: `exported("detect", dynamic=True)`."""
    home = tmp_path_factory.mktemp("onnx")
    done: dict[str, Path] = {}

    def export(task: str, **options: Any) -> Path:
        ultralytics: Any = importlib.import_module("ultralytics")
        key = "-".join([task, *(f"{name}{value}" for name, value in sorted(options.items()))])
        if key not in done:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Of torch's exporter, about how ultralytics calls it.
                size = 64 if task == "classify" else 128
                made = ultralytics.YOLO(weights[task]).export(
                    **{"format": "onnx", "imgsz": size, "simplify": False, "verbose": False, **options}
                )
            done[key] = Path(made).rename(home / f"{key}.onnx")
        return done[key]

    return export
