"""A cell: the readers of one process, and the publisher that they share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

from redis import Redis

from capture.attempts import Trouble
from capture.publishing import Publisher, Servers
from capture.reader import Condition, Reader
from contract import subscriptions
from contract.connects import Gate
from contract.settings import Settings
from contract.subscriptions import CameraPlan


class Reading(Protocol):
    """A camera that is being read, wherever.

    Attributes:
        condition: how it is.
        alive_s: monotonic seconds of its last picture, or of its last step from one state to another.
        published: pictures handed to the publisher so far.
        running: whether its connection may be open.
        lost: its process is gone; nothing will come of it.
    """

    @property
    def plan(self) -> CameraPlan: ...

    @property
    def condition(self) -> Condition: ...

    @property
    def alive_s(self) -> float: ...

    @property
    def published(self) -> int: ...

    @property
    def running(self) -> bool: ...

    @property
    def lost(self) -> bool: ...

    def follow(self, plan: CameraPlan, fence: int) -> None:
        """Take a new plan or fence; the camera is not reopened."""

    def stop(self) -> None:
        """Publish nothing from now on, and end as soon as the source lets go."""

    def abandon(self) -> None:
        """Have nothing more to do with it: it hangs."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pictures of all readers since the start: published, replaced by newer ones, refused (stale fence), failed."""

    published: int = 0
    replaced: int = 0
    refused: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Cell:
    """Reads cameras in threads of this process."""

    def __init__(self, settings: Settings, state: Redis, servers: Servers) -> None:
        self._settings, self._state, self._keys = settings, state, servers.keys
        self._publisher = Publisher(servers)
        self._publisher.start()

    @property
    def counts(self) -> Counts:
        """What came of the pictures so far."""
        publisher = self._publisher
        return Counts(publisher.published, publisher.outbox.replaced, publisher.refused, publisher.failed)

    def open(self, plan: CameraPlan, fence: int, trouble: Trouble | None = None, *, alone: bool = False) -> Reader:
        """Begin to read a camera; `trouble` is what its subscribers know of. `alone` means nothing in one process."""
        del alone
        reader = Reader(
            plan,
            fence=fence,
            settings=self._settings,
            outbox=self._publisher.outbox,
            credentials=lambda: subscriptions.read_credentials(self._state, self._keys, plan.cam),
            gate=Gate(self._state, self._keys, plan.cam, plan.source.url, self._settings.connects_per_second),
            trouble=trouble,
        )
        reader.start()
        return reader

    def supervise(self) -> None:
        """Nothing to do: a thread cannot be ended from outside."""

    def stop(self, within_s: float) -> None:
        """Publish no more."""
        self._publisher.stop(within_s)
