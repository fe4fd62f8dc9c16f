"""What is told of a model file without loading it, on files as the real tools write them."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mpta import PackageInvalid, open_package
from mpta.checkpoint import check_checkpoint
from mpta.errors import ModelRefused
from mpta.onnx_file import check_onnx
from mpta.weights import load_weights
from tests.unit.mpta.toys import node, package

WEIGHTS = np.arange(4096, dtype=np.float32).reshape(64, 64)


def onnx_model(*nodes: Any) -> Any:
    """Return a model that multiplies by weights, as the onnx library builds it."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), *nodes],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_every_checkpoint_that_the_trainer_writes_passes(weights: dict[str, Path]) -> None:
    for path in weights.values():
        check_checkpoint(path)


def test_a_checkpoint_from_the_middle_of_a_training_passes(tmp_path: Path) -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).half()
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.zeros(1, 3, 8, 8).half()).sum().backward()
    optimizer.step()
    file = tmp_path / "last.pt"
    torch.save({"epoch": 3, "model": None, "ema": network, "optimizer": optimizer.state_dict()}, file)

    check_checkpoint(file)


def test_an_older_format_of_torch_is_named(tmp_path: Path) -> None:
    import torch

    torch.save({"model": torch.zeros(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)

    with pytest.raises(ModelRefused, match=r"before version 1\.6"):
        check_checkpoint(tmp_path / "old.pt")


def test_a_model_of_the_onnx_library_passes(tmp_path: Path) -> None:
    onnx.save(onnx_model(), tmp_path / "model.onnx")

    assert check_onnx(tmp_path / "model.onnx", {}) == frozenset()


def test_operators_of_the_quantiser_pass(tmp_path: Path) -> None:
    fused = helper.make_node("QLinearAdd", ["y"] * 8, ["z"], domain="com.microsoft")
    onnx.save(onnx_model(fused), tmp_path / "model.onnx")

    assert check_onnx(tmp_path / "model.onnx", {}) == frozenset()


def test_weights_beside_an_onnx_model_come_with_it_and_count_for_the_digest(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "models").mkdir(parents=True)
    model = folder / "models" / "detect.onnx"
    onnx.save(onnx_model(), model, save_as_external_data=True, location="detect.weights", size_threshold=0)
    (folder / "models" / "other.weights").write_bytes(b"not asked for")
    (folder / "pipeline.json").write_bytes(manifest := _manifest("./models/detect.onnx"))
    archive = tmp_path / "detect.mpta"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for file in folder.rglob("*.*"):
            written.write(file, file.relative_to(folder))

    opened = open_package(archive, cache_dir=tmp_path / "cache")

    assert sorted(opened.files) == ["models/detect.onnx", "models/detect.weights", "pipeline.json"]
    assert opened.files["models/detect.weights"].read_bytes() == WEIGHTS.tobytes()
    assert opened.files["pipeline.json"].read_bytes() == manifest
    assert opened.digest == open_package(folder).digest
    (folder / "models" / "detect.weights").write_bytes(bytes(WEIGHTS.nbytes))
    assert opened.digest != open_package(folder).digest


def test_models_that_differ_in_the_weights_beside_them_are_not_shared(
    tmp_path: Path, exported: Callable[..., Path]
) -> None:
    found = []
    for scale in (0.5, 1.0):
        folder = tmp_path / str(scale)
        folder.mkdir()
        model = onnx.load(exported("classify", batch=2))
        for weight in model.graph.initializer:
            if weight.data_type == TensorProto.FLOAT:
                weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(scale), weight.name))
        onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
        found.append(load_weights(folder / "m.onnx", name="m.onnx", device="cpu"))

    assert (tmp_path / "0.5" / "m.onnx").read_bytes() == (tmp_path / "1.0" / "m.onnx").read_bytes()
    assert found[0] is not found[1]
    assert found[0].digest != found[1].digest


def test_a_large_onnx_model_is_checked_without_being_in_memory(tmp_path: Path) -> None:
    model = onnx_model()
    model.graph.initializer[0].dims[:] = [2500, 2500]
    model.graph.initializer[0].raw_data = bytes(25_000_000)
    file = tmp_path / "large.onnx"
    onnx.save(model, file)

    tracemalloc.start()
    check_onnx(file, {})
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 100_000


def test_both_kinds_of_models_are_told_of_at_once(tmp_path: Path) -> None:
    for name in ("a.pt", "b.onnx"):
        (tmp_path / name).write_bytes(b"weights")
    root = node("a", branches=[node("b", modelFile="b.onnx")])
    bad = package(tmp_path / "bad.mpta", root, {name: tmp_path / name for name in ("a.pt", "b.onnx")})

    with pytest.raises(
        PackageInvalid, match=r"'a\.pt' is not a checkpoint.*; pipeline\.branches\[0\].*'b\.onnx' is not"
    ):
        open_package(bad)


def _manifest(model_file: str) -> bytes:
    return json.dumps({"pipeline": node("detect", modelFile=model_file)}).encode()
