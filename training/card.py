"""The model card: what the package was trained on, how large it is, and how well it does."""

from __future__ import annotations

import zipfile
from pathlib import Path

from training.evaluate import FIRST_SEED, FRAMES_PER_SCENE, Report
from training.networks import NETWORKS, Network
from training.samples import CLEAR

_TEXT = """# forecourt.mpta

Vehicles on the simulated forecourt: class, body type, brand and number plate. It exists so that the demo and the
acceptance test have something to detect; on pictures of real streets it is worthless.

| model | task | input px | classes | file KB |
| --- | --- | --- | --- | --- |
{models}

The package is {size:.1f} MB. `make models` makes it: it renders the data, trains the five networks from scratch
(nothing is downloaded), packs them, measures them and writes this card. Its `tests/` holds golden cases: scenes of
their own with what is on them (made by `python -m training.golden`, run by `detector mpta validate --run`).

## Data
{frames} frames of {scenes} places, rendered by `simulator.scene`, each frame from another moment, so that no vehicle
is seen twice. Every frame went through a camera's link: H.264 at a constant rate factor of 20 to 30 or JPEG of quality
70 to 92, then JPEG of quality 80 to 95, as capture stores it. Crops are cut as a detector cuts them: each side is off
by up to 7 % (a plate's upper and lower side by up to 22 %). One place in ten is kept out of the training.

## Accuracy
Measured end to end, through `mpta`, on {test_frames} frames of {test_scenes} places that no training saw (seeds from
{first_seed}), with the same degradation. `detector evaluate` repeats it.

| what | measured | required | vehicles |
| --- | --- | --- | --- |
{scores}

- vehicle mAP50: mean over car and truck of the average precision at IoU 0.5. Vehicles of which less than 30 % is seen,
  or smaller than 24 pixels, are neither demanded nor punished.
- body: right answers over the vehicles that were detected and of which at least {clear:.0%} is seen.
- brand: the same, where the front with its badge is turned to the camera by less than 58 degrees and not hidden; no
  answer counts as wrong.
- plate: all characters right and none too many, over such vehicles that stand still, detected or not.

One frame through the whole tree took {frame_ms:.0f} ms of wall time when this was measured, with every vehicle examined
instead of the best only.

## Limits
A vehicle seen from the side shows no badge; answers below 0.5 are then left out, but a confident wrong one is possible.
A plate that moves or is far away (under about 50 pixels wide) is often read wrong: trust one that stands.
"""


def card(package: Path, report: Report, *, scenes: int, frames: int) -> str:
    """Return the card, Markdown.

    Args:
        package: the finished package.
        report: its evaluation.
        scenes: places in the training data.
        frames: frames of all places together.
    """
    with zipfile.ZipFile(package) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    models = [_row(network, sizes[f"{network.name}.pt"]) for network in NETWORKS]
    scores = [f"| {s.name} | {s.value:.3f} | {s.required:.2f} | {s.count} |" for s in report.scores]
    return _TEXT.format(
        models="\n".join(models),
        size=package.stat().st_size / 1e6,
        frames=frames,
        scenes=scenes,
        test_frames=report.frames,
        test_scenes=report.frames // FRAMES_PER_SCENE,
        first_seed=FIRST_SEED,
        scores="\n".join(scores),
        clear=CLEAR,
        frame_ms=report.frame_ms,
    )


def _row(network: Network, size: int) -> str:
    shown = ", ".join(network.classes) if len(network.classes) < 10 else f"{len(network.classes)} characters"
    height, width = network.input_px
    return f"| {network.name} | {network.task} | {width} x {height} | {shown} | {size // 1000} |"
