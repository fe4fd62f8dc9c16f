from __future__ import annotations

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mpta
from mpta import Frame, ModelInvalid, Pipeline
from mpta.safety import secure_ultralytics
from mpta.torch_model import TorchModel, load_checkpoint
from tests.unit.mpta.toys import manifest, node, package

LEAST = 0.3


@pytest.fixture(scope="session")
def models(weights: dict[str, Path]) -> dict[str, TorchModel]:
    return {task: load_checkpoint(path, name=path.name) for task, path in weights.items()}


def picture(seed: int, height: int = 90, width: int = 160) -> np.ndarray[Any, np.dtype[np.uint8]]:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def by_ultralytics(path: Path, image: np.ndarray[Any, np.dtype[np.uint8]], imgsz: int) -> Any:
    ultralytics: Any = importlib.import_module("ultralytics")
    return ultralytics.YOLO(path).predict(image, conf=LEAST, imgsz=imgsz, verbose=False, device="cpu")[0]


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90)])
@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_boxes_are_those_of_ultralytics_own_predict(
    task: str, height: int, width: int, weights: dict[str, Path], models: dict[str, TorchModel]
) -> None:
    image = picture(1, height, width)
    truth = by_ultralytics(weights[task], image, 128)
    boxes = truth.obb if task == "obb" else truth.boxes

    root = node("m", minConfidence=LEAST, tracker="none")
    found = Pipeline(manifest(root), {"m": models[task]}).run([Frame(image=image)])[0].objects

    expected = [
        (truth.names[int(label)], float(confidence), box)
        for label, confidence, box in zip(boxes.cls, boxes.conf, boxes.xyxy.numpy(), strict=True)
        if (np.minimum(box[2:], (width, height)) > np.maximum(box[:2], 0)).all()
    ]
    if task == "segment":  # Ultralytics leaves out a box whose mask is empty; here a box counts by itself.
        drawn = np.array([[*box, confidence * 1e5] for _, confidence, box in expected])
        rows = [np.array([*seen["box"], seen["confidence"] * 1e5]) for seen in found]
        found = tuple(seen for seen, row in zip(found, rows, strict=True) if (np.abs(drawn - row) < 1.01).all(1).any())
    assert len(found) == len(expected) >= 3
    assert any(
        box[0] > 0 and box[1] > 0 and box[2] < width and box[3] < height for box in (seen["box"] for seen in found)
    )
    for seen, (label, confidence, box) in zip(found, expected, strict=True):
        assert seen["class"] == label
        assert seen["confidence"] == pytest.approx(confidence, abs=1e-4)
        assert seen["box"] == pytest.approx(box.clip(0, [width, height, width, height]), abs=1.01)


def test_a_classification_is_that_of_ultralytics_own_predict(
    weights: dict[str, Path], models: dict[str, TorchModel]
) -> None:
    for size, tolerance in ((64, 1e-4), (256, 0.02)):  # At its own size nothing is resized; else two resizers differ.
        image = picture(2, size, size)
        truth = by_ultralytics(weights["classify"], image, 64).probs

        result = Pipeline(manifest(node("m")), {"m": models["classify"]}).run([Frame(image=image)])[0]

        assert result.detection is not None
        assert result.detection["class"] == models["classify"].names[truth.top1]
        assert result.detection["confidence"] == pytest.approx(float(truth.top1conf), abs=tolerance)


def test_a_batch_gives_what_each_frame_gives_alone(weights: dict[str, Path], tmp_path: Path) -> None:
    inner = node("classify", crop=True, fields={"body": "{class}", "sure": "{confidence}"})
    root = node("detect", minConfidence=0.4, report="all", branches=[inner])
    files = {f"{task}.pt": weights[task] for task in ("detect", "classify")}
    pipeline = mpta.load(package(tmp_path / "p.mpta", root, files), threads=1)
    frames = [Frame(image=picture(seed, 90 + 40 * (seed % 2))) for seed in range(5)]

    together = pipeline.run(frames)

    assert sum(len(result.objects) for result in together) > 5
    for frame, result in zip(frames, together, strict=True):
        alone = pipeline.run([frame])[0]
        for one, other in zip(alone.objects, result.objects, strict=True):
            assert (one["class"], one["id"], one["body"]) == (other["class"], other["id"], other["body"])
            assert one["box"] == pytest.approx(other["box"], abs=1)
            assert (one["confidence"], one["sure"]) == pytest.approx((other["confidence"], other["sure"]), abs=1e-4)


def test_pipelines_load_and_run_side_by_side_in_threads(weights: dict[str, Path], tmp_path: Path) -> None:
    path = package(tmp_path / "p.mpta", node("detect"), {"detect.pt": weights["detect"]})
    frames = [Frame(image=picture(seed)) for seed in range(4)]
    expected = [result.objects for result in mpta.load(path).run(frames)]

    def work(_: int) -> list[tuple[mpta.records.Detection, ...]]:
        pipeline = mpta.load(path)
        return [result.objects for _ in range(5) for result in pipeline.run(frames)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))

    assert found == [expected * 5] * 4


def test_a_wide_frame_is_not_padded_to_a_square(models: dict[str, TorchModel]) -> None:
    from mpta.images import fit

    assert fit(picture(0), models["detect"], "letterbox", whole_input=False).shape == (96, 128)
    assert fit(picture(0), models["detect"], "letterbox", whole_input=True).shape == (128, 128)
    assert fit(picture(0), models["classify"], "stretch", whole_input=True).size == (64, 64)


def test_a_loaded_pipeline_knows_its_package(weights: dict[str, Path], tmp_path: Path) -> None:
    path = package(tmp_path / "p.mpta", node("detect", classes=["boat"]), {"detect.pt": weights["detect"]})

    pipeline = mpta.load(path)

    assert pipeline.digest == mpta.open_package(path).digest
    assert pipeline.warnings == (
        "pipeline.classes: the model knows none of these classes, so all count; it has car, truck",
    )


def test_ultralytics_is_told_to_load_safely_and_to_stay_off_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ULTRALYTICS_SAFE_LOAD", "YOLO_AUTOINSTALL", "YOLO_OFFLINE")
    for name in names:
        monkeypatch.setenv(name, "")

    secure_ultralytics()

    assert [os.environ[name] for name in names] == ["true", "False", "True"]


class Hostile:
    """Pickled as a call that the early walk lets through, but that no model needs."""

    def __reduce__(self) -> Any:
        return getattr, (np.dtype("f4"), "__class__")


def test_a_checkpoint_that_the_early_walk_lets_through_meets_the_safe_loader(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "hostile.pt"
    torch.save({"model": Hostile()}, path)
    opened = package(tmp_path / "p.mpta", node("hostile"), {"hostile.pt": path})
    mpta.open_package(opened)

    with pytest.raises(ModelInvalid, match=r"'hostile\.pt' is not an ultralytics checkpoint") as refused:
        mpta.load(opened)

    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("content", [{"model": None}, {"weights": 1}, [1, 2]])
def test_a_checkpoint_without_a_network_is_refused(tmp_path: Path, content: object) -> None:
    import torch

    path = tmp_path / "m.pt"
    torch.save(content, path)

    with pytest.raises(ModelInvalid, match=r"'m\.pt'"):
        load_checkpoint(path, name="m.pt")


def test_a_device_that_is_not_there_is_refused_in_words(weights: dict[str, Path]) -> None:
    with pytest.raises(ModelInvalid, match="device 'cuda:77' is not available"):
        load_checkpoint(weights["detect"], name="detect.pt", device="cuda:77")
