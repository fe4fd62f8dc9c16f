"""Packages on disk, named by their content, for all workers of a host.

    content/{sha256}       what a server gave
    unpacked/{digest}/     what `mpta` made of one
    address/{hash}.json    what an address gave last, and how to ask whether that has changed
    address/{hash}.part    the beginning of a download that broke off
    address/{hash}.lock    held by the one process that asks this address
    lock                   held for moments: content is put, taken or pruned

Content is written elsewhere, flushed and renamed: it is there as a whole or not at all. When it was last used is its
modification time; a worker renews that of all it runs several times within `IN_USE_S`, and pruning leaves alone what
is younger. So a process that dies leaves nothing to clear: the kernel drops its locks, its marks of use fade.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from contract.settings import Settings

#: Content that was used within this time is never pruned: longer than a worker may stay silent about what it runs.
IN_USE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an address gave last.

    Attributes:
        content: sha256 of it, in hex.
        etag, modified: what the server called this version; empty when it did not.
    """

    content: str
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """The files of one address. Its name is a hash: an address may hold a password."""

    stem: Path

    @property
    def part(self) -> Path:
        """The beginning of a download."""
        return self.stem.with_suffix(".part")

    @contextmanager
    def locked(self, timeout_s: float) -> Iterator[None]:
        """Be the one process that asks this address.

        Raises:
            Timeout: another one still does after `timeout_s`.
        """
        with FileLock(self.stem.with_suffix(".lock"), timeout=timeout_s):
            yield

    def known(self) -> tuple[Known | None, float]:
        """Return what it gave last, and how many seconds ago that was asked; None when nothing can be read."""
        record = self.stem.with_suffix(".json")
        try:
            return Known(**orjson.loads(record.read_bytes())), time.time() - record.stat().st_mtime
        except (OSError, ValueError, TypeError):
            return None, 0.0

    def note(self, known: Known) -> None:
        """Store what it gave just now."""
        record, fresh = self.stem.with_suffix(".json"), self.stem.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(asdict(known)))
        fresh.replace(record)


class Store:
    """The folder; see the module. Any number of processes may use one."""

    def __init__(self, root: Path, *, max_bytes: int, max_age_s: float) -> None:
        """Store the limits. What is in use may pass them."""
        self._root = root
        self._max_bytes, self._max_age_s = max_bytes, max_age_s

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """Return this host's store."""
        age_s = settings.model_cache_days * 86_400
        return cls(settings.data_dir / "packages", max_bytes=settings.model_cache_mb * 1_000_000, max_age_s=age_s)

    @property
    def unpacked(self) -> Path:
        """The folder for `mpta.load(cache_dir=)`."""
        return self._root / "unpacked"

    def address(self, url: str) -> Address:
        """Return the files of an address."""
        folder = self._root / "address"
        folder.mkdir(parents=True, exist_ok=True)
        return Address(folder / hashlib.sha256(url.encode()).hexdigest()[:32])

    def take(self, content: str) -> Path | None:
        """Return the file with this content, marked as used; None when it is not here."""
        path = self._content(content)
        with self._locked():
            return path if _touched(path) else None

    def use(self, content: str, digest: str) -> None:
        """Mark as used what is here of a package: its content, and what `mpta` unpacked under its digest."""
        for path in (self._content(content), self.unpacked / digest):
            _touched(path)

    def put(self, part: Path, content: str) -> Path:
        """Make a flushed file, whose sha256 is `content`, part of the store."""
        path = self._content(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            part.replace(path)
            os.utime(path)
        _flush_folder(path.parent)
        return path

    def is_intact(self, content: str) -> bool:
        """Return whether the file is still what its name says; one that is not is removed."""
        path = self._content(content)
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == content:
                    return True
        except OSError:
            pass
        path.unlink(missing_ok=True)
        return False

    def prune(self) -> list[Path]:
        """Remove what nobody used for `max_age_s`, then the longest unused beyond `max_bytes`; return what went.

        Returns at once when another process holds the store.
        """
        try:
            with self._locked(timeout_s=0):
                # Renamed under the lock, removed after it: whoever takes content finds all of it or none.
                trash = [path.rename(path.with_name(f".gone-{path.name}")) for path in self._doomed()]
        except Timeout:
            return []
        for path in trash:
            _remove(path)
        return trash

    def _doomed(self) -> list[Path]:
        now = time.time()
        folders = (self._root / "content", self.unpacked, self._root / "address")
        # Never a lock: of two processes, one could hold the old file and one the new.
        found = [p for folder in folders if folder.is_dir() for p in folder.iterdir() if p.suffix != ".lock"]
        entries = sorted((entry for path in found if (entry := _entry(path)) is not None), key=lambda e: e.used_s)
        total = sum(entry.size for entry in entries)
        doomed = []
        for entry in entries:
            unused_s = now - entry.used_s
            if unused_s >= IN_USE_S and (unused_s >= self._max_age_s or total > self._max_bytes):
                total -= entry.size
                doomed.append(entry.path)
        return doomed

    def _content(self, content: str) -> Path:
        return self._root / "content" / content

    def _locked(self, timeout_s: float = 30.0) -> FileLock:
        self._root.mkdir(parents=True, exist_ok=True)
        return FileLock(self._root / "lock", timeout=timeout_s)


def _touched(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    used_s: float
    size: int


def _entry(path: Path) -> _Entry | None:
    """Return what is known of a file or folder, or None when it has just gone: `mpta` removes folders of its own."""
    try:
        used_s = path.stat().st_mtime
        files = path.rglob("*") if path.is_dir() else (path,)
        return _Entry(path, used_s, sum(file.stat().st_size for file in files))
    except FileNotFoundError:
        return None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
