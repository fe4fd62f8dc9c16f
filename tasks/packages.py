"""The packages that this worker runs: brought here, loaded, renewed and unloaded beside the work, never in its way."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

import mpta
from contract.keys import PipelineId
from contract.problems import Code
from contract.settings import Settings
from mpta.quietly import step_back
from tasks.batch import MODEL_FAULTS, Pipeline
from tasks.downloading import PackageUnavailable
from tasks.fetching import Fetched, Fetcher
from tasks.holding import Held, Trouble, memory
from tasks.store import IN_USE_S, Store

log = logging.getLogger(__name__)

#: Addresses that are asked at the same time. Loading is one at a time: its bottleneck is the interpreter's lock.
FETCHERS = 4
#: A package that nobody wants is kept for so long: a CMS that reconnects asks for the same ones.
KEPT_S = 60.0
#: A package that was used within this time is not unloaded, however little memory is left: no two take turns.
IN_WORK_S = 30.0

#: From a package's file, and the name by which to speak of it, to what runs it.
Load = Callable[[Path, str], Pipeline]


class Packages:
    """Keeps the wanted packages loaded, in the version that their addresses give.

    `want` says what is wanted, `get` gives what is there. A new version is loaded beside the running one and takes its
    place whole: who asked before it finishes with the old one.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        load: Load,
        loaded: Callable[[PipelineId], None],
        *,
        kept_s: float = KEPT_S,
        in_work_s: float = IN_WORK_S,
    ) -> None:
        self._settings, self._store = settings, store
        self._fetcher = Fetcher(settings, store)
        self._load = load
        self._loaded = loaded
        self._kept_s, self._in_work_s = kept_s, in_work_s
        self._lock = Lock()
        self._held: dict[PipelineId, Held] = {}
        self._to_fetch: SimpleQueue[Held] = SimpleQueue()
        self._to_load: SimpleQueue[tuple[Held, Fetched]] = SimpleQueue()
        self._tended_s = time.monotonic()
        self._full = False

    def get(self, pipeline: PipelineId) -> Pipeline | None:
        """Return what runs the package, or None while it is brought here or has failed. To ask is to use it."""
        held = self._held.get(pipeline)
        if held is None:
            return None
        held.used_s = time.monotonic()
        if held.asleep:
            with self._lock:
                self._look_soon(held)
        return held.pipeline

    def loading(self, pipeline: PipelineId) -> bool:
        """Return whether the package is on its way here, and was not refused before."""
        held = self._held.get(pipeline)
        return held is not None and held.busy and held.trouble is None

    def troubles(self, pipeline: PipelineId) -> list[Trouble]:
        """Return what those who asked for the package must be told: what keeps it away, or what of it is off."""
        with self._lock:
            held = self._held.get(pipeline)
            found = [held.trouble] if held is not None and held.trouble is not None else []
            running = held.pipeline if held is not None else None
        if running is not None and (disabled := running.manifest.disabled):
            found.append(Trouble(Code.ACTION_DISABLED, f"part of the model package is off: {'; '.join(disabled)}"))
        return found

    @property
    def versions(self) -> dict[str, str]:
        """The file names of the packages that run here, each with what tells its version from others."""
        with self._lock:
            running = [held for held in self._held.values() if held.pipeline is not None]
        names = Counter(held.name for held in running)
        return {held.name if names[held.name] == 1 else f"{held.name} ({held.id})": held.version for held in running}

    @property
    def running(self) -> dict[PipelineId, str]:
        """What tells the version of each package that runs here from others."""
        with self._lock:
            return {held.id: held.version for held in self._held.values() if held.pipeline is not None}

    def want(self, urls: Mapping[PipelineId, str]) -> None:
        """Have `urls` loaded and up to date; what is wanted no more goes after a while. Called again and again."""
        now_s = time.monotonic()
        with self._lock:
            for pipeline, url in urls.items():
                held = self._held.setdefault(pipeline, Held(pipeline, url, self._settings.model_retry_seconds))
                held.wanted_s = now_s
                if now_s >= held.due_s and not held.asleep:
                    self._look_soon(held)
            for held in [held for held in self._held.values() if now_s - held.wanted_s > self._kept_s]:
                del self._held[held.id]
                log.info("model package %s: unloaded, nobody wants it", held.name)
            self._make_room(now_s)
            used = [(held.content, held.pipeline.digest) for held in self._held.values() if held.pipeline is not None]
        if now_s - self._tended_s > IN_USE_S / 3:
            self._tended_s = now_s
            self._tend_store(used)

    def start(self, stop: Event) -> list[Thread]:
        """Fetch and load in threads of their own until `stop` is set."""

        def fetch() -> None:
            step_back()
            while not stop.is_set():
                try:
                    self._look(self._to_fetch.get(timeout=0.5))
                except Empty:
                    continue

        def load() -> None:
            while not stop.is_set():
                try:
                    self._bring(*self._to_load.get(timeout=0.5))
                except Empty:
                    continue

        threads = [Thread(target=fetch, name=f"fetcher {i + 1}", daemon=True) for i in range(FETCHERS)]
        threads.append(Thread(target=load, name="packages", daemon=True))
        for thread in threads:
            thread.start()
        return threads

    def _tend_store(self, used: Sequence[tuple[str, str]]) -> None:
        """Mark what runs here as used, and have old content removed."""
        try:
            for content, digest in used:
                self._store.use(content, digest)
            for gone in self._store.prune():
                log.info("removed from the store of packages: %s", gone.name)
        except OSError as exc:
            log.warning("the store of packages cannot be tended (%s)", exc.strerror)

    def _look_soon(self, held: Held) -> None:
        if not held.busy:
            held.busy = True
            self._to_fetch.put(held)

    def _look(self, held: Held) -> None:
        """Ask the address; have loaded what is new."""
        try:
            fetched = self._fetcher.fetch(held.url, held.content)
        except PackageUnavailable as exc:
            self._fail(held, Trouble(Code.MODEL_UNAVAILABLE, str(exc)))
        except OSError as exc:
            self._fail(held, _unreadable(exc))
        else:
            if fetched.content not in (held.content, held.refused):
                self._to_load.put((held, fetched))
                return
            with self._lock:
                held.busy, held.due_s = False, self._next_look_s()

    def _bring(self, held: Held, fetched: Fetched) -> None:
        """Load it and let it run, instead of what ran before."""
        if self._held.get(held.id) is not held:
            return
        began_s = time.monotonic()
        outcome = self._try(held, fetched)
        if isinstance(outcome, Trouble):
            self._fail(held, outcome)
            return
        with self._lock:
            before = held.version
            held.ran(outcome, fetched.content, self._next_look_s())
            self._make_room(time.monotonic())
        instead = f" instead of {before}" if before else ""
        took_s = time.monotonic() - began_s
        log.info(
            "model package %s: version %s runs%s, loaded in %.1f s", held.name, outcome.digest[:12], instead, took_s
        )
        for odd in (*outcome.warnings, *outcome.manifest.disabled):
            log.warning("model package %s: %s", held.name, odd)
        self._loaded(held.id)

    def _try(self, held: Held, fetched: Fetched) -> Pipeline | Trouble:
        about = fetched.content[:12]
        try:
            pipeline = self._load(fetched.path, held.name)
        except mpta.MptaError as exc:
            if isinstance(exc, mpta.PackageInvalid):
                held.refused = fetched.content
            return Trouble(Code.MODEL_INVALID, str(exc), about)
        except OSError as exc:
            return _unreadable(exc)
        except MODEL_FAULTS as exc:
            log.warning("model package %s: %s: %s", held.name, type(exc).__name__, exc)
            return Trouble(Code.MODEL_INVALID, f"the package cannot be loaded ({type(exc).__name__})", about)
        disabled = pipeline.manifest.disabled
        if disabled and self._settings.strict_packages:
            held.refused = fetched.content
            return Trouble(Code.MODEL_INVALID, f"refused, as it asks for {'; '.join(disabled)}", about)
        return pipeline

    def _fail(self, held: Held, trouble: Trouble) -> None:
        with self._lock:
            news, held.said = held.said != trouble.text, trouble.text
            held.failed(trouble, time.monotonic())
        if news:
            goes_on = "; the version before keeps running" if held.pipeline is not None else ""
            log.warning("model package %s: %s%s", held.name, trouble.text, goes_on)

    def _make_room(self, now_s: float) -> None:
        """Unload what was used longest ago while the models take more memory than they may."""
        limit_mb = self._settings.model_memory_mb
        if limit_mb is None:
            return
        running = [held for held in self._held.values() if held.pipeline is not None]
        idle = [held for held in running if now_s - held.used_s > self._in_work_s]
        for held in sorted(idle, key=lambda held: held.used_s):
            if memory(running) <= limit_mb * 1_000_000:
                break
            held.slept()
            log.info("model package %s: unloaded to make room, until it is needed", held.name)
        full = memory(running) > limit_mb * 1_000_000
        if full and not self._full:
            log.warning("models take %d MB, which is more than %d MB; all are at work", memory(running) / 1e6, limit_mb)
        self._full = full

    def _next_look_s(self) -> float:
        return time.monotonic() + self._settings.model_refresh_seconds * random.uniform(0.9, 1.1)


def _unreadable(exc: OSError) -> Trouble:
    return Trouble(Code.MODEL_UNAVAILABLE, f"the package cannot be read or kept ({exc.strerror or type(exc).__name__})")
