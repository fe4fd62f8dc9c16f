from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import mpta
from mpta import Frame, Image, ModelInvalid, Result
from mpta.onnx_model import Description, describe, load_onnx
from mpta.torch_model import load_checkpoint
from tests.unit.mpta.toys import node, package

METADATA = {"task": "detect", "names": "{0: 'car', 1: 'truck'}", "imgsz": "[64, 96]", "stride": "32"}
LEAST = 0.3


def picture(seed: int, height: int = 96, width: int = 128) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def same(found: Any, expected: Any, tolerance: float = 1e-3) -> bool:
    """Whether two answers are one, whatever the order of boxes that are equally sure."""
    if found.ndim == 2:
        found, expected = (rows[np.lexsort(rows.round(1).T)] for rows in (found, expected))
    return found.shape == expected.shape and bool(np.allclose(found, expected, atol=tolerance))


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("detect", {}),
        ("detect", {"dynamic": True}),
        ("detect", {"nms": True, "conf": LEAST, "iou": 0.7}),
        ("detect", {"nms": True, "conf": LEAST, "iou": 0.7, "dynamic": True, "batch": 2}),
        ("classify", {"batch": 2}),
        ("classify", {"dynamic": True}),
        ("segment", {"dynamic": True}),
        ("segment", {"nms": True, "conf": LEAST, "iou": 0.7}),
        ("pose", {"batch": 4}),
        ("obb", {"dynamic": True}),
    ],
)
def test_an_export_answers_as_its_checkpoint(
    task: str, options: dict[str, Any], weights: dict[str, Path], exported: Callable[..., Path]
) -> None:
    truth = load_checkpoint(weights[task], name="m.pt")

    model = load_onnx(exported(task, **options), name="m.onnx", threads=1)

    assert (model.task, model.names, model.imgsz) == (truth.task, truth.names, truth.imgsz)
    assert model.stride == (truth.stride if options.get("dynamic") else 0)
    images = np.stack([picture(seed, *model.imgsz) for seed in range(5)])
    expected = truth.forward(images, LEAST)
    assert sum(map(len, expected)) > 5
    for found, true in zip(model.forward(images, LEAST), expected, strict=True):
        assert found.dtype == np.float32
        assert same(found, true)


def test_a_dynamic_export_takes_any_shape_that_its_stride_allows(exported: Callable[..., Path]) -> None:
    model = load_onnx(exported("detect", dynamic=True), name="m.onnx", threads=1)

    wide = model.forward(np.stack([picture(1, 64, 128)]), LEAST)[0]

    assert wide[:, 3].max() < 96


def test_a_model_that_takes_half_floats_gets_them(exported: Callable[..., Path], tmp_path: Path) -> None:
    from onnxruntime.transformers import float16  # type: ignore[import-untyped]

    whole = onnx.load(exported("detect"))
    half = float16.convert_float_to_float16(whole, keep_io_types=False)
    onnx.save(half, tmp_path / "half.onnx")
    model = load_onnx(tmp_path / "half.onnx", name="m.onnx", threads=1)
    truth = load_onnx(exported("detect"), name="m.onnx", threads=1)
    images = picture(3, 128, 128)[None]

    rows, expected = model.forward(images, LEAST)[0], truth.forward(images, LEAST)[0]

    assert rows.dtype == np.float32
    assert len(rows) > 3
    for row in rows[:3]:
        assert np.abs(expected - row).max(1).min() < 0.2


def tree(suffix: str) -> dict[str, Any]:
    """Return a package of all five tasks: whatever is seen is looked at again by all the others."""

    def fields(name: str) -> dict[str, str]:
        return {name: "{class}", f"{name}Sure": "{confidence}", f"{name}At": "{x1} {y1} {x2} {y2}"}

    names = ("classify", "segment", "pose", "obb")
    branches = [
        node(name, modelFile=f"{name}{suffix}", crop=i % 2 == 0, minConfidence=0.3, fields=fields(name))
        for i, name in enumerate(names)
    ]
    return node("detect", modelFile=f"detect{suffix}", minConfidence=0.4, report="all", branches=branches)


def test_a_tree_of_all_five_tasks_gives_the_same_from_onnx_as_from_checkpoints(
    weights: dict[str, Path], exported: Callable[..., Path], tmp_path: Path
) -> None:
    torch_files = {f"{task}.pt": path for task, path in weights.items()}
    onnx_files = {f"{task}.onnx": exported(task, dynamic=True) for task in weights}
    frames = [Frame(image=picture(seed, 90 + 40 * (seed % 2), 160)) for seed in range(3)]

    expected, found = (
        mpta.load(package(tmp_path / f"p{suffix}.mpta", tree(suffix), files), threads=1).run(frames)
        for suffix, files in ((".pt", torch_files), (".onnx", onnx_files))
    )

    answered = {name for result in expected for seen in result.objects for name in seen}
    assert {"classify", "segment", "pose", "obb"} <= answered
    for one, other in zip(found, expected, strict=True):
        assert len(one.objects) == len(other.objects) > 1
        assert alike(one, other)


def alike(one: Result, other: Result) -> bool:
    """Whether two results are one, to a thousandth of confidence and a pixel of place."""
    for seen, true in zip(one.objects, other.objects, strict=True):
        if seen.keys() != true.keys():
            return False
        for key, value in true.items():
            if isinstance(value, float):
                fits = abs(seen[key] - value) < 1e-3
            elif key == "box" or key.endswith("At"):
                places = [
                    place if isinstance(place, list) else [*map(int, place.split())] for place in (seen[key], value)
                ]
                fits = max(abs(a - b) for a, b in zip(*places, strict=True)) <= 1
            else:
                fits = seen[key] == value
            if not fits:
                return False
    return True


def test_a_package_of_onnx_files_needs_no_torch(exported: Callable[..., Path], tmp_path: Path) -> None:
    root = node("detect", modelFile="d.onnx", branches=[node("shade", modelFile="c.onnx", crop=True)])
    files = {"d.onnx": exported("detect"), "c.onnx": exported("classify", batch=2)}
    path = package(tmp_path / "p.mpta", root, files)
    program = (
        "import sys, numpy, mpta\n"
        "result = mpta.load(sys.argv[1], threads=1).run([mpta.Frame(image=numpy.full((90, 160, 3), 90, 'u1'))])[0]\n"
        "print(result.detection['class'], 'torch' in sys.modules, 'ultralytics' in sys.modules)\n"
    )

    said = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)

    assert said.stdout.split()[1:] == ["False", "False"]
    assert said.stdout.split()[0] in ("sedan", "van", "pickup")


def toy(
    path: Path, metadata: dict[str, str], *, output: tuple[int, ...] = (1, 6, 20), batch: int = 1, domain: str = ""
) -> Path:
    """Write a model that gives zeros of a shape for any image."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [len(output)], output)
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["output0"], domain=domain)]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 64, 96])
    out = helper.make_tensor_value_info("output0", TensorProto.FLOAT, output)
    graph = helper.make_graph(nodes, "toy", [images], [out], [shape])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ModelInvalid) as caught:
        load_onnx(path, name="m.onnx", threads=1)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


def test_a_model_without_metadata_is_refused_with_what_is_missing_and_how_to_export(tmp_path: Path) -> None:
    assert refused(toy(tmp_path / "m.onnx", {})) == (
        "'m.onnx' lacks the metadata 'task' and 'names';"
        " export it with ultralytics (yolo export format=onnx), or add it"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"task": "depth"}, r"is a model for 'depth'; a node needs detect, classify, segment, pose, obb"),
        ({"names": "__import__('os').system('true')"}, r"does not name its classes"),
        ({"names": "{0: 'car', 2: 'truck'}"}, r"does not name its classes"),
        ({"names": "[]"}, r"does not name its classes"),
        ({"names": "(" * 500}, r"does not name its classes"),
        ({"names": str(dict.fromkeys(range(10_000), "x" * 10))}, r"does not name its classes"),
        ({"names": "{0: 'car'}"}, r"has an output of 1x6x20, which does not fit 'detect' with 1 classes"),
        ({"task": "obb"}, r"has an output of 1x6x20, which does not fit 'obb' with 2 classes"),
        ({"task": "pose"}, r"does not fit 'pose'"),
        ({"task": "classify"}, r"does not fit 'classify'"),
        ({"end2end": "True"}, r"does not fit 'detect'"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(change: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=sentence):
        load_onnx(toy(tmp_path / "m.onnx", METADATA | change), name="m.onnx", threads=1)


def test_names_may_be_json(tmp_path: Path) -> None:
    path = toy(tmp_path / "m.onnx", METADATA | {"names": '{"0": "car", "1": "tr\\u00fcck"}'})

    assert load_onnx(path, name="m.onnx", threads=1).names == ("car", "tr\u00fcck")


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for content in (b"", b"onnx", bytes(range(256)) * 50):
        path.write_bytes(content)

        assert "is not an ONNX model that can be run" in refused(path)


def test_an_operation_of_a_stranger_is_refused(tmp_path: Path) -> None:
    assert "is not an ONNX model that can be run" in refused(toy(tmp_path / "m.onnx", METADATA, domain="com.evil"))


def test_a_batch_of_thousands_is_refused(tmp_path: Path) -> None:
    path = toy(tmp_path / "m.onnx", METADATA, batch=4096, output=(4096, 6, 20))

    assert "wants 4096 images at once" in refused(path)


def test_what_a_file_says_of_itself() -> None:
    dynamic = describe(METADATA | {"stride": "16"}, ["batch", 3, "height", "width"], "m")
    fixed = describe(METADATA, [4, 3, 32, 64], "m")
    unrolled = describe(METADATA | {"args": "{'nms': True}", "batch": "4"}, ["batch", 3, "height", "width"], "m")

    common = {"task": "detect", "names": ("car", "truck")}
    assert dynamic == Description(imgsz=(64, 96), stride=32, batch=None, suppresses=False, **common)  # type: ignore[arg-type]
    assert fixed == Description(imgsz=(32, 64), stride=0, batch=4, suppresses=False, **common)  # type: ignore[arg-type]
    assert (unrolled.batch, unrolled.suppresses) == (4, True)
    with pytest.raises(ModelInvalid, match="lacks the metadata 'imgsz'"):
        describe({"task": "detect", "names": "['a']"}, ["batch", 3, "height", "width"], "m")
    with pytest.raises(ModelInvalid, match="1 to 4096 pixels"):
        describe(METADATA | {"imgsz": "100000"}, ["batch", 3, "height", "width"], "m")


def test_a_broken_model_file_in_a_package_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "p.mpta"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pipeline.json", '{"pipeline": {"modelId": "m", "modelFile": "m.onnx"}}')
        archive.write(toy(tmp_path / "m.onnx", {}), "m.onnx")

    with pytest.raises(ModelInvalid, match=r"'m\.onnx' lacks the metadata"):
        mpta.load(path)
