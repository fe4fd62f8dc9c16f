"""`detector mpta run` as a process: Ctrl-C, and the page that it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import httpx
import numpy as np
import pytest

from cli.demo import PACKAGE

ROOT = Path(__file__).parents[2]
#: Most of it is the import of torch, on a busy machine.
pytestmark = pytest.mark.timeout(120)


def test_ctrl_c_ends_it_well_and_what_was_saved_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "live.mp4"
    arguments = ["run", str(PACKAGE), "--source", "synthetic://320x180@20", "--json", "--save", str(target)]
    command = [sys.executable, "-m", "cli.main", "mpta", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30.0)

    assert process.returncode == 0, errors
    assert re.fullmatch(r"\d+ frames? in .+, 0 objects\n", errors)
    with av.open(str(target)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == len((first + rest).splitlines())


def test_shown_it_is_on_a_page_until_ctrl_c(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    cv2.imwrite(str(picture), np.zeros((90, 160, 3), np.uint8))
    command = [
        sys.executable,
        "-m",
        "cli.main",
        "mpta",
        "run",
        str(PACKAGE),
        "--source",
        str(picture),
        "--show",
    ]
    bare = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=bare) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        assert process.stderr.readline() == "The last picture stays there until Ctrl-C.\n"
        with httpx.stream("GET", f"{url}pictures", trust_env=False) as response:
            seen = next(response.iter_raw())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30.0)

    assert process.returncode == 0
    assert seen.startswith(b"--picture\r\nContent-Type: image/jpeg\r\n")
