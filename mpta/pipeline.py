"""A loaded package: frames in, results out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mpta import tracking
from mpta.checks import by_id, check
from mpta.errors import ModelInvalid
from mpta.looking import Answer, View
from mpta.manifest import Manifest, Node
from mpta.model import Model
from mpta.package import Package, open_package
from mpta.records import Detection, Frame, Result
from mpta.tree import Happening, Tree, plan


class Pipeline:
    """A manifest with its models. `run` it from one thread at a time; several pipelines may run in several threads.

    Attributes:
        digest: sha256 of the package's content; empty for one that was built in memory.
        models: the model of each node, by the node's path.
        warnings: what is odd but allowed, the package's and the models'.
    """

    def __init__(
        self,
        manifest: Manifest,
        models: Mapping[str, Model] | Callable[[Node], Model],
        *,
        digest: str = "",
        warnings: Sequence[str] = (),
    ) -> None:
        """Store them; `models` are found by `modelId`, or by a function from a node to its model.

        Raises:
            ModelInvalid: a node has no model, or one of a task that it cannot use.
        """
        model_of = by_id(models) if isinstance(models, Mapping) else models
        self.manifest, self.digest = manifest, digest
        self.models = {node.path: model_of(node) for node in manifest.root.walk()}
        self._root = plan(manifest.root, model_of)
        self._tree = Tree(self._root, sorted(manifest.field_names))
        self._all = manifest.root.report == "all"
        found = check(manifest, model_of)
        if refused := [str(finding) for finding in found if finding.severity == "refused"]:
            raise ModelInvalid("; ".join(refused))
        self.warnings = (*warnings, *(str(finding) for finding in found if finding.severity == "warning"))

    def run(self, frames: Sequence[Frame]) -> list[Result]:
        """Return one result per frame, in order: the same, to float tolerance, as of each frame alone."""
        looker = self._root.looker
        views = [_view(frame) for frame in frames]
        shown_at = [i for i, view in enumerate(views) if view is not None]
        seen: list[list[Answer]] = [[] for _ in frames]
        states = [frame.tracks if looker.tracker else b"" for frame in frames]
        shown_views = [view for view in views if view is not None]
        raw = looker.raw(shown_views) if shown_views else []
        for i, view, rows in zip(shown_at, shown_views, raw, strict=True):
            ids = None
            if looker.tracker is not None:
                ids, states[i] = tracking.track(
                    rows, states[i], looker.tracker, image=view.image, captured_ms=frames[i].captured_ms
                )
            seen[i] = looker.answers(rows, view, ids)
        return self._results(seen, states)

    def _results(self, seen: Sequence[Sequence[Answer]], states: Sequence[bytes]) -> list[Result]:
        chosen = [[Happening(answer) for answer in (answers if self._all else answers[:1])] for answers in seen]
        decided = iter(self._tree.descend([happening for frame in chosen for happening in frame]))
        return [
            self._result(answers, [(happening, next(decided)) for happening in happenings], state)
            for answers, happenings, state in zip(seen, chosen, states, strict=True)
        ]

    def _result(self, answers: Sequence[Answer], decided: Sequence[tuple[Happening, Answer]], state: bytes) -> Result:
        if not decided:
            return Result(tracks=state)
        flat = [_flat(answer) | happening.fields for happening, answer in decided]
        if self._root.looker.classifies:
            objects: tuple[Detection, ...] = ()
        elif self._all:
            objects = tuple(
                {**_flat(answer), **_place(happening.root), **happening.fields} for happening, answer in decided
            )
        else:
            objects = tuple({**_flat(answer), **_place(answer)} for answer in answers)
        detection: Detection = {**flat[0], "objects": list(objects)} if self._all else flat[0]
        events = tuple(event for happening, _ in decided for event in self._tree.events(happening))
        return Result(detection=detection, objects=objects, events=events, tracks=state)


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    *,
    name: str | None = None,
    threads: int | None = None,
    cache_dir: Path | None = None,
) -> Pipeline:
    """Open a package and load its models.

    Args:
        path: a `.mpta` file or a folder.
        device: `cpu`, `cuda`, `cuda:1`.
        name: what messages call the package; its file name by default.
        threads: threads per forward pass, of torch for this whole process; None leaves them as they are.
        cache_dir: see `open_package`.

    Raises:
        PackageInvalid: see `open_package`.
        ModelInvalid: a model cannot be loaded safely or does not fit its node.
    """
    package = open_package(path, name=name, cache_dir=cache_dir)
    model_of = _by_file(package, device, threads)
    return Pipeline(package.manifest, model_of, digest=package.digest, warnings=package.warnings)


def _by_file(package: Package, device: str, threads: int | None) -> Callable[[Node], Model]:
    """Return a function that loads a node's model; nodes that name one file share it."""
    loaded: dict[str, Model] = {}

    def model_of(node: Node) -> Model:
        name = node.model_file.removeprefix("./")
        if name not in loaded:
            loaded[name] = _load_model(package, name, device, threads)
        return loaded[name]

    return model_of


def _load_model(package: Package, name: str, device: str, threads: int | None) -> Model:
    """Load a model by its kind; a package of ONNX files alone needs no torch."""
    if name.lower().endswith(".onnx"):
        from mpta.onnx_model import load_onnx

        return load_onnx(package.files[name], name=name, threads=threads)
    from mpta.torch_model import load_checkpoint

    return load_checkpoint(package.files[name], name=name, device=device, threads=threads)


def _view(frame: Frame) -> View | None:
    image = frame.image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a frame's image must be uint8 of shape (height, width, 3), not {image.dtype} {image.shape}")
    whole = View(image)
    height, width = image.shape[:2]
    return whole.inside((0, 0, width, height) if frame.crop is None else frame.crop)


def _flat(answer: Answer) -> Detection:
    return {"class": answer.label, "confidence": answer.confidence}


def _place(answer: Answer) -> Detection:
    return {"id": answer.track, "box": list(answer.box)}
