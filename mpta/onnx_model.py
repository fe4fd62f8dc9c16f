"""ONNX files as `Model`s, as ultralytics exports them. Runs on the CPU by onnxruntime; needs no torch."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpta.errors import ModelInvalid, shown
from mpta.model import MAX_BATCH, TASKS, Task
from mpta.suppression import finished, suppress

#: A literal of this length is parsed in milliseconds; 1000 classes need a fifth of it.
_MAX_LITERAL = 1 << 16
_MAX_SIDE = 4096
_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_REMEDY = "export it with ultralytics (yolo export format=onnx)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What an ONNX file says of itself, in ultralytics' metadata and in the shape of its input.

    Attributes:
        imgsz: height and width of the input.
        stride: its sides may be any multiple of it; 0: only `imgsz`.
        batch: images per pass; None: any number.
        suppresses: its boxes come out finished, not one per anchor.
    """

    task: Task
    names: tuple[str, ...]
    imgsz: tuple[int, int]
    stride: int
    batch: int | None
    suppresses: bool


def load_onnx(path: Path, *, name: str, threads: int | None = None) -> OnnxModel:
    """Load an ONNX file for inference on the CPU. It must be one that `mpta.package` has checked.

    Args:
        path: the file on disk; never named in an error.
        name: what to call it there.
        threads: threads per pass; None: as many as there are cores.

    Raises:
        ModelInvalid: the file is no model that can be run, or does not say what it is.
    """
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # It names local paths on stderr; what matters comes as an error.
    # Else its threads burn a core while they wait for the next frame.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _errors() as exc:
        raise ModelInvalid(f"'{shown(name)}' is not an ONNX model that can be run; {_REMEDY}") from exc
    return OnnxModel(session, name)


class OnnxModel:
    """A network in onnxruntime. See `mpta.model.Model` for its attributes."""

    def __init__(self, session: Any, name: str) -> None:
        """Take over an `onnxruntime.InferenceSession` and try it out once."""
        self._session, self._name = session, shown(name)
        self._input, self._type = _input(session, self._name)
        metadata = session.get_modelmeta().custom_metadata_map
        self._says = describe(metadata, self._input.shape, self._name)
        self.task, self.names = self._says.task, self._says.names
        self.imgsz, self.stride = self._says.imgsz, self._says.stride
        self._check_output()

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> Sequence[NDArray[np.float32]]:
        """Run the batch, at most MAX_BATCH or the file's own number of images per pass; see `Model.forward`.

        Raises:
            ModelInvalid: the network failed.
        """
        step = self._says.batch or MAX_BATCH
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(batch), step):
            output = self._pass(batch[start : start + step])
            found += [self._decoded(image, min_confidence) for image in output]
        return found

    def _pass(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the first output for at most `step` images. A fixed batch is filled up with black."""
        images = np.zeros((self._says.batch or len(batch), 3, *batch.shape[1:3]), np.float32)
        np.divide(batch[..., ::-1].transpose(0, 3, 1, 2), np.float32(255), out=images[: len(batch)])
        try:
            outputs = self._session.run(None, {self._input.name: images.astype(self._type, copy=False)})
        except _errors() as exc:
            shape = "x".join(map(str, images.shape))
            raise ModelInvalid(f"'{self._name}' cannot run on an input of {shape}") from exc
        return np.asarray(outputs[0], np.float32)[: len(batch)]

    def _decoded(self, output: NDArray[np.float32], min_confidence: float) -> NDArray[np.float32]:
        if self.task == "classify":
            return output
        oriented = self.task == "obb"
        if self._says.suppresses:
            return finished(output, min_confidence, oriented=oriented)
        return suppress(output, len(self.names), min_confidence, oriented=oriented)

    def _check_output(self) -> None:
        """Run once on black: a network that cannot run or whose output is of another layout is refused now."""
        shape = self._pass(np.zeros((1, *self.imgsz, 3), np.uint8)).shape
        classes = len(self.names)
        if self.task == "classify":
            fits = shape == (1, classes)
        else:
            extra = shape[-1] - 6 if self._says.suppresses else shape[1] - 4 - classes
            least, most = {"detect": (0, 0), "obb": (1, 1)}.get(self.task, (1, 10_000))
            fits = len(shape) == 3 and least <= extra <= most
        if not fits:
            layout = "x".join(map(str, shape))
            wanted = f"'{self.task}' with {classes} classes"
            raise ModelInvalid(f"'{self._name}' has an output of {layout}, which does not fit {wanted}; {_REMEDY}")


def describe(metadata: Mapping[str, str], shape: Sequence[object], name: str) -> Description:
    """Return what the metadata says, and the input's shape (images, 3, height, width) where it is fixed.

    Raises:
        ModelInvalid: something that is needed is missing or makes no sense.
    """
    missing = [f"'{key}'" for key in ("task", "names") if key not in metadata]
    fixed = all(isinstance(side, int) for side in shape[2:])
    if not fixed and "imgsz" not in metadata:
        missing.append("'imgsz'")
    if missing:
        raise ModelInvalid(f"'{name}' lacks the metadata {' and '.join(missing)}; {_REMEDY}, or add it")
    task = metadata["task"]
    if task not in TASKS:
        raise ModelInvalid(f"'{name}' is a model for '{shown(task)}'; a node needs {', '.join(TASKS)}")
    arguments = _literal(metadata.get("args", "{}"))
    suppresses = metadata.get("end2end") == "True" or (isinstance(arguments, dict) and arguments.get("nms") is True)
    stride = _literal(metadata.get("stride", "32"))
    any_size = not fixed and task != "classify" and isinstance(stride, int)
    return Description(
        task=task,
        names=_names(_literal(metadata["names"]), name),
        imgsz=_imgsz(list(shape[2:]) if fixed else _literal(metadata["imgsz"]), name),
        stride=max(cast("int", stride), 32) if any_size else 0,
        batch=_batch(shape[0], metadata, unrolled=suppresses and metadata.get("end2end") != "True"),
        suppresses=suppresses,
    )


def _batch(first: object, metadata: Mapping[str, str], *, unrolled: bool) -> int | None:
    """Return the images per pass. Embedded suppression handles as many as were exported, even where it says any."""
    if isinstance(first, int):
        return first
    exported = _literal(metadata.get("batch", "1"))
    return min(max(exported, 1), MAX_BATCH) if unrolled and isinstance(exported, int) else None


def _input(session: Any, name: str) -> tuple[Any, type[np.floating[Any]]]:
    """Return the one input and its type.

    Raises:
        ModelInvalid: it takes something else than colour images.
    """
    inputs = session.get_inputs()
    first = inputs[0] if len(inputs) == 1 else None
    if first is None or first.type not in _TYPES or len(first.shape) != 4 or first.shape[1] != 3:
        raise ModelInvalid(f"'{name}' must have one input of floats, images x 3 x height x width; {_REMEDY}")
    if isinstance(first.shape[0], int) and not 1 <= first.shape[0] <= MAX_BATCH:
        raise ModelInvalid(
            f"'{name}' wants {first.shape[0]} images at once; export it with a batch of 1 to {MAX_BATCH}"
        )
    return first, _TYPES[first.type]


def _names(given: object, name: str) -> tuple[str, ...]:
    if isinstance(given, dict):
        given = [given.get(index, given.get(str(index))) for index in range(len(given))]
    if not isinstance(given, list | tuple) or not given or not all(isinstance(each, str) for each in given):
        raise ModelInvalid(f"'{name}' does not name its classes; {_REMEDY}")
    return tuple(given)


def _imgsz(given: object, name: str) -> tuple[int, int]:
    sides = [given, given] if isinstance(given, int) else given
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        sides = [0, 0]
    if not all(isinstance(side, int) and 0 < side <= _MAX_SIDE for side in sides):
        raise ModelInvalid(f"'{name}' must have an input of 1 to {_MAX_SIDE} pixels a side; {_REMEDY}")
    return sides[0], sides[1]


def _literal(text: str) -> object:
    """Return a Python literal, as ultralytics writes metadata, or JSON; None for anything else. Nothing is run."""
    if len(text) > _MAX_LITERAL:
        return None
    for parse in (ast.literal_eval, json.loads):
        try:
            return cast("object", parse(text))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its errors have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

    own = [each for each in vars(state).values() if isinstance(each, type) and issubclass(each, Exception)]
    return (*own, RuntimeError, ValueError, TypeError)
