"""A loaded package: frames in, results out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mpta import golden, tracking
from mpta.checks import by_id, check
from mpta.errors import ModelInvalid
from mpta.looking import Answer, View
from mpta.manifest import Manifest, Node
from mpta.model import Model
from mpta.package import Package, open_package
from mpta.quietly import quietly
from mpta.records import Detection, Frame, Result
from mpta.tree import Happening, Tree, plan
from mpta.weights import Weights, load_weights


class Pipeline:
    """A manifest with its models. `run` it from one thread at a time; several pipelines may run in several threads.

    Attributes:
        digest: sha256 of the package's content; empty for one that was built in memory.
        models: the model of each node, by the node's path.
        warnings: what is odd but allowed, the package's and the models'.
        weights: what it holds in memory, alone or with other pipelines; empty for one that was built in memory.
    """

    def __init__(
        self,
        manifest: Manifest,
        models: Mapping[str, Model] | Callable[[Node], Model],
        *,
        digest: str = "",
        warnings: Sequence[str] = (),
        weights: Sequence[Weights] = (),
    ) -> None:
        """Store them; `models` are found by `modelId`, or by a function from a node to its model.

        Raises:
            ModelInvalid: a node has no model, or one of a task that it cannot use.
        """
        model_of = by_id(models) if isinstance(models, Mapping) else models
        self.manifest, self.digest, self.weights = manifest, digest, weights
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
    quiet: bool = False,
    verify: bool = False,
) -> Pipeline:
    """Open a package and load its models; weights that another pipeline of this process holds are shared with it.

    Args:
        path: a `.mpta` file or a folder.
        device: `cpu`, `cuda`, `cuda:1`.
        name: what messages call the package; its file name by default.
        threads: threads per forward pass, of torch for this whole process; None leaves them as they are.
        cache_dir: see `open_package`.
        quiet: work at low priority, so that pipelines in other threads keep their rate.
        verify: run the package's golden cases, and refuse it when one fails.

    Raises:
        PackageInvalid: see `open_package` and `mpta.golden.verify`.
        ModelInvalid: a model cannot be loaded safely or does not fit its node.
    """
    opening = functools.partial(open_package, path, name=name, cache_dir=cache_dir)
    package = quietly(opening) if quiet else opening()
    pipeline = load_models(package, device, threads=threads, quiet=quiet)
    if verify:
        golden.verify(package, pipeline.run)
    return pipeline


def load_models(package: Package, device: str = "cpu", *, threads: int | None = None, quiet: bool = False) -> Pipeline:
    """Load the models of an open package; see `load`.

    Raises:
        ModelInvalid: a model cannot be loaded safely or does not fit its node.
    """
    weights = {
        file: load_weights(package.files[file], name=file, device=device, threads=threads, quiet=quiet)
        for file in dict.fromkeys(_file(node) for node in package.manifest.root.walk())
    }
    models = {file: each.model() for file, each in weights.items()}  # Nodes that name one file share its model.
    return Pipeline(
        package.manifest,
        lambda node: models[_file(node)],
        digest=package.digest,
        warnings=package.warnings,
        weights=tuple(weights.values()),
    )


def _file(node: Node) -> str:
    return node.model_file.removeprefix("./")


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
