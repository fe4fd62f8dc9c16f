"""The packages that this worker holds: fetched and loaded off the hot path, told of when they fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

import mpta
from contract.keys import PipelineId
from contract.problems import Code
from contract.settings import Settings
from tasks.batch import MODEL_FAULTS, Pipeline
from tasks.fetching import PackageUnavailable, fetch

log = logging.getLogger(__name__)

#: From a package's file, and the name by which to speak of it, to what runs it.
Load = Callable[[Path, str], Pipeline]


def name_of(url: str) -> str:
    """Return what a package is called in logs and errors: its file name, without folders, host or credentials."""
    return PurePosixPath(urlsplit(url).path).name or "package"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a package is not here, fit for a CMS."""

    code: Code
    text: str
    retry_at_s: float


class Packages:
    """Keeps the wanted packages loaded.

    `want` says what is wanted, `get` gives what is there; loading happens one after the other in a thread of its own,
    so that pipelines that are there keep their rate.
    """

    def __init__(self, settings: Settings, load: Load, loaded: Callable[[PipelineId], None]) -> None:
        self._settings = settings
        self._load = load
        self._loaded = loaded
        self._lock = Lock()
        self._urls: dict[PipelineId, str] = {}
        self._here: dict[PipelineId, Pipeline] = {}
        self._failures: dict[PipelineId, Failure] = {}
        self._queued: set[PipelineId] = set()
        self._queue: SimpleQueue[PipelineId] = SimpleQueue()

    def get(self, pipeline: PipelineId) -> Pipeline | None:
        """Return the loaded package, or None while it is being fetched or has failed."""
        return self._here.get(pipeline)

    def loading(self, pipeline: PipelineId) -> bool:
        """Return whether the package is on its way here for the first time."""
        return pipeline in self._queued and pipeline not in self._failures

    def troubles(self, pipeline: PipelineId) -> list[tuple[Code, str]]:
        """Return what those who asked for the package must be told: why it is not here, or what of it is off."""
        failure, here = self._failures.get(pipeline), self._here.get(pipeline)
        if failure is not None:
            return [(failure.code, failure.text)]
        disabled = here.manifest.disabled if here is not None else ()
        return [(Code.ACTION_DISABLED, f"part of the model package is off: {'; '.join(disabled)}")] if disabled else []

    @property
    def loaded(self) -> list[str]:
        """The file names of the packages that are here."""
        with self._lock:
            return sorted(name_of(self._urls[pipeline]) for pipeline in self._here if pipeline in self._urls)

    def want(self, urls: Mapping[PipelineId, str]) -> None:
        """Have exactly `urls` loaded: what is new is fetched, what failed is tried again in time, the rest goes."""
        with self._lock:
            self._urls = dict(urls)
            for gone in (self._here.keys() | self._failures.keys()) - urls.keys():
                self._here.pop(gone, None)
                self._failures.pop(gone, None)
            for pipeline in urls.keys() - self._here.keys() - self._queued:
                failure = self._failures.get(pipeline)
                if failure is None or time.monotonic() >= failure.retry_at_s:
                    self._queued.add(pipeline)
                    self._queue.put(pipeline)

    def start(self, stop: Event) -> Thread:
        """Load in a thread of its own until `stop` is set."""

        def forever() -> None:
            while not stop.is_set():
                try:
                    self._bring(self._queue.get(timeout=0.5))
                except Empty:
                    continue

        thread = Thread(target=forever, name="packages", daemon=True)
        thread.start()
        return thread

    def _bring(self, pipeline: PipelineId) -> None:
        url = self._urls.get(pipeline)
        outcome = self._try(url) if url is not None else None
        with self._lock:
            self._queued.discard(pipeline)
            if pipeline not in self._urls or outcome is None:
                return
            if isinstance(outcome, Failure):
                self._failures[pipeline] = outcome
                log.warning("model package %s: %s", name_of(self._urls[pipeline]), outcome.text)
                return
            self._failures.pop(pipeline, None)
            self._here[pipeline] = outcome
        self._loaded(pipeline)

    def _try(self, url: str) -> Pipeline | Failure:
        began = time.monotonic()
        retry_at_s = began + self._settings.model_retry_seconds
        try:
            pipeline = self._load(fetch(url, self._settings), name_of(url))
        except PackageUnavailable as exc:
            return Failure(Code.MODEL_UNAVAILABLE, str(exc), retry_at_s)
        except mpta.MptaError as exc:
            return Failure(Code.MODEL_INVALID, str(exc), retry_at_s)
        except OSError as exc:
            return Failure(Code.MODEL_UNAVAILABLE, f"the package cannot be read ({exc.strerror})", retry_at_s)
        except MODEL_FAULTS as exc:
            log.warning("model package %s: %s: %s", name_of(url), type(exc).__name__, exc)
            return Failure(Code.MODEL_INVALID, f"the package cannot be loaded ({type(exc).__name__})", retry_at_s)
        disabled = pipeline.manifest.disabled
        if disabled and self._settings.strict_packages:
            return Failure(Code.MODEL_INVALID, f"refused, as it asks for {'; '.join(disabled)}", retry_at_s)
        log.info("model package %s loaded in %.1f s", name_of(url), time.monotonic() - began)
        for odd in (*pipeline.warnings, *disabled):
            log.warning("model package %s: %s", name_of(url), odd)
        return pipeline
