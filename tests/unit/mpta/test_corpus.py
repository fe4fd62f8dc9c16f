"""Every hostile package is refused by what is read of it: at once, in little memory, with its own sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.unit.mpta.corpus import CORPUS, opening

LONGEST_CPU_S = 1.0
MOST_MB = 256
#: What only loading a model, or running what is in one, would import.
FOREIGN = {"torch", "ultralytics", "onnx", "onnxruntime", "cv2", "redis", "celery"}


def test_every_package_is_refused_with_its_own_sentence_at_once_and_nothing_in_it_runs(tmp_path: Path) -> None:
    packages, home = tmp_path / "packages", tmp_path / "home"
    packages.mkdir()
    home.mkdir()
    expected: dict[str, tuple[str, str]] = {}
    for sentence, builds in CORPUS.items():
        for case, build in builds.items():
            name = f"{len(expected):03}"
            (packages / name).write_bytes(build())
            expected[name] = (case, sentence)

    done = subprocess.run(
        [sys.executable, opening.__file__, packages],
        cwd=home,
        env={**os.environ, "TMPDIR": str(home), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    found = json.loads(done.stdout)
    told = {name: (expected[name][0], told) for name, (told, _) in found["opened"].items()}
    assert told == {name: (case, f"hostile.mpta: {sentence}") for name, (case, sentence) in expected.items()}
    slow = {expected[name]: cpu_s for name, (_, cpu_s) in found["opened"].items() if cpu_s > LONGEST_CPU_S}
    assert not slow
    assert found["peak_mb"] < MOST_MB
    assert FOREIGN.isdisjoint(found["modules"])
    assert [entry.name for entry in home.iterdir()] == []


def test_the_corpus_is_large_and_its_cases_are_distinct() -> None:
    cases = [name for builds in CORPUS.values() for name in builds]
    contents = {build() for builds in CORPUS.values() for build in builds.values()}

    assert len(CORPUS) >= 200
    assert len(contents) == len(cases) >= 300


def test_no_sentence_shows_a_path_of_this_machine_or_a_stack() -> None:
    for sentence in CORPUS:
        assert not re.search(r"Traceback|File \"|\.py\b(?!')|/tmp|/home|site-packages|Error\b", sentence), sentence
        assert sentence.isprintable()
        assert len(sentence) < 1500
