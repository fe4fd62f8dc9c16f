"""Weights that are in memory once, and what may share them."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mpta
from mpta import Weights
from mpta.torch_model import TorchModel
from mpta.weights import load_weights
from tests.unit.mpta.conftest import build
from tests.unit.mpta.toys import node, package

SIDES = ((64, 96), (160, 128))


def loaded(path: Path, *, name: str = "m.pt") -> Weights:
    return load_weights(path, name=name, device="cpu")


def places(model: object) -> set[int]:
    """Return where the parameters of a model lie in memory."""
    assert isinstance(model, TorchModel)
    return {parameter.data_ptr() for parameter in model._network.parameters()}


def test_packages_with_the_same_weights_share_them_under_whatever_name(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    one = mpta.load(package(tmp_path / "one.mpta", node("a"), {"a.pt": weights["detect"]}))
    branch = node("c", triggerClasses=["car"])
    both = {"b.pt": weights["detect"], "c.pt": weights["classify"]}
    other = mpta.load(package(tmp_path / "other.mpta", node("b", branches=[branch]), both))

    assert one.weights[0] is other.weights[0]
    assert len(other.weights) == 2
    assert one.digest != other.digest


def test_models_of_the_same_weights_share_every_parameter_and_no_module(weights: dict[str, Path]) -> None:
    shared = loaded(weights["detect"])
    one, other = shared.model(), shared.model()

    assert places(one) == places(other)
    assert isinstance(one, TorchModel)
    assert isinstance(other, TorchModel)
    assert not {id(module) for module in one._network.modules()} & {id(module) for module in other._network.modules()}
    parameters: Any = one._network.parameters()
    assert shared.size_bytes >= sum(p.numel() for p in parameters) * 4


def test_another_file_is_loaded_for_itself(weights: dict[str, Path], tmp_path: Path) -> None:
    changed = build("detect", tmp_path / "changed.pt")
    content: Any = torch.load(changed, weights_only=False)
    content["model"].names = {0: "van", 1: "bus"}
    torch.save(content, changed)

    assert loaded(changed).model().names == ("van", "bus")
    assert loaded(weights["detect"]).model().names == ("car", "truck")


def test_weights_go_with_their_last_user(tmp_path: Path) -> None:
    path = build("classify", tmp_path / "m.pt")
    first, second = loaded(path), loaded(path)
    digest = first.digest
    del first
    gc.collect()
    assert loaded(path) is second

    del second
    gc.collect()

    from mpta.weights import _loaded

    assert not [key for key in _loaded if key[0] == digest]


@pytest.mark.parametrize("task", ["detect", "segment", "obb", "pose"])
def test_a_thread_with_another_input_size_does_not_disturb_one_amid_its_pass(
    task: str, weights: dict[str, Path]
) -> None:
    shared = loaded(weights[task])
    one, other = shared.model(), shared.model()
    small, large = (np.random.default_rng(7).integers(0, 255, (1, *side, 3), np.uint8) for side in SIDES)
    expected = one.forward(small, 0.2)[0], other.forward(large, 0.2)[0]
    between: list[Any] = []

    with ThreadPoolExecutor(1) as pool:

        def run_the_other(*_: object) -> None:
            hook.remove()
            between.append(pool.submit(other.forward, large, 0.2).result()[0])

        # Called by the head after it has noted the grid of its input and before it uses that.
        assert isinstance(one, TorchModel)
        hook = one._network.model[-1].dfl.register_forward_hook(run_the_other)
        found = one.forward(small, 0.2)[0]

    assert len(found) > 0
    np.testing.assert_allclose(found, expected[0], rtol=1e-5)
    np.testing.assert_allclose(between[0], expected[1], rtol=1e-5)


def test_a_pipeline_loaded_quietly_runs_like_any(tmp_path: Path) -> None:
    path = package(tmp_path / "p.mpta", node("m", minConfidence=0.2), {"m.pt": build("detect", tmp_path / "m.pt")})
    frame = mpta.Frame(image=np.random.default_rng(3).integers(0, 255, (90, 160, 3), np.uint8))

    assert mpta.load(path, quiet=True).run([frame])[0].objects
