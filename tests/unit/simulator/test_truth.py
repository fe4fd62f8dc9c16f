"""The truth log: found by time, bounded, and readable as a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator import truth as truth_module
from simulator.truth import KEPT_S, TruthLog


def test_the_newest_frame_at_or_before_a_time_is_found() -> None:
    log = TruthLog(10, None)
    for frame, at_ms in ((1, 1000), (2, 1100), (3, 1200)):
        log.record(frame, at_ms, ())

    found = [record and record["frame"] for record in map(log.at, (999, 1000, 1199, 1200, 9000, None))]

    assert found == [None, 1, 2, 3, 3, 3]


def test_only_the_last_minutes_are_kept() -> None:
    log = TruthLog(1, None)
    for frame in range(KEPT_S + 5):
        log.record(frame, frame * 1000, ())

    assert log.at(4_000) is None
    assert log.at(5_000) is not None


def test_the_file_has_a_line_per_frame_and_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_module, "_FILE_BYTES", 100)
    file = tmp_path / "deep" / "cam1.jsonl"
    log = TruthLog(10, file)

    for frame in range(5):
        log.record(frame, frame, ())
    log.close()

    rotated = file.with_suffix(".jsonl.1").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in rotated + file.read_text().splitlines()] == [0, 1, 2, 3, 4]
