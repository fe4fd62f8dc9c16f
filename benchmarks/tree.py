"""What the tree itself costs: beside the models, beside a bare batch of crops, and against one call per object.

`python -m benchmarks.tree [SECONDS]`; exits with 1 where a limit is passed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import mpta
from benchmarks.one_by_one import OneByOne
from cli.demo import PACKAGE
from mpta import Frame, Image, Manifest, Model, Node, Pipeline, Task
from mpta.images import batch, fit
from mpta.looking import Looker, View
from simulator.scene import Scene

#: Most milliseconds of a frame that are not a model's forward pass.
OVERHEAD_MS = 2.0
#: Most times the bare forward pass of a batch of crops.
CROPS = 1.3
#: Least times the frames per second of one model call per node and object.
FASTER = 2.0

_SECONDS = 5.0
_BATCH = 8
_OBJECTS = 4
_CROPS = 32
_VEHICLES = 6
#: Columns and rows of the picture with six vehicles.
_GRID = 3, 2


@dataclass(slots=True)
class Timed:
    """A model that adds up how long its forward passes take."""

    model: Model
    seconds: float = 0.0

    def __getattr__(self, name: str) -> Any:
        """Be the model in all else."""
        return getattr(self.model, name)

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> Sequence[NDArray[np.float32]]:
        """Run the model."""
        began = time.perf_counter()
        found = self.model.forward(batch, min_confidence)
        self.seconds += time.perf_counter() - began
        return found


@dataclass(frozen=True, slots=True)
class Fixed:
    """A model that gives the same answer for every image at no cost."""

    names: tuple[str, ...]
    task: Task
    imgsz: tuple[int, int]
    answer: NDArray[np.float32]
    stride: int = 0

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> Sequence[NDArray[np.float32]]:
        """Return the answer once per image."""
        del min_confidence
        return [self.answer] * len(batch)


def overhead_ms(seconds: float) -> float:
    """Return milliseconds per frame that are no forward pass: 640x360, tracked, 4 objects with 3 branches each."""
    vehicles = np.array([[i * 150 + 10, 100, i * 150 + 130, 190, 0.9 - i / 10, 0] for i in range(_OBJECTS)])
    letters = np.array([[i * 15 + 5, 10, i * 15 + 18, 50, 0.9, i] for i in range(6)])
    models: dict[str, Model] = {
        "vehicle": Fixed(("car",), "detect", (640, 640), vehicles.astype(np.float32), stride=32),
        "body": Fixed(("sedan", "van"), "classify", (224, 224), np.array([0.9, 0.1], np.float32)),
        "brand": Fixed(("a", "b"), "classify", (224, 224), np.array([0.2, 0.8], np.float32)),
        "plate": Fixed(tuple("ABCDEF"), "detect", (64, 160), letters.astype(np.float32)),
    }
    timed = {name: Timed(model) for name, model in models.items()}
    keys: dict[str, Any] = {"crop": True, "trigger_classes": frozenset({"car"})}
    branches = (
        Node(path="body", model_id="body", model_file="", fields={"bodyType": "{class}"}, **keys),
        Node(path="brand", model_id="brand", model_file="", fields={"carBrand": "{class}"}, **keys),
        Node(path="plate", model_id="plate", model_file="", fields={"text": "{text}"}, read="left-to-right", **keys),
    )
    root = Node(path="pipeline", model_id="vehicle", model_file="", report="all", branches=branches)
    pipeline = Pipeline(Manifest(root=root), timed)
    images = [np.full((360, 640, 3), 40 + i, np.uint8) for i in range(_BATCH)]
    states = [b""] * _BATCH

    def once() -> None:
        results = pipeline.run([Frame(image=image, tracks=state) for image, state in zip(images, states, strict=True)])
        states[:] = [result.tracks for result in results]

    def forward_s() -> float:
        return sum(model.seconds for model in timed.values())

    each = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began, in_models = time.perf_counter(), forward_s()
        once()
        each.append(time.perf_counter() - began - (forward_s() - in_models))
    return statistics.median(each) / _BATCH * 1000


def crop_ratios(pipeline: Pipeline, image: Image, seconds: float) -> dict[str, float]:
    """Return for each branch of a package the cost of 32 crops through it by that of the bare forward pass of those."""
    height, width = image.shape[:2]
    whole = View(image)
    places = np.random.default_rng(1).uniform(0, 0.6, (_CROPS, 2)) * (width, height)
    sizes = np.random.default_rng(2).uniform(0.1, 0.35, (_CROPS, 2)) * (width, height)
    boxes = np.hstack([places, places + sizes]).astype(int)
    views = [view for x1, y1, x2, y2 in boxes.tolist() if (view := whole.inside((x1, y1, x2, y2))) is not None]
    ratios = {}
    for node in pipeline.manifest.root.walk():
        if node is pipeline.manifest.root:
            continue
        model = pipeline.models[node.path]
        looker = Looker(node, model, is_root=False)
        resize = node.resize or ("stretch" if looker.classifies else "letterbox")
        fits = [fit(view.image, model, resize, whole_input=True) for view in views]
        ready = batch([view.image for view in views], fits, smooth=looker.classifies)

        def through(looker: Looker = looker) -> None:
            for rows, view in zip(looker.raw(views), views, strict=True):
                looker.answers(rows, view)

        bare = partial(model.forward, ready, node.min_confidence)
        ratios[node.model_id] = _ratio(through, bare, seconds)
    return ratios


def _ratio(one: Callable[[], object], other: Callable[[], object], seconds: float) -> float:
    """Return how many times the second the first takes, measured in turns: the median over the pairs."""
    ratios: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not ratios:
        times = []
        for call in (one, other):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def six_vehicles(pictures: int) -> list[Image]:
    """Return pictures, 960x540, of six vehicles each: parts of the simulated forecourt side by side, in any order."""
    columns, rows = _GRID
    height, width = 540 // rows, 960 // columns
    parts = list(islice(_single_vehicles(height, width), columns * rows))
    random = np.random.default_rng(1)
    return [
        np.vstack([np.hstack([parts[i] for i in row]) for row in random.permutation(len(parts)).reshape(rows, columns)])
        for _ in range(pictures)
    ]


def _single_vehicles(height: int, width: int) -> Iterator[Image]:
    """Yield parts of pictures in which one vehicle stands, all of it."""
    for camera in count(1):
        scene = Scene(camera)
        for moment in range(4, 40, 2):
            seen = [vehicle.box for vehicle in scene.truth_at(moment) if vehicle.visibility > 0.9]
            if len(seen) != 1 or seen[0][2] - seen[0][0] > width - 20 or seen[0][3] - seen[0][1] > height - 20:
                continue
            left = int(np.clip((seen[0][0] + seen[0][2] - width) / 2, 0, 960 - width))
            top = int(np.clip((seen[0][1] + seen[0][3] - height) / 2, 0, 540 - height))
            yield scene.at(moment)[0][top : top + height, left : left + width]
            break


def speedup(pipeline: Pipeline, images: Sequence[Image], seconds: float) -> tuple[float, float, int, bool]:
    """Return frames per second of batches and of one call per node and object, objects per frame, and if they agree."""
    frames = [Frame(image=image) for image in images]
    single = OneByOne(pipeline)
    together, alone = pipeline.run(frames), [single.run(frame) for frame in frames]
    same = all(_same(result.objects, objects) for result, objects in zip(together, alone, strict=True))
    ratio = _ratio(lambda: [single.run(frame) for frame in frames], lambda: pipeline.run(frames), seconds)
    began = time.perf_counter()
    pipeline.run(frames)
    rate = len(frames) / (time.perf_counter() - began)
    return rate, ratio, sum(map(len, alone)) // len(alone), same


def _same(found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> bool:
    """Return whether the same was detected: to a pixel, and to a hundredth of confidence."""

    def alike(one: Any, other: Any) -> bool:
        if isinstance(one, float):
            return bool(abs(one - other) < 0.01)
        if isinstance(one, list):
            return all(abs(a - b) <= 1 for a, b in zip(one, other, strict=True))
        return bool(one == other)

    if [each.keys() for each in found] != [each.keys() for each in expected]:
        return False
    return all(alike(one[key], other[key]) for one, other in zip(found, expected, strict=True) for key in one)


def main(arguments: list[str]) -> int:
    """Print the table; return how many limits were passed."""
    seconds = float(arguments[0]) if arguments else _SECONDS
    pipeline = mpta.load(PACKAGE, threads=os.cpu_count())
    images = six_vehicles(_BATCH)
    all_objects = replace(pipeline.manifest, root=replace(pipeline.manifest.root, report="all"))
    everything = Pipeline(all_objects, lambda node: pipeline.models[node.path])
    table = Table(title="the tree, on the CPU", title_justify="left", min_width=100)
    for name, justify in (("what", "left"), ("measured", "right"), ("limit", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    rows: list[tuple[str, float, str, float, str, bool]] = []
    own = overhead_ms(seconds)
    what = f"beside the models, per frame: batch {_BATCH}, 640x360, {_OBJECTS} objects, 3 branches"
    rows.append((what, own, "≤", OVERHEAD_MS, "ms", own <= OVERHEAD_MS))
    for name, ratio in crop_ratios(pipeline, images[0], seconds / 4).items():
        what = f"{_CROPS} crops through {name}, by the bare batch"
        rows.append((what, ratio, "≤", CROPS, "times", ratio <= CROPS))
    rate, faster, objects, same = speedup(everything, images, seconds)
    what = f"{objects} vehicles of the demo package ({rate:.0f} frames/s), by one call per node and object"
    rows.append((what, faster, "≥", FASTER, "times", faster >= FASTER and same and objects == _VEHICLES))
    for what, measured, sign, limit, unit, fits in rows:
        table.add_row(what, f"{measured:.2f} {unit}", f"{sign} {limit:g} {unit}", style=None if fits else "red")
    console = Console(width=118)
    console.print(table)
    if not same:
        console.print("one call per node and object detects something else")
    return sum(not fits for *_, fits in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
