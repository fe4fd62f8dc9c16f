"""deploy/split_lock.py: the lock without torch and its CUDA libraries, for images of another build of torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.unit.shipping.files import ROOT

LOCK = ROOT / "requirements.lock"
SCRIPT = ROOT / "deploy" / "split_lock.py"


def split(lock: Path, backend: str, into: Path) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    command = [sys.executable, str(SCRIPT), str(lock), backend, str(into)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def names(file: Path) -> set[str]:
    """Return the packages that a lock names."""
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", file.read_text(), flags=re.MULTILINE))


def test_without_cuda_nothing_of_cuda_is_locked(tmp_path: Path) -> None:
    split(LOCK, "cpu", tmp_path)

    left_out = names(LOCK) - names(tmp_path / "locked.txt")

    assert {"torch", "torchvision", "triton", "cuda-toolkit", "nvidia-cublas"} <= left_out
    assert all(name.startswith(("nvidia-", "cuda-")) for name in left_out - {"torch", "torchvision", "triton"})


def test_what_others_ask_for_stays(tmp_path: Path) -> None:
    split(LOCK, "cpu", tmp_path)

    # nvidia-ml-py is ultralytics'; sympy and the like are torch's on a CPU too, and so keep version and hash.
    assert {"nvidia-ml-py", "sympy", "networkx", "jinja2", "setuptools", "numpy"} <= names(tmp_path / "locked.txt")


def test_torch_and_torchvision_stay_the_pair_that_was_locked(tmp_path: Path) -> None:
    split(LOCK, "cpu", tmp_path)

    pair = (tmp_path / "torch.txt").read_text().splitlines()

    assert [line.split("==")[0] for line in pair] == ["torch", "torchvision"]
    assert all(f"\n{line} " in LOCK.read_text() for line in pair)


def test_every_requirement_keeps_its_hashes(tmp_path: Path) -> None:
    split(LOCK, "cpu", tmp_path)

    blocks = re.split(r"^(?=[a-z0-9])", (tmp_path / "locked.txt").read_text(), flags=re.MULTILINE)[1:]

    assert len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_cuda_image_is_the_lock_as_it_is(tmp_path: Path) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    (backend,) = re.findall(r"TORCH_BACKEND: (cu\d+)", compose)

    split(LOCK, backend, tmp_path)

    assert (tmp_path / "locked.txt").read_text() == LOCK.read_text()
    assert (tmp_path / "torch.txt").read_text() == ""


def test_another_cuda_takes_torch_from_elsewhere(tmp_path: Path) -> None:
    split(LOCK, "cu126", tmp_path)

    assert "torch==" in (tmp_path / "torch.txt").read_text()


def test_a_file_that_is_no_lock_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.lock").write_text("numpy==2.0 \\\n    --hash=sha256:00\n")

    done = split(tmp_path / "other.lock", "cpu", tmp_path / "out")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "make lock" in done.stderr
