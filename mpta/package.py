"""Opening a package: a `.mpta` file or a folder becomes checked files on disk and a manifest. No torch here."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from mpta.archive import ZIP_ERRORS, Limits, Unpacker, directory_fault, duplicates, entry_faults, name_fault
from mpta.checkpoint import checkpoint_fault
from mpta.errors import PackageInvalid, shown
from mpta.manifest import Manifest
from mpta.parsing import MAX_JSON_BYTES, parse

MANIFEST = "pipeline.json"
#: Kept on disk. A package may carry scripts and settings of other tools; they are never unpacked.
KEPT_SUFFIXES = frozenset({".json", ".pt", ".onnx", ".png", ".jpg", ".jpeg"})
MODEL_SUFFIXES = frozenset({".pt", ".onnx"})


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True, eq=False)
class Package:
    """A checked package.

    Attributes:
        digest: sha256 in hex over the names and contents of all its files; the same for a zip and its folder.
        files: path inside the package, from pipeline.json's folder on, to the file on disk. A zip that was opened
            without a cache folder is deleted from disk together with this object.
        warnings: what is odd but allowed, one sentence each.
    """

    name: str
    manifest: Manifest
    digest: str
    files: Mapping[str, Path]
    warnings: tuple[str, ...]


def open_package(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    cache_dir: Path | None = None,
    limits: Limits | None = None,
) -> Package:
    """Check a package and return it.

    Args:
        path: a `.mpta` file, or a folder of the same content, which is read in place.
        name: what the package is called, where the file on disk has another name.
        cache_dir: where a zip's content is kept, in a folder named by its digest; None: in a temporary folder.
        limits: how large it may be.

    Raises:
        PackageInvalid: with every fault found.
        OSError: the path cannot be read.
    """
    path = Path(path)
    name, limits = name or path.name, limits or Limits()
    if path.is_dir():
        return _package(name, path, _folder(path, limits))
    return _open_archive(name, path, cache_dir, limits)


def _open_archive(name: str, path: Path, cache_dir: Path | None, limits: Limits) -> Package:
    if cache_dir is not None:
        cache_dir.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=".unpack-", dir=cache_dir))
    try:
        digests = _unpack(name, path, home, limits)
        package = _package(name, home, digests) if cache_dir is None else _cached(name, home, digests)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    if cache_dir is None:
        weakref.finalize(package, shutil.rmtree, home, ignore_errors=True)
    return package


def _cached(name: str, home: Path, digests: dict[str, str]) -> Package:
    """Move the unpacked files to the folder of their digest in one step, unless it is there already."""
    _package(name, home, digests)  # Refused here: nothing bad ever gets a digest folder.
    final = home.parent / _digest(digests)
    try:
        home.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(home, ignore_errors=True)
    return _package(name, final, digests)


def _unpack(name: str, path: Path, home: Path, limits: Limits) -> dict[str, str]:
    """Unpack what is worth keeping below `home`; return the digest of each visible file by its path."""
    with path.open("rb") as file:
        if fault := directory_fault(file, limits):
            raise PackageInvalid(name, [fault])
        try:
            with zipfile.ZipFile(file) as archive:
                if faults := entry_faults(archive, file, limits):
                    raise PackageInvalid(name, faults)
                return _copy_all(name, archive, home, limits)
        except ZIP_ERRORS as exc:
            raise PackageInvalid(name, ["the zip archive is damaged"]) from exc


def _copy_all(name: str, archive: zipfile.ZipFile, home: Path, limits: Limits) -> dict[str, str]:
    unpacker = Unpacker(archive, limits)
    digests: dict[str, str] = {}
    for entry in archive.infolist():
        if entry.is_dir() or _is_hidden(entry.filename):
            continue
        target = home / entry.filename if PurePosixPath(entry.filename).suffix.lower() in KEPT_SUFFIXES else None
        try:
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
            digest = unpacker.copy(entry, target)
        except (*ZIP_ERRORS, FileExistsError, NotADirectoryError) as exc:
            raise PackageInvalid(name, [f"entry '{shown(entry.filename)}' is damaged"]) from exc
        if digest is None:
            raise PackageInvalid(name, [f"entry '{shown(entry.filename)}' expands to more than its header says"])
        digests[entry.filename] = digest
    return digests


def _folder(path: Path, limits: Limits) -> dict[str, str]:
    """Return the digest of each visible file of a folder by its path."""
    digests: dict[str, str] = {}
    faults = []
    total = 0
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if _is_hidden(name) or (file.is_dir() and not file.is_symlink()):
            continue
        total += file.lstat().st_size
        if file.is_symlink() or not file.is_file():
            faults.append(f"'{shown(name)}' is a symbolic link or no plain file")
        elif fault := name_fault(name):
            faults.append(f"'{shown(name)}' {fault}")
        elif len(digests) >= limits.entries or total > limits.total_bytes:
            raise PackageInvalid(path.name, [f"more than {limits.entries} files or {limits.total_bytes} bytes"])
        else:
            with file.open("rb") as content:
                digests[name] = hashlib.file_digest(content, "sha256").hexdigest()
    faults += [f"'{shown(name)}' is there twice" for name in duplicates(digests)]
    if faults:
        raise PackageInvalid(path.name, faults)
    return digests


def _package(name: str, home: Path, digests: dict[str, str]) -> Package:
    top = _top(name, digests)
    if top is None:
        raise PackageInvalid(name, [f"no {MANIFEST} in it"])
    files = {
        inner.removeprefix(top): home / inner
        for inner in digests
        if inner.startswith(top) and PurePosixPath(inner).suffix.lower() in KEPT_SUFFIXES
    }
    with files[MANIFEST].open("rb") as file:
        manifest, faults, warnings = parse(file.read(MAX_JSON_BYTES + 1))
    if manifest is None:
        raise PackageInvalid(name, faults)
    if faults := tuple(_model_faults(manifest, files)):
        raise PackageInvalid(name, faults)
    return Package(
        name=name, manifest=manifest, digest=_digest(digests), files=MappingProxyType(files), warnings=warnings
    )


def _top(name: str, digests: Mapping[str, str]) -> str | None:
    """Return the folder of pipeline.json with its slash: the root, else the package's own, else the first by name."""
    if MANIFEST in digests:
        return ""
    folders = sorted(inner.partition("/")[0] for inner in digests if PurePosixPath(inner).match(f"*/{MANIFEST}"))
    folders = [folder for folder in folders if f"{folder}/{MANIFEST}" in digests]
    if not folders:
        return None
    own = name.removesuffix(".mpta")
    return f"{own if own in folders else folders[0]}/"


def _model_faults(manifest: Manifest, files: Mapping[str, Path]) -> list[str]:
    faults = []
    checked: dict[str, str | None] = {}
    for node in manifest.root.walk():
        key = f"{node.path}.modelFile"
        inner = node.model_file.removeprefix("./")
        if fault := name_fault(inner):
            faults.append(f"{key}: '{shown(inner)}' {fault}")
        elif PurePosixPath(inner).suffix.lower() not in MODEL_SUFFIXES:
            faults.append(f"{key}: '{shown(inner)}' is not a .pt or .onnx file")
        elif inner not in files:
            faults.append(f"{key}: '{shown(inner)}' is not in the package")
        elif inner.lower().endswith(".pt"):
            if inner not in checked:
                checked[inner] = checkpoint_fault(files[inner])
            if checked[inner]:
                faults.append(f"{key}: '{shown(inner)}' {checked[inner]}")
    return faults


def _digest(digests: Mapping[str, str]) -> str:
    lines = "".join(f"{digest} {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _is_hidden(name: str) -> bool:
    return any(part == "__MACOSX" or part.startswith(".") for part in name.split("/"))
