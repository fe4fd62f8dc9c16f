"""`detector mpta pack`: a folder becomes a package that will open."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mpta
from cli.packages.findings import Findings, examine
from contract.errors import DetectorError
from mpta.names import is_hidden
from mpta.packing import write_archive


class CannotPack(DetectorError):
    """The folder does not become a package; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A package that was written.

    Attributes:
        digest: sha256 over its names and contents.
        left_out: files of the folder that no package keeps, such as scripts.
    """

    size: int
    files: int
    digest: str
    left_out: tuple[str, ...]


def pack(folder: Path, target: Path) -> tuple[Findings, Packed | None]:
    """Check a folder and write it as a package; return what was found, and None instead of a package that is refused.

    The target appears in one step and only when it opens; the same folder gives the same bytes.

    Raises:
        CannotPack: there is no such folder, or the target is inside it.
        OSError: something cannot be read or written.
    """
    if not folder.is_dir():
        raise CannotPack(f"{folder.name}: is not a folder; name the one that holds pipeline.json")
    if target.resolve().is_relative_to(folder.resolve()):
        raise CannotPack(f"{target.name}: lies in the folder that is packed; write it somewhere else")
    findings = examine(folder)
    if any(each.severity in {"refused", "failed"} for each in findings.found):
        return findings, None
    package = mpta.open_package(folder)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=target.parent) as home:
        made = Path(home) / "made.mpta"
        write_archive(made, package.files)
        try:
            opened = mpta.open_package(made, name=target.name)
        except mpta.PackageInvalid as exc:  # What only an archive can have: it may be too large, or too well packed.
            findings.add("refused", exc.faults)
            return findings, None
        size = made.stat().st_size
        made.replace(target)
    kept = {file.resolve() for file in package.files.values()}
    left_out = (file.relative_to(folder).as_posix() for file in _files(folder) if file.resolve() not in kept)
    packed = Packed(size=size, files=len(package.files), digest=opened.digest, left_out=tuple(sorted(left_out)))
    return findings, packed


def _files(folder: Path) -> list[Path]:
    """Return the visible files below a folder."""
    found = [Path(where) / name for where, _, names in os.walk(folder) for name in names]
    return [file for file in found if not is_hidden(file.relative_to(folder).as_posix())]
