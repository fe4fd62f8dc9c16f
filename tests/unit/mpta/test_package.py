from __future__ import annotations

import gc
import io
import json
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def odd(path: Path, change: Callable[[zipfile.ZipInfo], None], name: str = "odd.txt") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pipeline.json", ROOT)
        info = zipfile.ZipInfo(name)
        change(info)
        archive.writestr(info, "target")


def named(name: str) -> Callable[[Path], None]:
    return lambda path: odd(path, lambda _: None, name)


def with_mode(mode: int) -> Callable[[Path], None]:
    return lambda path: odd(path, lambda info: setattr(info, "external_attr", mode << 16))


def manifest_only(text: str) -> Callable[[Path], None]:
    return lambda path: void(zipped(path, {"pipeline.json": text}))


def void(_: object) -> None:
    return None


def patched(name: str, offset: int, value: bytes) -> Callable[[Path], None]:
    """Change bytes of the entry's header in the directory."""

    def write(path: Path) -> None:
        zipped(path, {"pipeline.json": ROOT, name: "x" * 100})
        content = bytearray(path.read_bytes())
        at = content.rindex(name.encode()) - 46 + offset
        content[at : at + len(value)] = value
        path.write_bytes(content)

    return write


def duplicate(path: Path) -> None:
    zipped(path, {"pipeline.json": ROOT, "Mod\u00e9l.txt": "1", "mode\u0301l.TXT": "2"})


def overlapping(path: Path) -> None:
    zipped(path, {"pipeline.json": ROOT, "a.txt": "a" * 99, "b.txt": "b" * 99})
    content = bytearray(path.read_bytes())
    first, second = (content.rindex(name) - 46 for name in (b"a.txt", b"b.txt"))
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)


def encrypted(path: Path) -> None:
    patched("secret.txt", 8, b"\x01\x00")(path)


def lying(path: Path) -> None:
    patched("liar.json", 24, struct.pack("<I", 10))(path)


def bomb(path: Path) -> None:
    zipped(path, {"pipeline.json": ROOT, "bomb.txt": b"\0" * (20 << 20)})


def many(path: Path) -> None:
    zipped(path, {f"{i}.txt": "" for i in range(300)})


def checkpoint(pickled: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/version", "3")
    return whole.getvalue()


def with_model(content: bytes) -> Callable[[Path], None]:
    return lambda path: void(zipped(path, {"pipeline.json": ROOT, "detect.pt": content}))


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (lambda path: void(path.write_bytes(b"hello")), "not a zip archive"),
    "empty": (lambda path: void(path.write_bytes(b"")), "not a zip archive"),
    "no manifest": (lambda path: void(zipped(path, {"a.txt": "a"})), "no pipeline.json"),
    "bad JSON": (manifest_only('{"pipeline": ,}'), "line 1 column 14"),
    "no model": (manifest_only(ROOT), "pipeline.modelFile: 'detect.pt' is not in the package"),
    "model outside": (
        manifest_only(json.dumps({"pipeline": node("a", modelFile="../a.pt")})),
        "'../a.pt' leaves the package",
    ),
    "model elsewhere": (
        manifest_only(json.dumps({"pipeline": node("a", modelFile="/etc/passwd")})),
        "has an absolute path",
    ),
    "engine": (
        manifest_only(json.dumps({"pipeline": node("a", modelFile="a.engine")})),
        "is a compiled TensorRT engine",
    ),
    "parent": (named("../evil.txt"), "'../evil.txt' leaves the package"),
    "inner parent": (named("a/../../evil.txt"), "leaves the package"),
    "absolute": (named("/evil.txt"), "absolute path"),
    "drive": (named("C:evil.txt"), "absolute path"),
    "backslash": (named("a\\evil.txt"), "backslash"),
    "control": (named("a\x1b[2Jb.txt"), r"a\\x1b\[2Jb.txt' has a control character"),
    "NUL": (patched("evilXtxt", 50, b"\0"), "control character"),
    "device": (named("con.txt"), "name of a device"),
    "dots": (named("a./b.txt"), "not every system can store"),
    "deep": (named("a/" * 40 + "b"), "too deep"),
    "symlink": (with_mode(stat.S_IFLNK | 0o777), "is a symbolic link"),
    "fifo": (with_mode(stat.S_IFIFO | 0o666), "is not a plain file"),
    "encrypted": (encrypted, "'secret.txt' is encrypted"),
    "bzip2": (
        lambda path: void(zipped(path, {"pipeline.json": ROOT}, zipfile.ZIP_BZIP2)),
        "other than deflate",
    ),
    "duplicate": (duplicate, "is there twice"),
    "overlap": (overlapping, "overlaps another"),
    "bomb": (bomb, "expands to more than 100 times"),
    "claims gigabytes": (patched("big.txt", 24, b"\xff\xff\xff\x7f"), "is larger than"),
    "lying header": (lying, "'liar.json' has another size where its bytes are"),
    "many": (many, "more than 256 entries"),
    "no checkpoint": (with_model(b"weights"), "is not a checkpoint"),
    "compressed checkpoint": (
        with_model(checkpoint(b"\x80\x02N.", zipfile.ZIP_DEFLATED)),
        "is not a checkpoint as torch writes it",
    ),
    "os.system": (with_model(checkpoint(b"cos\nsystem\n(S'touch pwned'\ntR.")), "reaches for 'os.system'"),
    "stack global": (
        with_model(checkpoint(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.")),
        "reaches for 'builtins.eval'",
    ),
    "memoised global": (
        with_model(checkpoint(b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94NN0h\x00h\x01\x93.")),
        "reaches for 'os.system'",
    ),
    "global put away": (
        with_model(checkpoint(b"\x80\x04\x8c\x02osq\x00\x8c\x06systemq\x01NNh\x00h\x01\x93.")),
        "reaches for 'os.system'",
    ),
    "inst": (with_model(checkpoint(b"(S'x'\nios\nsystem\n.")), "reaches for 'os.system'"),
    "extension": (with_model(checkpoint(b"\x80\x02\x82\x01.")), "an.extension.code"),
    "damaged pickle": (with_model(checkpoint(b"\x80\x02c")), "is damaged"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_package_is_refused_with_its_own_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hostile.mpta"
    write, sentence = HOSTILE[case]
    write(path)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(PackageInvalid) as refused:
        open_package(path, cache_dir=tmp_path)

    assert sentence.replace("\\[", "[").replace("\\\\", "\\") in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert len(str(refused.value)) < 300
    assert [entry.name for entry in tmp_path.iterdir()] == ["hostile.mpta"]


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


def test_a_path_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_package(tmp_path / "nothing.mpta")


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=6), st.integers(0, 40))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_gives_a_package_or_a_refusal(tmp_path: Path, changes: list[tuple[int, int]], cut: int) -> None:
    path = zipped(tmp_path / "damaged.mpta", {"pipeline.json": ROOT, "a/b.json": "{}" * 50})
    content = bytearray(path.read_bytes())
    for place, change in changes:
        content[place % len(content)] ^= change
    path.write_bytes(content[: len(content) - cut])

    with pytest.raises(PackageInvalid):
        open_package(path)
