"""The actions that one frame asks for, in order, each with its context. Runs nothing by itself."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import redis

import mpta
from contract.errors import DetectorError
from contract.sessions import SessionId
from contract.subscriptions import Subscription
from mpta import templates
from mpta.images import encoded
from mpta.manifest import Action, Publish, SaveImage
from tasks.messages import timestamp

#: Names whose value differs between the displays that share one inference: actions run once for each.
PER_SUBSCRIPTION = frozenset(("subscription", "display", "display_id", "session_id", "model_id", "model_name"))
#: Two subscriptions may know one camera by two names: actions run once for each name.
PER_CAMERA = frozenset(("camera", "camera_id"))

#: Who is told, and the session that their display had when the frame was captured.
Viewer: TypeAlias = tuple[Subscription, SessionId]

_NO_PIXELS: mpta.Image = np.empty((0, 0, 3), np.uint8)


class ActionFailed(DetectorError):
    """An action that no other attempt could run."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """The actions of one frame of one camera, for all its viewers.

    Attributes:
        made_at_s: on the monotonic clock.
        size: how many actions it is.
        pixel_bytes: what its pictures keep in memory.
    """

    events: tuple[mpta.Event, ...]
    viewers: tuple[Viewer, ...]
    captured_ms: int
    made_at_s: float = field(default_factory=time.monotonic)
    size: int = field(init=False)
    pixel_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        """Let go of pixels that no action wants, and of the frame around a small crop: a job may wait for long."""
        events = tuple(replace(event, image=_wanted_pixels(event)) for event in self.events)
        owners = {id(owner): owner.nbytes for owner in (_owner(event.image) for event in events)}
        object.__setattr__(self, "events", events)
        object.__setattr__(self, "size", sum(len(e.actions) * len(_runs(e.actions, self.viewers)) for e in events))
        object.__setattr__(self, "pixel_bytes", sum(owners.values()))


class _ImageKeys:
    """`image_key` of one event: empty before a picture is saved, and when that failed."""

    def __init__(self) -> None:
        self._newest = ""
        self._of_viewer: dict[str, str] = {}

    def get(self, viewer: str | None) -> str:
        """Return the key of the viewer's own picture, if it has one, else of the last that was saved."""
        return self._newest if viewer is None else self._of_viewer.get(viewer, self._newest)

    def put(self, viewer: str | None, key: str) -> None:
        """Note a picture of the viewer's own, or one for all."""
        self._newest = key
        if viewer is None:
            self._of_viewer.clear()
        else:
            self._of_viewer[viewer] = key


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One action, ready to be run, again if need be.

    Attributes:
        viewer: the subscription that it is run for; None: for all.
        picture: gives the encoded image that the node looked at.
    """

    action: Action
    context: Mapping[str, object]
    viewer: str | None
    picture: Callable[[], bytes]
    image_keys: _ImageKeys

    @property
    def name(self) -> str:
        """What the package calls it."""
        return "redis_publish" if isinstance(self.action, Publish) else "redis_save_image"

    def run(self, client: redis.Redis) -> None:
        """Run it.

        Raises:
            ActionFailed: it cannot be run.
            redis.RedisError: the server is away, or refuses it.
        """
        context = {**self.context, "image_key": self.image_keys.get(self.viewer)}
        if isinstance(self.action, Publish):
            channel = templates.render(self.action.channel, context)
            client.publish(channel, templates.render(self.action.message, context))
            return
        key = templates.render(self.action.key, context)
        self.image_keys.put(self.viewer, "")
        client.set(key, self.picture(), ex=self.action.expire_seconds)
        self.image_keys.put(self.viewer, key)


def steps(job: Job) -> Iterator[Step]:
    """Yield a job's actions in order, children before parents; those of one object share one context."""
    for uuid, events in itertools.groupby(job.events, key=lambda event: event.uuid):
        common = {"uuid": uuid, "timestamp_ms": job.captured_ms, "timestamp": timestamp(job.captured_ms)}
        image_keys = _ImageKeys()
        for event in events:
            pictures = [functools.cache(functools.partial(_encoded, action, event.image)) for action in event.actions]
            runs = _runs(event.actions, job.viewers)
            for subscription, session in runs:
                context = {**event.context, **common, **_viewer(subscription, session)}
                viewer = subscription.id if _names(event.actions) & (PER_SUBSCRIPTION | PER_CAMERA) else None
                for action, picture in zip(event.actions, pictures, strict=True):
                    yield Step(action, context, viewer, picture, image_keys)


def _runs(actions: tuple[Action, ...], viewers: Sequence[Viewer]) -> list[Viewer]:
    """Return for whom a node's actions are run: once, or once for each value that their templates tell apart."""
    names = _names(actions)
    if names & PER_SUBSCRIPTION:
        return list(viewers)
    if names & PER_CAMERA:
        return list({subscription.camera: (subscription, session) for subscription, session in viewers}.values())
    return list(viewers[:1])


@functools.lru_cache(maxsize=1024)
def _names(actions: tuple[Action, ...]) -> frozenset[str]:
    texts: list[str] = []
    for action in actions:
        texts += [action.key] if isinstance(action, SaveImage) else [action.channel, action.message]
    return frozenset[str]().union(*map(templates.names, texts))


def _viewer(subscription: Subscription, session: SessionId) -> Mapping[str, object]:
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


def _owner(image: mpta.Image) -> mpta.Image:
    """Return the array whose memory a view keeps."""
    return image.base if isinstance(image.base, np.ndarray) else image


def _wanted_pixels(event: mpta.Event) -> mpta.Image:
    if not any(isinstance(action, SaveImage) for action in event.actions):
        return _NO_PIXELS
    small = event.image.nbytes * 2 <= _owner(event.image).nbytes
    return event.image.copy() if small else event.image


def _encoded(action: Action, image: mpta.Image) -> bytes:
    if not isinstance(action, SaveImage):
        return b""
    try:
        return encoded(image, action)
    except ValueError as exc:
        raise ActionFailed(str(exc)) from exc
