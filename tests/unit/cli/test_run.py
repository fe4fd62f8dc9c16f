"""`detector mpta run`: pictures, videos and cameras in, drawn pictures and lines out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from cli.demo import PACKAGE
from mpta import Image
from tests.unit.cli.conftest import Command, change


def video(path: Path) -> tuple[list[float], list[tuple[int, int]]]:
    """Return the times and sizes of a video's frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [round(float(frame.time or 0.0), 3) for frame in frames], [(frame.width, frame.height) for frame in frames]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_video_is_run_frame_by_frame_and_saved_with_its_times(
    mpta_command: Command, film: Path, tmp_path: Path
) -> None:
    done = mpta_command("run", PACKAGE, "--source", film, "--save", tmp_path / "seen.mp4")

    assert done.exit_code == 0, done.stderr
    assert re.fullmatch(r"4 frames in [\d.]+ s \([\d.]+ frames/s\), 2 objects: 2 car\n", done.stdout)
    assert video(tmp_path / "seen.mp4") == ([0.0, 0.1, 0.2, 0.3], [(960, 540)] * 4)


def test_programs_get_a_line_for_each_frame_with_ids_that_stay(mpta_command: Command, film: Path) -> None:
    done = mpta_command("run", PACKAGE, "--source", film, "--json", "--frames", 3)

    told = lines(done.stdout)
    assert [line["frame"] for line in told] == [0, 1, 2]
    assert [line["time"] for line in told] == [0.0, 0.1, 0.2]
    assert {line["objects"][0]["id"] for line in told} == {told[0]["objects"][0]["id"]}
    assert told[0]["detection"]["licensePlateText"]
    assert done.stderr.startswith("3 frames in ")


def test_pictures_of_a_folder_are_saved_under_their_names(
    mpta_command: Command, pictures: Path, frames: list[Image], tmp_path: Path
) -> None:
    done = mpta_command("run", PACKAGE, "--source", pictures, "--save", tmp_path / "seen")

    assert done.exit_code == 0, done.stderr
    assert sorted(file.name for file in (tmp_path / "seen").iterdir()) == ["a.jpg", "b.png"]
    saved = cv2.imread(str(tmp_path / "seen" / "b.png"))
    assert saved is not None
    assert saved.shape == frames[1].shape
    assert (np.abs(saved.astype(int) - frames[1]) > 0).any()
    assert done.stdout.splitlines()[0].startswith("a.jpg  car  0.9")
    assert done.stdout.splitlines()[2].startswith("2 frames in ")


def test_one_picture_becomes_one_picture(mpta_command: Command, pictures: Path, tmp_path: Path) -> None:
    done = mpta_command("run", PACKAGE, "--source", pictures / "a.jpg", "--save", tmp_path / "seen.png")

    assert done.exit_code == 0, done.stderr
    assert cv2.imread(str(tmp_path / "seen.png")) is not None


def test_a_camera_is_run_until_enough_was_seen(mpta_command: Command, tmp_path: Path) -> None:
    source = "synthetic://320x180@20"
    done = mpta_command("run", PACKAGE, "--source", source, "--frames", 3, "--json", "--save", tmp_path / "live.mkv")

    told = lines(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert [line["detection"] for line in told] == [None] * 3
    times, sizes = video(tmp_path / "live.mkv")
    assert times == sorted(set(times))
    assert sizes == [(320, 180)] * 3


def test_actions_are_told_and_not_done(mpta_command: Command, folder: Path, pictures: Path) -> None:
    def acting(document: dict[str, Any]) -> None:
        document["redis"] = {"host": "127.0.0.1", "port": 1}
        document["pipeline"]["actions"] = [
            {"type": "redis_save_image", "key": "car:{uuid}"},
            {"type": "redis_publish", "channel": "cars", "message": '{"brand":"{carBrand}","key":"{image_key}"}'},
        ]

    done = mpta_command("run", change(folder, acting), "--source", pictures / "a.jpg", "--json")

    (line,) = lines(done.stdout)
    save, publish = line["actions"]
    assert (save["type"], publish["type"], publish["channel"]) == ("redis_save_image", "redis_publish", "cars")
    assert json.loads(publish["message"]) == {"brand": line["detection"]["carBrand"], "key": save["key"]}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere.mp4", "nowhere.mp4: no such file or folder"),
        ("999", "webcam 999: no picture; is one plugged in"),
        ("rtsp://user:secret@127.0.0.1:1/x", "rtsp://127.0.0.1:1/x: no stream from the camera"),
        ("ftp://127.0.0.1/x", "ftp://127.0.0.1/x: no camera is read by ftp://"),
        ("empty", "empty: no pictures in this folder"),
        ("text.mp4", "text.mp4: no video or picture that can be read"),
        ("text.jpg", "text.jpg: is not a picture that can be decoded"),
    ],
)
def test_a_source_that_gives_nothing_is_one_sentence(
    mpta_command: Command, tmp_path: Path, source: str, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("text.mp4", "text.jpg"):
        (tmp_path / name).write_text("text")

    done = mpta_command("run", PACKAGE, "--source", source)

    assert done.exit_code == 1
    assert done.stderr.startswith(f"detector: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("film", "seen.txt", "seen.txt: a video is written; name it"),
        ("film", "no/folder/seen.mp4", "seen.mp4: the folder that it should go to does not exist"),
        ("pictures", "seen.jpg", "seen.jpg: many pictures are written; name a folder"),
    ],
)
def test_a_target_that_does_not_fit_is_one_sentence(
    mpta_command: Command, film: Path, pictures: Path, source: str, target: str, sentence: str
) -> None:
    done = mpta_command("run", PACKAGE, "--source", film if source == "film" else pictures, "--save", target)

    assert done.exit_code == 1
    assert done.stderr.startswith(f"detector: {sentence}")


def test_a_source_is_asked_for(mpta_command: Command) -> None:
    assert mpta_command("run", PACKAGE).exit_code == 2
