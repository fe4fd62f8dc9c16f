"""What one worker process holds, and how it answers a wake-up."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path
from threading import Event, Lock, Thread

from celery import Celery

import mpta
from contract import clients, frames, nodes, problems, sessions, subscriptions, wakeups
from contract.keys import Keys, PipelineId
from contract.problems import Code
from contract.sessions import Changes
from contract.settings import Settings
from contract.subscriptions import GroupPlan, Wanted
from contract.work import Finished, Turn, Turner, Wake
from tasks import gpu
from tasks.actions import Actions
from tasks.batch import Batch, Pipeline
from tasks.credentials import with_password
from tasks.events import Job
from tasks.loop import Loop, Renewals, Tally
from tasks.packages import Load, Packages
from tasks.slots import Slot
from tasks.store import Store

log = logging.getLogger(__name__)

#: How often a worker looks whether the wishes changed when no work tells it.
RECONCILE_S = 0.5
#: A camera whose pipeline fails is told so at most this often.
FAILED_QUIET_MS = 10_000
#: A wake-up for a package that is still loading is passed on after this.
PASS_ON_S = 0.05


class Runtime:
    """One worker process: its connections, packages, slots and threads."""

    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        self.settings = settings
        self.keys = Keys(settings.key_prefix)
        self.state = clients.connect(settings.state, "worker")
        self.frames = clients.connect(settings.frames, "worker")
        self.device = gpu.device(settings.device)
        self._store = Store.of(settings)
        self.packages = Packages(settings, self._store, self._with_password(load or self._load), self._loaded)
        self.actions = Actions(settings.action_max_age_seconds)
        self.counts: Counter[str] = Counter()
        self._wanted = Wanted(-1)
        self._wanted_lock = Lock()
        self._renewals = Renewals()
        self._slots: defaultdict[PipelineId, Slot] = defaultdict(Slot)
        self._active, self._active_lock, self._threads_max = 0, Lock(), 1
        # What this worker has told already: (pipeline, subscription, its revision, code, what about).
        self._told: set[tuple[PipelineId, str, int, Code, str]] = set()
        self._pulse = nodes.Pulse("worker")
        self._stopping, self._closed = Event(), Event()
        self._threads: list[Thread] = []
        self._waker: wakeups.Waker | None = None

    def start(self, app: Celery) -> None:
        """Begin to keep packages loaded, leases renewed, and signs of life given."""
        self._waker = wakeups.Waker(app, self.settings, "worker")
        self._threads_max = int(app.conf.worker_concurrency or 1)
        threading.excepthook = _end_process
        self._threads = [
            self._renewals.start(self._closed),
            *self.packages.start(self._closed),
            Thread(target=self._reconcile, name="reconcile", daemon=True),
            Thread(target=self._sign, name="sign", daemon=True),
        ]
        for thread in self._threads[-2:]:
            thread.start()
        log.info("worker ready on %s, batches of up to %d", self.device, self.batch_max)

    def stop_claiming(self) -> None:
        """Let running loops finish their batch and return."""
        self._stopping.set()

    def close(self) -> None:
        """End the threads and say goodbye."""
        self._stopping.set()
        self._closed.set()
        self.actions.close()
        for thread in self._threads:
            thread.join(timeout=2.0)
        try:
            pipe = self.state.pipeline()
            nodes.remove(pipe, self.keys, self._pulse.id)
            pipe.execute()
        except clients.Down:
            log.warning("the state server is away; this worker's sign expires there by itself")

    @property
    def batch_max(self) -> int:
        """Frames per batch."""
        return self.settings.batch_max or (4 if self.device == "cpu" else 16)

    def work(self, pipeline: PipelineId) -> str:
        """Answer a wake-up; return what was done, in words for Flower."""
        package = self.packages.get(pipeline)
        if package is None:
            return self._pass_on(pipeline)
        with self._active_lock:
            self._active += 1
        try:
            tally = self._loop(pipeline, package).run()
        except clients.Down as exc:
            log.warning("a server is away (%s); what was claimed is taken up again", type(exc).__name__)
            return "server away"
        finally:
            with self._active_lock:
                self._active -= 1
        self._count(tally)
        return str(tally)

    def _pass_on(self, pipeline: PipelineId) -> str:
        """Leave a wake-up to a worker that has the package: while it loads here, it may be there already."""
        if self.packages.loading(pipeline):
            self._stopping.wait(PASS_ON_S)
            self._wake(pipeline, Wake.SEND)
        return "package not loaded"

    def _wake(self, pipeline: PipelineId, wake: Wake) -> None:
        if self._waker is not None:
            self._waker.wake({pipeline: wake})

    def _loop(self, pipeline: PipelineId, package: Pipeline) -> Loop:
        turner = Turner(
            redis=self.state,
            keys=self.keys,
            pipeline=pipeline,
            retention_ms=self.settings.results_retention_ms,
            max_bytes=self.settings.results_max_mb * 2**20,
        )
        read = functools.partial(frames.get_many, self.frames, self.keys)

        def compute(turn: Turn) -> list[Finished]:
            # Asked for each batch: a new version takes effect between two.
            running = self.packages.get(pipeline) or package
            batch = Batch(running, read, self._sessions, self._failed, functools.partial(self._act, running))
            return batch.compute(turn.claims, self._wanted_at(turn.version))

        return Loop(
            turner,
            self._slots[pipeline],
            compute,
            functools.partial(self._wake, pipeline),
            self._renewals,
            self._stopping,
            batch_max=self.batch_max,
            thread_free=lambda: self._active < self._threads_max,
        )

    def _act(self, package: Pipeline, job: Job) -> None:
        if package.manifest.redis is not None:
            self.actions.submit(package.manifest.redis, job)

    def _count(self, tally: Tally) -> None:
        if tally.batches:
            self._pulse.progress()
        self.counts.update(frames=tally.frames, batches=tally.batches, refused=tally.refused)

    def _wanted_at(self, version: int) -> Wanted:
        """Return the wishes of `version` or newer."""
        with self._wanted_lock:
            if self._wanted.version != version:
                self._wanted = subscriptions.read(self.state, self.keys)
            return self._wanted

    def _sessions(self, displays: Collection[str]) -> dict[str, Changes]:
        """Return the sessions of those of `displays` that have any; what cannot be read is left out."""
        return sessions.read(self.state, self.keys, displays)

    def _load(self, path: Path, name: str) -> Pipeline:
        return mpta.load(
            path,
            device=self.device,
            name=name,
            threads=self.settings.torch_threads,
            cache_dir=self._store.unpacked,
            quiet=True,
            verify=self.settings.verify_on_load,
        )

    def _with_password(self, load: Load) -> Load:
        def loaded(path: Path, name: str) -> Pipeline:
            pipeline = load(path, name)
            pipeline.manifest = with_password(pipeline.manifest, self.settings.package_env, os.environ)
            return pipeline

        return loaded

    def _loaded(self, pipeline: PipelineId) -> None:
        """Work may have waited for this package; and should it fail again, that is news."""
        self._wake(pipeline, Wake.SEND)
        self._told = {told for told in self._told if told[0] != pipeline}
        for subscription in self._wanted.subscriptions.values():
            if subscription.pipeline == pipeline:
                for code in (Code.MODEL_UNAVAILABLE, Code.MODEL_INVALID):
                    problems.forget(self.state, self.keys, subscription, code)

    def _failed(self, plan: GroupPlan, code: Code, text: str) -> None:
        self.counts["failed"] += 1
        for subscription in plan.subscriptions:
            problems.tell(self.state, self.keys, subscription, code, text, quiet_ms=FAILED_QUIET_MS)

    def _reconcile(self) -> None:
        while not self._closed.wait(RECONCILE_S):
            try:
                wanted = self._wanted_at(subscriptions.read_version(self.state, self.keys))
                self.packages.want(wanted.pipelines)
                self._tell_troubles(wanted)
            except clients.Down as exc:
                log.debug("the state server is away: %s", exc)

    def _tell_troubles(self, wanted: Wanted) -> None:
        for subscription in wanted.subscriptions.values():
            for trouble in self.packages.troubles(subscription.pipeline):
                told = (subscription.pipeline, subscription.id, subscription.revision, trouble.code, trouble.about)
                if told not in self._told:
                    problems.tell(self.state, self.keys, subscription, trouble.code, trouble.text, about=trouble.about)
                    self._told.add(told)
        self._told = {told for told in self._told if told[1] in wanted.subscriptions}

    def _sign(self) -> None:
        while not self._closed.wait(nodes.SIGN_S):
            load = gpu.load(self.device)
            sign = self._pulse.sign(
                done=self.counts["frames"],
                gpu=load.gpu,
                gpu_memory=load.gpu_memory,
                device=self.device,
                pipelines=self.packages.versions,
                versions=self.packages.running,
                **self.counts,
                **self.actions.counts,
            )
            try:
                pipe = self.state.pipeline()
                nodes.put(pipe, self.keys, sign)
                pipe.execute()
            except clients.Down as exc:
                log.debug("no sign of life given: %s", exc)


def _end_process(fault: threading.ExceptHookArgs) -> None:
    """A thread of ours died of a bug: a worker without it would live on as a liar. Its supervisor starts another."""
    log.critical("thread %s failed: this worker ends", fault.thread and fault.thread.name, exc_info=fault.exc_value)
    os.kill(os.getpid(), signal.SIGTERM)
