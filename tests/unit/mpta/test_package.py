from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mpta import Limits, PackageInvalid, open_package
from tests.unit.mpta.toys import node, package

ROOT = json.dumps({"pipeline": node("detect")})


@pytest.fixture
def sound(tmp_path: Path, weights: dict[str, Path]) -> Path:
    return package(tmp_path / "sound.mpta", node("detect"), {"detect.pt": weights["detect"]})


def test_a_package_opens_without_importing_torch_or_opencv(sound: Path) -> None:
    code = (
        "import sys, mpta; p = mpta.open_package(sys.argv[1]); assert p.files;"
        "print(sorted({'torch', 'cv2', 'ultralytics', 'redis', 'celery'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code, str(sound)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_zip_and_a_folder_of_the_same_content_have_the_same_digest(tmp_path: Path, sound: Path) -> None:
    folder = tmp_path / "folder"
    with zipfile.ZipFile(sound) as archive:
        archive.extractall(folder)

    assert open_package(folder).digest == open_package(sound).digest

    (folder / "pipeline.json").write_text(json.dumps({"pipeline": node("detect", crop=True)}))
    assert open_package(folder).digest != open_package(sound).digest


def test_temporary_files_go_with_the_package(sound: Path) -> None:
    opened = open_package(sound)
    home = opened.files["pipeline.json"].parent
    assert home.is_dir()

    del opened
    gc.collect()

    assert not home.exists()


def test_a_cache_folder_holds_each_content_once_and_nothing_half_done(tmp_path: Path, sound: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()

    first, second = (open_package(sound, cache_dir=cache) for _ in range(2))

    assert first.files == second.files
    assert [entry.name for entry in cache.iterdir()] == [first.digest]
    with pytest.raises(PackageInvalid):
        open_package(zipped(tmp_path / "bad.mpta", {"pipeline.json": "{"}), cache_dir=cache)
    assert [entry.name for entry in cache.iterdir()] == [first.digest]


def test_pipeline_json_is_found_at_the_root_else_in_the_packages_folder_else_in_the_first(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    model = weights["detect"].read_bytes()

    def opened(*folders: str) -> str:
        entries: dict[str, str | bytes] = {"__MACOSX/pipeline.json": "{", ".git/pipeline.json": "{", "tool.py": "1/0"}
        for folder in folders:
            entries[f"{folder}pipeline.json"] = json.dumps({"pipeline": node(folder or "root", modelFile="m.pt")})
            entries[f"{folder}m.pt"] = model
        found = open_package(zipped(tmp_path / "pump.mpta", entries))
        assert set(found.files) >= {"pipeline.json", "m.pt"}
        assert not any(name.endswith(".py") for name in found.files)
        return found.manifest.root.model_id

    assert opened("b/", "a/", "pump/", "") == "root"
    assert opened("b/", "a/", "pump/") == "pump/"
    assert opened("b/", "a/") == "a/"


def zipped(path: Path, entries: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_more_than_the_limits_is_refused(sound: Path) -> None:
    for limits, fault in (
        (Limits(archive_bytes=1000), "the archive is larger than 1000 bytes"),
        (Limits(file_bytes=1000), "'detect.pt' is larger than 1000 bytes"),
        (Limits(total_bytes=1000), "expand to more than 1000 bytes"),
        (Limits(entries=1), "more than 1 entries"),
    ):
        with pytest.raises(PackageInvalid, match=fault):
            open_package(sound, limits=limits)


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_text(ROOT)
    (tmp_path / "detect.pt").symlink_to("/etc/passwd")

    with pytest.raises(PackageInvalid, match=r"'detect\.pt' is a symbolic link"):
        open_package(tmp_path)


def test_a_link_to_a_folder_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_text(ROOT)
    (tmp_path / "models").symlink_to("/etc")

    with pytest.raises(PackageInvalid, match=r"'models' is a symbolic link"):
        open_package(tmp_path)


def test_a_path_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_package(tmp_path / "nothing.mpta")


def test_a_fault_among_many_is_counted_not_told(tmp_path: Path) -> None:
    branches = [node(str(number), branches=[]) for number in range(50)]
    text = json.dumps({"pipeline": node("detect", branches=branches)})

    with pytest.raises(PackageInvalid, match=r"'18\.pt' is not in the package; and 31 more$") as refused:
        open_package(zipped(tmp_path / "many.mpta", {"pipeline.json": text}))

    assert len(refused.value.faults) == 51


def test_what_other_tools_put_into_a_package_is_not_unpacked(tmp_path: Path, sound: Path) -> None:
    with zipfile.ZipFile(sound, "a") as archive:
        archive.writestr("setup.py", "1/0")
        archive.writestr("config.yaml", "api: https://example.com")
        archive.writestr("tests/one.png", b"png")

    opened = open_package(sound, cache_dir=tmp_path / "cache")

    assert sorted(opened.files) == ["detect.pt", "pipeline.json", "tests/one.png"]
    on_disk = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert {path.name for path in on_disk} == {"detect.pt", "pipeline.json", "one.png"}


def test_a_zip_as_others_write_it_opens(tmp_path: Path, sound: Path, weights: dict[str, Path]) -> None:
    """With a comment, and with sizes that follow the bytes because the writer could not seek."""
    with zipfile.ZipFile(sound, "a") as archive:
        archive.comment = b"0123456789abcdef"
    unseekable = io.BytesIO()
    unseekable.seekable = lambda: False  # type: ignore[method-assign]
    with zipfile.ZipFile(unseekable, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pump/", "")
        archive.writestr("pump/pipeline.json", ROOT)
        archive.writestr("pump/detect.pt", weights["detect"].read_bytes())
    streamed = tmp_path / "streamed.mpta"
    streamed.write_bytes(unseekable.getvalue())

    assert open_package(sound).manifest == open_package(streamed).manifest


def test_a_package_that_is_there_already_is_taken_from_the_cache(tmp_path: Path, sound: Path) -> None:
    first = open_package(sound, cache_dir=tmp_path / "cache")
    kept = first.files["detect.pt"].stat().st_ino

    again = open_package(sound, cache_dir=tmp_path / "cache")

    assert again.files["detect.pt"].stat().st_ino == kept


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_cache_folder_is_made_anew_and_an_undamaged_one_is_marked_as_used(
    damage: str, tmp_path: Path, sound: Path
) -> None:
    cache = tmp_path / "cache"
    first = open_package(sound, cache_dir=cache)
    before = {inner: file.read_bytes() for inner, file in first.files.items()}
    spoiled = next(file for inner, file in first.files.items() if inner.endswith(".pt"))
    if damage == "gone":
        spoiled.unlink()
    else:
        spoiled.write_bytes(b"x" * spoiled.stat().st_size)

    again = open_package(sound, cache_dir=cache)
    assert {inner: file.read_bytes() for inner, file in again.files.items()} == before
    assert [entry.name for entry in cache.iterdir()] == [first.digest]

    os.utime(cache / first.digest, (1, 1))
    open_package(sound, cache_dir=cache)
    assert (cache / first.digest).stat().st_mtime > 1e9
