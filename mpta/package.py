"""Opening a package: a `.mpta` file or a folder becomes checked files on disk and a manifest. No torch here."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from mpta.archive import Limits
from mpta.errors import PackageInvalid
from mpta.manifest import Manifest
from mpta.model_files import inspect_models, reference_faults
from mpta.parsing import parse
from mpta.sources import Folder, Source, opened_archive
from mpta.strict_json import MAX_JSON_BYTES

MANIFEST = "pipeline.json"
#: Kept on disk, beside the weights that an ONNX file names. A package may carry scripts and settings of other tools;
#: they are never unpacked.
KEPT_SUFFIXES = frozenset({".json", ".pt", ".onnx", ".png", ".jpg", ".jpeg"})


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True, eq=False)
class Package:
    """A checked package.

    Attributes:
        digest: sha256 in hex over the names and contents of `files`; the same for a zip and its folder.
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
        cache_dir: where a zip's content is kept, in a folder named by its digest, whose modification time is when it
            was last opened; None: in a temporary folder.
        limits: how large it may be.

    Raises:
        PackageInvalid: with every fault found.
        OSError: the path cannot be read.
    """
    path = Path(path)
    name, limits = name or path.name, limits or Limits()
    if path.is_dir():
        return _checked(name, Folder(name, path, limits)).package(path)
    if cache_dir is not None:
        cache_dir.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=".unpack-", dir=cache_dir))
    try:
        with opened_archive(name, path, home, limits) as archive:
            checked = _checked(name, archive)
        package = checked.package(home if cache_dir is None else _settled(home, checked))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    if cache_dir is None:
        weakref.finalize(package, shutil.rmtree, home, ignore_errors=True)
    return package


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A package that has passed every check, wherever its files come to lie.

    Attributes:
        top: folder of pipeline.json inside the source, with its slash; empty at the root.
        digests: sha256 in hex of each file by its path inside the source.
    """

    name: str
    top: str
    manifest: Manifest
    warnings: tuple[str, ...]
    digests: Mapping[str, str]

    @property
    def digest(self) -> str:
        lines = "".join(f"{digest} {inner}\n" for inner, digest in sorted(self.digests.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def package(self, home: Path) -> Package:
        """Return the package of the files below `home`."""
        return Package(
            name=self.name,
            manifest=self.manifest,
            digest=self.digest,
            files=MappingProxyType({inner.removeprefix(self.top): home / inner for inner in self.digests}),
            warnings=self.warnings,
        )


def _checked(name: str, source: Source) -> _Checked:
    """Check a package in the order of what each step costs: names, then pipeline.json, then the models.

    Raises:
        PackageInvalid: with every fault that one step found.
    """
    top = _top(name, source.sizes)
    if top is None:
        raise PackageInvalid(name, [f"no {MANIFEST} in it"])
    digests = source.fetch([top + MANIFEST])
    with (source.home / top / MANIFEST).open("rb") as file:
        manifest, faults, warnings = parse(file.read(MAX_JSON_BYTES + 1))
    if manifest is None:
        raise PackageInvalid(name, faults)
    sizes = {inner.removeprefix(top): size for inner, size in source.sizes.items() if inner.startswith(top)}
    if faults := tuple(reference_faults(manifest, sizes)):
        raise PackageInvalid(name, faults)
    kept = {inner for inner in sizes if PurePosixPath(inner).suffix.lower() in KEPT_SUFFIXES}
    digests |= source.fetch(sorted(top + inner for inner in kept - {MANIFEST}))
    model_faults, weights = inspect_models(manifest, source.home / top, sizes)
    if model_faults:
        raise PackageInvalid(name, model_faults)
    digests |= source.fetch(sorted(top + inner for inner in weights - kept))
    return _Checked(name=name, top=top, manifest=manifest, warnings=warnings, digests=digests)


def _settled(home: Path, checked: _Checked) -> Path:
    """Move the unpacked files to the folder of their digest in one step, unless it is there already and undamaged."""
    for inner in checked.digests:
        with (home / inner).open("rb") as file:
            os.fsync(file.fileno())  # A digest folder that is there after a power cut holds all of its bytes.
    final = home.parent / checked.digest
    if final.is_dir() and not _holds(final, checked.digests):
        aside = home.with_name(f"{home.name}-aside")
        final.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        home.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(home, ignore_errors=True)
        os.utime(final)
    return final


def _holds(home: Path, digests: Mapping[str, str]) -> bool:
    """Return whether the files are still what they were when they were unpacked."""
    for inner, digest in digests.items():
        try:
            with (home / inner).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return False
        except OSError:
            return False
    return True


def _top(name: str, sizes: Mapping[str, int]) -> str | None:
    """Return the folder of pipeline.json with its slash: the root, else the package's own, else the first by name."""
    if MANIFEST in sizes:
        return ""
    folders = sorted(folder for folder, _, file in (inner.partition("/") for inner in sizes) if file == MANIFEST)
    if not folders:
        return None
    own = PurePosixPath(name).stem
    return f"{own if own in folders else folders[0]}/"
