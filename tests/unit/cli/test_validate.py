"""`detector mpta validate`: file:key and sentence, by severity."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2

from cli.demo import PACKAGE
from mpta import Image
from tests.unit.cli.conftest import Command, change


def test_a_good_package_is_good(mpta_command: Command) -> None:
    done = mpta_command("validate", PACKAGE)

    assert done.exit_code == 0
    assert done.stdout == "forecourt.mpta: good\n"


def test_checking_imports_neither_torch_nor_opencv() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom cli.packages.findings import examine\n"
        f"assert examine(Path({str(PACKAGE)!r})).good\n"
        "print([name for name in ('torch', 'cv2', 'onnxruntime', 'onnx', 'celery', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def broken(document: dict[str, Any]) -> None:
    document["pipeline"]["minConfidence"] = "high"
    document["pipeline"]["branches"][0]["modelFile"] = "gone.pt"
    del document["pipeline"]["branches"][1]["modelId"]


def test_each_fault_is_told_by_file_and_key(mpta_command: Command, folder: Path) -> None:
    done = mpta_command("validate", change(folder, broken))

    assert done.exit_code == 1
    assert "refused: the package does not load\n" in done.stdout
    assert "  forecourt:pipeline.minConfidence  must be a number from 0 to 1, not a string\n" in done.stdout
    assert "  forecourt:pipeline.branches[1].modelId  is missing\n" in done.stdout
    assert done.stdout.endswith("forecourt: not good, 2 faults\n")


def test_programs_get_the_same_as_json(mpta_command: Command, folder: Path) -> None:
    done = mpta_command("validate", change(folder, broken), "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert told["good"] is False
    assert {(each["severity"], each["key"]) for each in told["findings"]} == {
        ("refused", "pipeline.minConfidence"),
        ("refused", "pipeline.branches[1].modelId"),
    }


def test_a_disabled_action_fails_and_a_warning_does_not(mpta_command: Command, folder: Path) -> None:
    def odd(document: dict[str, Any]) -> None:
        document["pipeline"]["colour"] = "red"

    def disabled(document: dict[str, Any]) -> None:
        document["pipeline"]["actions"] = [{"type": "redis_publish", "channel": "c", "message": "m"}]

    warned = mpta_command("validate", change(folder, odd))
    failed = mpta_command("validate", change(folder, disabled))

    assert warned.exit_code == 0
    assert "warnings: all of it runs\n  forecourt:pipeline.colour  " in warned.stdout
    assert warned.stdout.endswith("forecourt: good, 1 warning\n")
    assert failed.exit_code == 1
    assert "  forecourt:pipeline.actions[0]  disabled: the package has no 'redis' block" in failed.stdout


def test_with_models_class_names_are_compared(mpta_command: Command, folder: Path) -> None:
    def misspelt(document: dict[str, Any]) -> None:
        document["pipeline"]["triggerClasses"] = ["car", "trucks"]

    change(folder, misspelt)

    assert "trucks" not in mpta_command("validate", folder).stdout
    done = mpta_command("validate", folder, "--models")
    assert done.exit_code == 0
    assert "  forecourt:pipeline.triggerClasses  'trucks' is no class of 'forecourt-vehicle'" in done.stdout


def test_golden_cases_are_run_and_each_is_told(mpta_command: Command, folder: Path, frames: list[Image]) -> None:
    tests = folder / "tests"
    tests.mkdir(exist_ok=True)
    for name, kind in (("right", "car"), ("wrong", "truck")):
        cv2.imwrite(str(tests / f"{name}.jpg"), frames[0])
        (tests / f"{name}.json").write_text(json.dumps({"detection": {"class": kind}}))

    unasked = mpta_command("validate", folder)
    done = mpta_command("validate", folder, "--run")

    assert unasked.exit_code == 0
    assert done.exit_code == 1
    assert "  forecourt:tests/wrong.jpg  'class' is 'car' and should be 'truck'\n" in done.stdout
    assert "  passes  tests/right.jpg\n" in done.stdout
    assert "  fails   tests/wrong.jpg\n" in done.stdout


def test_a_faulty_case_fails_without_a_run(mpta_command: Command, folder: Path) -> None:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "lonely.json").write_text('{"detection": null}')

    done = mpta_command("validate", folder)

    assert done.exit_code == 1
    assert "  forecourt:tests/lonely.json  has no picture of its name beside it" in done.stdout


def test_a_strangers_words_are_neither_markup_nor_commands(mpta_command: Command, folder: Path) -> None:
    def hostile(document: dict[str, Any]) -> None:
        document["pipeline"]["[bold]\x1b[2J\u202e[/bold]"] = 1

    done = mpta_command("validate", change(folder, hostile))

    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[bold]" in done.stdout


def test_what_is_not_there_is_one_sentence(mpta_command: Command, tmp_path: Path) -> None:
    done = mpta_command("validate", tmp_path / "nowhere.mpta")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "detector: nowhere.mpta: No such file or directory\n"
