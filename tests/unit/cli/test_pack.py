"""`detector mpta pack`: a folder becomes a package that opens."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import mpta
from tests.unit.cli.conftest import Command, change


def test_the_package_opens_and_is_the_same_the_next_time(mpta_command: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "train.py").write_text("print('never run')")
    first = mpta_command("pack", folder, "-o", tmp_path / "one.mpta")
    for file in folder.rglob("*.pt"):
        os.utime(file, (1, 1))

    mpta_command("pack", folder, "-o", tmp_path / "two.mpta")

    opened = mpta.open_package(tmp_path / "one.mpta")
    assert first.exit_code == 0
    assert re.fullmatch(rf"one\.mpta: {len(opened.files)} files, [\d.]+ MB, sha256 {opened.digest}\n", first.stdout)
    assert "left out, nothing reads them: train.py" in first.stderr
    assert (tmp_path / "one.mpta").read_bytes() == (tmp_path / "two.mpta").read_bytes()
    assert opened.digest == mpta.open_package(folder).digest


def test_what_would_be_refused_is_not_written(mpta_command: Command, folder: Path, tmp_path: Path) -> None:
    def broken(document: dict[str, Any]) -> None:
        document["pipeline"]["modelFile"] = "gone.pt"

    target = tmp_path / "out.mpta"
    target.write_text("what was there")
    done = mpta_command("pack", change(folder, broken), "-o", target)

    assert done.exit_code == 1
    assert "  forecourt:pipeline.modelFile  'gone.pt' is not in the package" in done.stderr
    assert target.read_text() == "what was there"
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_what_only_an_archive_can_have_is_refused_too(mpta_command: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "notes.json").write_text(f'{{"a": "{"x" * 3_000_000}"}}')

    done = mpta_command("pack", folder, "-o", tmp_path / "bomb.mpta")

    assert done.exit_code == 1
    assert "entry 'notes.json' expands to more than 100 times its size" in done.stderr
    assert not (tmp_path / "bomb.mpta").exists()


def test_a_package_is_not_packed_into_itself(mpta_command: Command, folder: Path) -> None:
    done = mpta_command("pack", folder, "-o", folder / "self.mpta")

    assert done.exit_code == 1
    assert done.stderr.startswith("detector: self.mpta: lies in the folder that is packed")


def test_a_file_is_no_folder(mpta_command: Command, folder: Path, tmp_path: Path) -> None:
    done = mpta_command("pack", folder / "pipeline.json", "-o", tmp_path / "a.mpta")

    assert done.stderr == "detector: pipeline.json: is not a folder; name the one that holds pipeline.json\n"
