"""What `detector mpta inspect` knows of a package: gathered once, drawn in several ways."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import mpta
from cli.packages.texts import file_size, listed, quantity, readable
from mpta import golden
from mpta.looking import counted_classes

#: Images per pass that a node is measured at: one camera, and a full batch.
BATCHES = (1, 8)
#: A node is run until so much time has passed, and at least so often.
_MEASURE_S, _MEASURE_TIMES = 0.2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A loaded model.

    Attributes:
        imgsz: height and width of its input in pixels.
        counted: those of its classes that the node can answer with.
        parameters: None where the file does not tell.
        pass_ms: images per pass to the median time of a pass in milliseconds, at the full input size.
    """

    task: str
    imgsz: tuple[int, int]
    classes: tuple[str, ...]
    counted: frozenset[str]
    parameters: int | None
    pass_ms: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node of the tree; `model` is None when nothing was loaded."""

    node: mpta.Node
    file_bytes: int
    model: ModelFacts | None
    branches: tuple[NodeFacts, ...]

    @property
    def name(self) -> str:
        """`modelId`, readable."""
        return readable(self.node.model_id)

    @property
    def task(self) -> str:
        """What the model does, empty when it was not loaded."""
        return self.model.task if self.model is not None else ""

    @property
    def summary(self) -> str:
        """What runs here, in a few words."""
        parts = [readable(self.node.model_file), file_size(self.file_bytes)]
        if self.model is not None:
            height, width = self.model.imgsz
            parts[1:1] = [f"{width} x {height} px"]
            if self.model.parameters is not None:
                parts.insert(2, f"{quantity(self.model.parameters)} parameters")
        return " · ".join(parts)

    @property
    def timing(self) -> str:
        """How long a pass takes, empty when it was not measured."""
        if self.model is None or not self.model.pass_ms:
            return ""
        return ", ".join(f"{ms:.1f} ms for {count}" for count, ms in self.model.pass_ms.items())

    @property
    def trigger(self) -> str:
        """What its parent must see for this branch to run."""
        classes = listed(sorted(self.node.trigger_classes), 4) or "anything"
        return f"{classes} from {self.node.min_confidence:g}"

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield (what, text) of everything that matters here, readable."""
        node, model = self.node, self.model
        yield "model", self.summary
        if self.timing:
            yield "time", self.timing
        is_root = node.path == "pipeline"
        if not is_root:
            yield "runs on", self.trigger
            yield "looks at", "its parent's box" if node.crop else "all that its parent looks at"
        yield "classes", self._classes()
        if node.read is not None:
            yield "reads", f"its boxes as characters, {node.read.replace('-', ' ')}"
        if node.min_result_confidence:
            yield "answers", f"from {node.min_result_confidence:g}"
        if is_root and (model is None or model.task != "classify"):
            tracker = node.tracker or "bytetrack"
            yield "tracks", "nothing" if tracker == "none" else f"by {tracker}"
            yield "reports", "every object" if node.report == "all" else "the surest object"
        for name, template in node.fields.items():
            yield "field", f"{readable(name, 40)} = {readable(template, 40)}"
        for action in node.actions:
            yield "action", _action(action)

    def _classes(self) -> str:
        if self.model is None:
            wanted = self.node.classes or (self.node.trigger_classes if self.node.path == "pipeline" else frozenset())
            return f"{listed(sorted(wanted))} from {self.node.min_confidence:g}" if wanted else "all of the model's"
        counted = [name for name in self.model.classes if name in self.model.counted]
        of = "" if len(counted) == len(self.model.classes) else f" of its {len(self.model.classes)}"
        floor = "" if self.model.task == "classify" else f" from {self.node.min_confidence:g}"
        return f"{listed(counted)}{of}{floor}"

    def as_json(self) -> dict[str, Any]:
        """Return the node and those below it, texts as they stand in the package."""
        node, model = self.node, self.model
        found: dict[str, Any] = {
            "path": node.path,
            "modelId": node.model_id,
            "modelFile": node.model_file,
            "fileBytes": self.file_bytes,
            "triggerClasses": sorted(node.trigger_classes),
            "minConfidence": node.min_confidence,
            "crop": node.crop,
            "fields": dict(node.fields),
            "actions": [_action_json(action) for action in node.actions],
        }
        if model is not None:
            found |= {
                "task": model.task,
                "classes": list(model.classes),
                "inputHeight": model.imgsz[0],
                "inputWidth": model.imgsz[1],
                "parameters": model.parameters,
                "passMs": {str(count): round(ms, 3) for count, ms in model.pass_ms.items()},
            }
        return found | {"branches": [branch.as_json() for branch in self.branches]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """A package.

    Attributes:
        size: bytes of the archive, or of a folder's files.
        device: what the models were measured on; empty when they were not.
        cases: how many golden cases it carries.
    """

    name: str
    digest: str
    size: int
    redis: str
    device: str
    cases: int
    root: NodeFacts
    warnings: tuple[str, ...] = field(default=())

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        count = sum(1 for _ in self.root.node.walk())
        parts = [file_size(self.size), f"{count} model{'s' * (count > 1)}", f"sha256 {self.digest[:12]}"]
        parts += [f"{self.cases} golden case{'s' * (self.cases > 1)}"] if self.cases else []
        parts += [f"actions go to {self.redis}"] if self.redis else []
        parts += [f"measured on {self.device}"] if self.device else []
        return " · ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        head = {"name": self.name, "digest": self.digest, "bytes": self.size, "goldenCases": self.cases}
        return head | {
            "device": self.device or None,
            "warnings": list(self.warnings),
            "pipeline": self.root.as_json(),
        }


def gather(
    path: Path, *, device: str | None, threads: int | None = None, batches: Sequence[int] = BATCHES
) -> PackageFacts:
    """Open a package and return what is known of it.

    Args:
        path: a `.mpta` or a folder.
        device: where its models are loaded and measured; None: they are not.
        threads: threads per pass.
        batches: pictures per pass that is measured.

    Raises:
        mpta.MptaError: the package is refused.
        OSError: it cannot be read.
    """
    package = mpta.open_package(path)
    pipeline = None
    if device is not None:
        from mpta.pipeline import load_models

        pipeline = load_models(package, device, threads=threads)
    disabled = set(package.manifest.disabled)
    told = pipeline.warnings if pipeline is not None else package.warnings
    target = package.manifest.redis
    return PackageFacts(
        name=readable(package.name),
        digest=package.digest,
        size=path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in package.files.values()),
        redis=f"{readable(target.host, 40)}:{target.port}" if target is not None else "",
        device=device if device is not None and batches else "",
        cases=len(golden.read_cases(package)),
        root=_node(package.manifest.root, package, pipeline, batches),
        warnings=tuple(dict.fromkeys([*sorted(disabled), *told])),
    )


def _node(node: mpta.Node, package: mpta.Package, pipeline: mpta.Pipeline | None, batches: Sequence[int]) -> NodeFacts:
    file = package.files[node.model_file.removeprefix("./")]
    return NodeFacts(
        node=node,
        file_bytes=file.stat().st_size,
        model=None if pipeline is None else _model(node, pipeline.models[node.path], file, batches),
        branches=tuple(_node(branch, package, pipeline, batches) for branch in node.branches),
    )


def _model(node: mpta.Node, model: mpta.Model, file: Path, batches: Sequence[int]) -> ModelFacts:
    return ModelFacts(
        task=model.task,
        imgsz=model.imgsz,
        classes=tuple(model.names),
        counted=counted_classes(node, model, is_root=node.path == "pipeline"),
        parameters=_parameters(model, file),
        pass_ms={count: _pass_ms(model, count, node.min_confidence) for count in batches},
    )


def _parameters(model: mpta.Model, file: Path) -> int | None:
    """Return how many numbers the network has learned."""
    if file.suffix.lower() == ".onnx":
        import onnx

        floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
        tensors = onnx.load(file, load_external_data=False).graph.initializer
        return sum(int(math.prod(tensor.dims)) for tensor in tensors if tensor.data_type in floats)
    found = getattr(model, "parameters", None)
    return found if isinstance(found, int) else None


def _pass_ms(model: mpta.Model, count: int, min_confidence: float) -> float:
    """Return the median time of a pass over `count` images of noise, after one that warms up."""
    images = np.random.default_rng(1).integers(0, 255, (count, *model.imgsz, 3), np.uint8)
    model.forward(images, min_confidence)
    spent: list[float] = []
    while sum(spent) < _MEASURE_S or len(spent) < _MEASURE_TIMES:
        began = time.perf_counter()
        model.forward(images, min_confidence)
        spent.append(time.perf_counter() - began)
    return 1000 * statistics.median(spent)


def _action(action: mpta.Action) -> str:
    if isinstance(action, mpta.Publish):
        return f"redis_publish to {readable(action.channel, 40)}: {readable(action.message)}"
    kept = f" for {action.expire_seconds} s" if action.expire_seconds else ""
    return f"redis_save_image as {readable(action.key, 60)}{kept} ({action.format})"


def _action_json(action: mpta.Action) -> dict[str, Any]:
    if isinstance(action, mpta.Publish):
        return {"type": "redis_publish", "channel": action.channel, "message": action.message}
    return {"type": "redis_save_image", "key": action.key, "expireSeconds": action.expire_seconds}
