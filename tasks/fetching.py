"""Bringing a package here: a file below the allowed directories, or what a server gives, kept in the `Store`."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock
from urllib.parse import urlsplit

from filelock import Timeout

from contract.errors import UrlRefused
from contract.settings import Settings
from contract.urls import local_path
from tasks.downloading import Download, PackageUnavailable
from tasks.store import Address, Known, Store

log = logging.getLogger(__name__)

#: A file that changed within this time is still being written, as far as anybody can tell.
SETTLED_S = 2.0


def name_of(url: str) -> str:
    """Return what a package is called in logs and errors: its file name, without folders, host or credentials."""
    return PurePosixPath(urlsplit(url).path).name or "package"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address has now.

    Attributes:
        content: names it: equal for equal content.
    """

    path: Path
    content: str


@dataclass(slots=True)
class Fetcher:
    """Asks addresses what they have now. Several threads may ask; one thread and process at a time asks an address."""

    settings: Settings
    store: Store
    _lock: Lock = field(default_factory=Lock)
    # Of each file: what it looked like when it was hashed, and its hash.
    _hashed: dict[Path, tuple[object, str]] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)

    def fetch(self, url: str, running: str = "") -> Fetched:
        """Return what is at `url` now; a server is not asked when another worker of this host just did.

        While its server is away, what it gave last serves on.

        Args:
            url: http, https, file, or a path.
            running: the content that is loaded already, which need not be checked on disk.

        Raises:
            PackageUnavailable: no such file, no answer, an HTTP error, too large, too slow.
            OSError: the file cannot be read, or the store not be written.
        """
        try:
            path = local_path(url, self.settings.model_dirs)
        except UrlRefused as exc:
            raise PackageUnavailable(f"model package not allowed: {exc}") from exc
        return self._downloaded(url, running) if path is None else self._local(path, running)

    def _local(self, path: Path, running: str) -> Fetched:
        try:
            looks, changed_s = _looks(path)
        except FileNotFoundError as exc:
            raise PackageUnavailable(f"there is no model package {path.name!r} below the model directories") from exc
        with self._lock:
            seen, content = self._hashed.get(path, (None, ""))
        if running and seen != looks and time.time() - changed_s < SETTLED_S:
            return Fetched(path, running)
        if seen != looks:
            content = _digest(path, looks)
            with self._lock:
                self._hashed[path] = (looks, content)
        return Fetched(path, content)

    def _downloaded(self, url: str, running: str) -> Fetched:
        address = self.store.address(url)
        try:
            with address.locked(self.settings.model_fetch_seconds):
                return self._asked(url, address, running)
        except Timeout as exc:
            raise PackageUnavailable("another worker is still fetching the model package") from exc

    def _asked(self, url: str, address: Address, running: str) -> Fetched:
        known, age_s = address.known()
        kept = None if known is None else self._kept(known, running)
        if kept is not None and 0 <= age_s < self.settings.model_refresh_seconds / 2:
            return kept
        download = Download(
            url=url,
            name=name_of(url),
            part=address.part,
            known=known if kept else None,
            allowed=self.settings.allowed_models,
            max_mb=self.settings.model_max_mb,
            within_s=self.settings.model_fetch_seconds,
        )
        try:
            fresh = download.run()
        except PackageUnavailable as exc:
            if kept is None:
                raise
            self._say_away(url, str(exc))
            return kept
        self._say_back(url)
        if fresh is None:
            assert known is not None
            assert kept is not None
            address.note(known)
            return kept
        path = self.store.put(address.part, fresh.content)
        address.note(fresh)
        self.store.prune()
        return Fetched(path, fresh.content)

    def _kept(self, known: Known, running: str) -> Fetched | None:
        if known.content != running and not self.store.is_intact(known.content):
            return None
        path = self.store.take(known.content)
        return None if path is None else Fetched(path, known.content)

    def _say_away(self, url: str, why: str) -> None:
        with self._lock:
            news = url not in self._away
            self._away.add(url)
        if news:
            log.warning("model package %s: not given by its server (%s); the kept copy serves on", name_of(url), why)

    def _say_back(self, url: str) -> None:
        with self._lock:
            news = url in self._away
            self._away.discard(url)
        if news:
            log.info("model package %s: its server answers again", name_of(url))


def _looks(path: Path) -> tuple[object, float]:
    """Return what tells a changed file or folder without reading it, and Unix time of its last change."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files]
    looks = [(str(file), stat.st_ino, stat.st_size, stat.st_mtime_ns) for file, stat in stats]
    return looks, max((stat.st_mtime for _, stat in stats), default=0.0)


def _digest(path: Path, looks: object) -> str:
    """Return the sha256 of a file's content; of a folder, which people edit in place, that of its looks."""
    if path.is_dir():
        return hashlib.sha256(repr(looks).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
