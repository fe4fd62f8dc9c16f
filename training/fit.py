"""Trains one network with ultralytics and leaves a checkpoint that holds weights and nothing of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# Before the first import of ultralytics, which reads them once: no downloads, no installs, no unpickled code.
os.environ.update(ULTRALYTICS_SAFE_LOAD="true", YOLO_AUTOINSTALL="False", YOLO_OFFLINE="True", YOLO_VERBOSE="False")
# Threads that spin while they wait are slower than one thread as soon as anything else wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from training.networks import Network

#: Date in each checkpoint: a fixed one, or the same weights would never give the same bytes.
_DATE = "2026-01-01T00:00:00"

_COMMON: dict[str, Any] = {
    "device": "cpu",
    "workers": 0,
    "amp": False,
    "cache": "ram",
    "plots": False,
    "val": False,
    "exist_ok": True,
    "deterministic": True,
    "optimizer": "AdamW",
    "cos_lr": True,
    "warmup_epochs": 1.0,
    "mosaic": 0.0,
    "erasing": 0.0,
    "auto_augment": None,
    "fliplr": 0.0,
    "scale": 0.15,
    "translate": 0.06,
    "hsv_h": 0.01,
    "hsv_s": 0.3,
    "hsv_v": 0.3,
}


def fit(network: Network, data: Path, work: Path, *, seed: int, threads: int = 2) -> Path:
    """Train `network` on the samples below `data`; return the stripped checkpoint.

    Args:
        network: what to train.
        data: the folder that `training.samples.render` filled.
        work: a scratch folder; everything that ultralytics writes goes there, its settings file too.
        seed: of the weights and of the order of the samples.
        threads: of torch.
    """
    os.environ["YOLO_CONFIG_DIR"] = str(work)
    from ultralytics.models import YOLO

    definition = work / f"{network.name}.yaml"
    definition.write_text(json.dumps(network.definition()))
    source = data / network.name if network.task == "classify" else data / f"{network.name}.yaml"
    model = YOLO(str(definition), task=network.task)
    settings = _COMMON | network.augment

    def prepare(trainer: Any) -> None:
        # Ultralytics leaves one core free; channels-last is 1.4 times as fast on CPU.
        torch.set_num_threads(threads)
        trainer.model.to(memory_format=torch.channels_last)

    model.add_callback("on_train_start", prepare)
    model.train(
        data=str(source),
        epochs=network.epochs,
        batch=network.batch,
        imgsz=network.image_px,
        lr0=network.lr,
        seed=seed,
        project=str(work / "runs"),
        name=network.name,
        **settings,
    )
    target = work / f"{network.name}.pt"
    strip(work / "runs" / network.name / "weights" / "last.pt", target, network)
    return target


def strip(checkpoint: Path, target: Path, network: Network) -> None:
    """Write the checkpoint's averaged weights, in half precision, with no optimizer, no paths and no history."""
    loaded = torch.load(checkpoint, map_location="cpu", weights_only=False)
    model = (loaded.get("ema") or loaded["model"]).half()
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.names = dict(enumerate(network.classes))
    # The only argument that prediction reads back is the input's size; the others name this machine's folders.
    arguments = {"task": network.task, "imgsz": list(network.input_px), "data": network.name}
    model.args = arguments
    model.yaml = network.definition()
    model.criterion = None
    for leftover in ("pt_path", "yaml_file"):
        if hasattr(model, leftover):
            delattr(model, leftover)
    torch.save(
        {
            "model": model,
            "train_args": arguments,
            "epoch": -1,
            "date": _DATE,
            "version": loaded["version"],
            "license": loaded.get("license"),
        },
        target,
    )
