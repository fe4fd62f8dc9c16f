"""Where a package's files come from: a folder that is read in place, or an archive that is unpacked as far as needed.

Both show the same names, sizes and bytes for the same content. Scripts and settings of other tools may lie beside
the package's own files; nothing reads them.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mpta.archive import ZIP_ERRORS, EntryDamaged, Limits, entry_faults, unpack
from mpta.errors import PackageInvalid, shown
from mpta.names import duplicates, is_hidden, name_fault
from mpta.zip_end import zip_fault


class Source(Protocol):
    """The visible files of a package.

    Attributes:
        sizes: path inside the source to bytes.
        home: the folder on disk that `fetch` fills, or that holds the files already.
    """

    @property
    def sizes(self) -> Mapping[str, int]: ...

    @property
    def home(self) -> Path: ...

    def fetch(self, names: Iterable[str]) -> dict[str, str]:
        """Bring files to `home`; return the sha256 in hex of each by its path.

        Raises:
            PackageInvalid: one of them is damaged.
        """
        ...


class Folder:
    """A folder of files; see `Source`."""

    def __init__(self, name: str, home: Path, limits: Limits) -> None:
        """List the folder and check the names in it.

        Raises:
            PackageInvalid: with every fault found.
        """
        self.home = home
        self.sizes: dict[str, int] = {}
        faults = []
        for inner, file in _files(home):
            if file.is_symlink() or not file.is_file():
                faults.append(f"'{shown(inner)}' is a symbolic link or no plain file")
            elif fault := name_fault(inner):
                faults.append(f"'{shown(inner)}' {fault}")
            self.sizes[inner] = file.lstat().st_size
            if len(self.sizes) > limits.entries or sum(self.sizes.values()) > limits.total_bytes:
                raise PackageInvalid(name, [f"more than {limits.entries} files or {limits.total_bytes} bytes"])
        faults += [f"'{shown(inner)}' is there twice" for inner in duplicates(self.sizes)]
        if faults:
            raise PackageInvalid(name, faults)

    def fetch(self, names: Iterable[str]) -> dict[str, str]:
        """Hash the files where they are; see `Source.fetch`."""
        digests = {}
        for inner in names:
            with (self.home / inner).open("rb") as content:
                digests[inner] = hashlib.file_digest(content, "sha256").hexdigest()
        return digests


class Archive:
    """An open zip whose entries have passed every check that needs no unpacking; see `Source`."""

    def __init__(self, name: str, archive: zipfile.ZipFile, home: Path) -> None:
        """Store them; `home` is an empty folder."""
        self.home = home
        self._name = name
        self._archive = archive
        self._entries = {e.filename: e for e in archive.infolist() if not e.is_dir() and not is_hidden(e.filename)}
        self.sizes = {inner: entry.file_size for inner, entry in self._entries.items()}

    def fetch(self, names: Iterable[str]) -> dict[str, str]:
        """Unpack the entries; see `Source.fetch`."""
        digests = {}
        for inner in names:
            target = self.home / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                digests[inner] = unpack(self._archive, self._entries[inner], target)
            except EntryDamaged as exc:
                raise PackageInvalid(self._name, [f"entry '{shown(inner)}' {exc}"]) from exc
        return digests


@contextmanager
def opened_archive(name: str, path: Path, home: Path, limits: Limits) -> Iterator[Archive]:
    """Check a zip and give it for unpacking to the empty folder `home`.

    Raises:
        PackageInvalid: it is no zip, or with every fault of its entries.
        OSError: the path cannot be read.
    """
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) > limits.archive_bytes:
            raise PackageInvalid(name, [f"the archive is larger than {limits.archive_bytes} bytes"])
        if fault := zip_fault(file, entries=limits.entries):
            raise PackageInvalid(name, [fault])
        try:
            archive = zipfile.ZipFile(file)
            faults = entry_faults(archive, file, limits)
        except ZIP_ERRORS as exc:
            raise PackageInvalid(name, ["a zip archive whose directory is damaged"]) from exc
        if faults:
            raise PackageInvalid(name, faults)
        yield Archive(name, archive, home)


def _files(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield the visible files below a folder, each with its path inside; links to folders are files here."""
    for folder, below, names in os.walk(home):
        below[:] = sorted(each for each in below if not is_hidden(each))
        links = [each for each in below if (Path(folder) / each).is_symlink()]
        for each in sorted([*names, *links]):
            if not is_hidden(each):
                file = Path(folder, each)
                yield file.relative_to(home).as_posix(), file
