"""From the readers to the servers: store the frame, mark its groups, wake who must be woken.

Readers never wait for a server: each camera has one place in the outbox, and its newest picture wins. While a server
is away pictures are replaced and counted, not kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from redis import Redis
from redis.exceptions import RedisError

from contract import frames, work
from contract.frames import Frame
from contract.keys import Cam, Group, Keys, PipelineId
from contract.work import Wake

log = logging.getLogger(__name__)

_LOG_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Publication:
    """One picture to be published.

    Attributes:
        ttl_ms: for how long it counts as fresh.
        groups: what it is marked for.
        unchanged: it is stored already under the same `seq`: say that it is fresh, and mark who has not had it.
    """

    frame: Frame
    ttl_ms: int
    groups: frozenset[tuple[PipelineId, Group]]
    unchanged: bool = False

    def after(self, replaced: Publication) -> Publication:
        """Return this publication with what the `replaced` one, which nobody has seen, leaves to be done."""
        return replace(self, groups=self.groups | replaced.groups, unchanged=self.unchanged and replaced.unchanged)


class Outbox:
    """What is to be published: at most one picture per camera, newest wins, one thread per camera at a time."""

    def __init__(self) -> None:
        self.replaced = 0
        self._newest: dict[Cam, Publication] = {}
        self._owed: dict[Cam, Publication] = {}
        self._in_work: set[Cam] = set()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, publication: Publication) -> None:
        """Put the camera's newest picture in place of an older one that still waits."""
        cam = publication.frame.cam
        with self._changed:
            if (older := self._newest.pop(cam, None)) is not None:
                self.replaced += 1
                publication = publication.after(older)
            if (owed := self._owed.pop(cam, None)) is not None:
                publication = publication.after(owed)
            self._newest[cam] = publication
            self._changed.notify()

    def take(self) -> Publication | None:
        """Wait for the picture that waits longest, of a camera that no other thread works on; None: closed."""
        with self._changed:
            while not self._closed:
                cam = next((cam for cam in self._newest if cam not in self._in_work), None)
                if cam is not None:
                    self._in_work.add(cam)
                    return self._newest.pop(cam)
                self._changed.wait()
            return None

    def done(self, cam: Cam, owed: Publication | None = None) -> None:
        """Say that the camera's last taken picture is dealt with; what is `owed` of it goes with the next one."""
        with self._changed:
            if cam in self._in_work and owed is not None:
                self._owed[cam] = owed
            self._in_work.discard(cam)
            self._changed.notify()

    def drop(self, cam: Cam) -> None:
        """Forget what waits of a camera that is no longer ours."""
        with self._changed:
            self._newest.pop(cam, None)
            self._owed.pop(cam, None)
            self._in_work.discard(cam)

    def close(self) -> None:
        """End all who wait in `take`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Servers:
    """Where frames and marks go.

    Attributes:
        wake: sends the wake-ups that are due (`contract.wakeups.Waker.wake`).
    """

    frames: Redis
    state: Redis
    keys: Keys
    wake: Callable[[Mapping[PipelineId, Wake]], None]

    def store(self, publication: Publication) -> bool:
        """Store the frame; return False when a newer holder of the camera has spoken."""
        frame, ttl_ms = publication.frame, publication.ttl_ms
        if publication.unchanged and frames.touch(self.frames, self.keys, frame.cam, ttl_ms):
            return True
        return frames.put(self.frames, self.keys, frame, ttl_ms)

    def mark(self, publication: Publication) -> None:
        """Mark the stored frame's groups and wake who must be woken.

        One that was marked with this very frame before is left as it is, so to repeat it does no harm.
        """
        groups: dict[PipelineId, list[Group]] = defaultdict(list)
        for pipeline, group in publication.groups:
            groups[pipeline].append(group)
        if groups:
            self.wake(work.mark(self.state, self.keys, publication.frame.seq, groups))


class Publisher:
    """The threads between the outbox and the servers.

    Attributes:
        published, refused, failed: pictures since the start.
    """

    def __init__(self, servers: Servers, threads: int = 4) -> None:
        self.outbox = Outbox()
        self.published = self.refused = self.failed = 0
        self._servers = servers
        self._threads = [threading.Thread(target=self._run, name=f"publish-{i}", daemon=True) for i in range(threads)]
        self._logged_s = float("-inf")

    def start(self) -> None:
        """Begin to publish."""
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float = 1.0) -> None:
        """Stop; a thread that waits for a server that is away is left behind."""
        self.outbox.close()
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (publication := self.outbox.take()) is not None:
            self.outbox.done(publication.frame.cam, self._publish(publication))

    def _publish(self, publication: Publication) -> Publication | None:
        """Publish it; return what could not be done."""
        owed = publication
        try:
            if not self._servers.store(publication):
                self.refused += 1
                return None
            owed = replace(publication, unchanged=True)
            self._servers.mark(publication)
        except RedisError as exc:
            self.failed += 1
            self._report(exc)
            return owed
        self.published += 1
        return None

    def _report(self, exc: RedisError) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = now_s
            log.warning("a server is away: %d frames not published so far; last error: %s", self.failed, exc)
