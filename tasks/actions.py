"""The Redis actions of packages: run after the results are written, in order, and never in their way.

Each target server has a thread and a bounded queue of its own: one that is away delays nobody else's actions. What does
not fit, or is older than `GIVE_UP_S` when its server comes back, is dropped and counted.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from threading import Event as Flag
from threading import Lock, Thread

import cv2
import redis

import mpta
from contract import clients
from contract.subscriptions import Subscription
from mpta import templates
from mpta.manifest import Publish, RedisTarget, SaveImage
from tasks.messages import timestamp

log = logging.getLogger(__name__)

#: Jobs waiting for one target; each may hold a full frame of some MB.
QUEUED = 64
#: An action that could not be run for this long is no longer worth running.
GIVE_UP_S = 30.0
_RETRY_S = 0.5
_TIMEOUT_S = 3.0

#: Names whose value differs between the displays that share one inference.
PER_SUBSCRIPTION = frozenset(("subscription", "display", "display_id", "session_id", "model_id", "model_name"))

Context = dict[str, object]


@dataclass(frozen=True, slots=True)
class Job:
    """The actions of one object on one frame, to be run in this order with one context for each viewer."""

    events: tuple[mpta.Event, ...]
    viewers: tuple[tuple[Subscription, object], ...]
    captured_ms: int
    made_at_s: float = field(default_factory=time.monotonic)


class Actions:
    """Hands jobs to their targets' threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._targets: dict[RedisTarget, Queue[Job]] = {}
        self._lock = Lock()
        self._stop = Flag()

    def submit(self, target: RedisTarget, job: Job) -> None:
        """Queue a job; dropped and counted when its target is too far behind."""
        try:
            self._queue(target).put_nowait(job)
        except Full:
            self.counts["actions_dropped"] += 1

    def close(self) -> None:
        """Let the threads end after the action in hand."""
        self._stop.set()

    def _queue(self, target: RedisTarget) -> Queue[Job]:
        with self._lock:
            queue = self._targets.get(target)
            if queue is None:
                queue = self._targets[target] = Queue(QUEUED)
                Thread(target=self._serve, args=(target, queue), name="actions", daemon=True).start()
            return queue

    def _serve(self, target: RedisTarget, queue: Queue[Job]) -> None:
        client = _connect(target)
        while not self._stop.is_set():
            try:
                job = queue.get(timeout=0.5)
            except Empty:
                continue
            self._run(client, target, job)

    def _run(self, client: redis.Redis, target: RedisTarget, job: Job) -> None:
        steps = iter(_steps(job))
        step = next(steps, None)
        while step is not None and not self._stop.is_set():
            try:
                step.run(client)
            except clients.Down:
                if time.monotonic() - job.made_at_s > GIVE_UP_S:
                    self.counts["actions_dropped"] += 1
                    log.warning("actions: %s:%d is away, gave up", target.host, target.port)
                    return
                self._stop.wait(_RETRY_S)
                continue
            except redis.RedisError as exc:
                self.counts["actions_failed"] += 1
                log.warning("actions: %s:%d refused: %s", target.host, target.port, exc)
            else:
                self.counts["actions_run"] += 1
            step = next(steps, None)


@dataclass(frozen=True, slots=True)
class _Step:
    """One action with what it needs; `image_key` in the shared context is set once the picture is stored."""

    action: SaveImage | Publish
    event: mpta.Event
    context: Context
    shared: Context

    def run(self, client: redis.Redis) -> None:
        context = {**self.context, **self.shared}
        if isinstance(self.action, Publish):
            channel = templates.render(self.action.channel, context)
            client.publish(channel, templates.render(self.action.message, context))
            return
        key = templates.render(self.action.key, context)
        self.shared["image_key"] = ""
        client.set(key, _encoded(self.action, self.event), ex=self.action.expire_seconds)
        self.shared["image_key"] = key


def _steps(job: Job) -> Iterator[_Step]:
    """Yield the job's actions in order: once, or once per viewer where a template of the node names one's values."""
    shared: Context = {
        "uuid": str(uuid.uuid4()),
        "timestamp_ms": job.captured_ms,
        "timestamp": timestamp(job.captured_ms),
        "image_key": "",
    }
    for event in job.events:
        viewers = job.viewers if _names(event) & PER_SUBSCRIPTION else job.viewers[:1]
        for subscription, session in viewers:
            context = {**event.context, **_viewer(subscription, session)}
            for action in event.actions:
                yield _Step(action, event, context, shared)


def _names(event: mpta.Event) -> frozenset[str]:
    texts: list[str] = []
    for action in event.actions:
        texts += [action.key] if isinstance(action, SaveImage) else [action.channel, action.message]
    return frozenset[str]().union(*map(templates.names, texts))


def _viewer(subscription: Subscription, session: object) -> Mapping[str, object]:
    return {
        "subscription": subscription.id,
        "display": subscription.display,
        "display_id": subscription.display,
        "camera": subscription.camera,
        "camera_id": subscription.camera,
        "session_id": session,
        "model_id": subscription.model_id,
        "model_name": subscription.model_name,
    }


def _encoded(action: SaveImage, event: mpta.Event) -> bytes:
    if action.format == "png":
        _, data = cv2.imencode(".png", event.image)
    else:
        _, data = cv2.imencode(".jpg", event.image, [cv2.IMWRITE_JPEG_QUALITY, action.quality])
    return data.tobytes()


def _connect(target: RedisTarget) -> redis.Redis:
    return redis.Redis(
        host=target.host,
        port=target.port,
        db=target.db,
        username=target.username,
        password=target.password,
        ssl=target.tls,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        client_name="detector-actions",
    )
