"""`python -m training`: render, train, pack, measure; writes `forecourt.mpta` and `forecourt.md`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from training.card import card
from training.evaluate import FIRST_SEED, evaluate
from training.fit import fit
from training.golden import add_cases
from training.networks import NETWORKS
from training.package import PIPELINE, pack
from training.samples import render

#: Below `evaluate.FIRST_SEED`, so that no test place is ever trained on.
_TRAINING_SEED = 5_000_000


def main() -> int:
    """Make the models; return 1 when they miss a demand."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train the demo package from scratch.")
    parser.add_argument("--output", type=Path, default=Path("models"), help="folder of the results (%(default)s)")
    parser.add_argument("--scenes", type=int, default=120, help="places to render (%(default)s)")
    parser.add_argument("--frames", type=int, default=22, help="frames of each place (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the weights (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    parser.add_argument("--test-scenes", type=int, default=40, help="fresh places to measure on (%(default)s)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forecourt-") as folder:
        work, data = Path(folder), Path(folder) / "data"
        _say(f"rendering {wanted.scenes * wanted.frames} frames")
        render(data, seed=_TRAINING_SEED, scenes=wanted.scenes, frames=wanted.frames, processes=wanted.threads)
        files = {}
        for network in NETWORKS:
            begun = time.monotonic()
            checkpoint = fit(network, data, work, seed=wanted.seed, threads=wanted.threads)
            files[f"{network.name}.pt"] = checkpoint.read_bytes()
            _say(f"{network.name}: {len(files[f'{network.name}.pt']) // 1000} KB in {time.monotonic() - begun:.0f} s")
    wanted.output.mkdir(parents=True, exist_ok=True)
    package = wanted.output / "forecourt.mpta"
    pack(PIPELINE, files, package)
    _say(f"golden cases: {', '.join(add_cases(package))}")
    _say("measuring")
    report = evaluate(package, scenes=wanted.test_scenes, seed=FIRST_SEED)
    text = card(package, report, scenes=wanted.scenes, frames=wanted.scenes * wanted.frames)
    (wanted.output / "forecourt.md").write_text(text, encoding="utf-8")
    for score in report.scores:
        _say(f"{score.name}: {score.value:.3f} of {score.required:.2f} wanted, {score.count} vehicles")
    return 0 if report.good else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
