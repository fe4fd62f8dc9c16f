"""Who wants what: the `subscriptions` hash, and what it means for cameras, groups and pipelines.

    subscriptions  HASH   subscription id -> JSON of `Subscription`   until unsubscribed, or its grace is over
    version        INT    counts up with every change, from a number that tells one life of the server's content from
                          the next (`epoch`)
    secret:{cam}   STRING "user:password" as it stood in the URL      30 days after it was last kept or set

The gateway writes; capture daemons and workers read the whole hash whenever `version` has moved and reconcile with
`Wanted.of(...)`. Nothing that must happen exists as a message only.
"""

from __future__ import annotations

import functools
import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal, cast

import orjson
from redis import Redis

from contract.clients import AnyPipeline
from contract.errors import RecordInvalid
from contract.keys import Cam, Group, Keys, PipelineId, digest

log = logging.getLogger(__name__)

Box = tuple[int, int, int, int]
_SECRET_TTL_S = 30 * 86_400
#: Versions in one epoch. There are as many epochs, drawn by lot: that two in a row are the same has odds of 5e-10.
_PER_EPOCH = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One camera address, without its credentials.

    Attributes:
        kind: `stream` (anything that plays) or `snapshot` (a picture fetched again and again).
        interval_ms: time between snapshots; None for a stream.
    """

    url: str
    kind: Literal["stream", "snapshot"]
    interval_ms: int | None = None

    @property
    def cam(self) -> Cam:
        """Name of the camera: one connection in the whole cluster, at whatever intervals it is wanted."""
        return Cam(digest(self.kind, self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One camera shown on one display.

    Attributes:
        id: "display;camera", as the CMS spelled it.
        crop: (x1, y1, x2, y2) in pixels of the full frame after `rotate` and `mirror`, or None.
        fps: wanted detections per second.
        owner: the CMS connection that subscribed last.
        orphaned_ms: Unix ms since which the owner is gone, None while it is there.
        revision: differs after every `subscribe`, so that a new wish is told of old troubles again.
        begun: the revision since which there is this subscription to this inference: delivery goes on from there.
    """

    id: str
    display: str
    camera: str
    source: Source
    model_url: str
    model_id: int | str
    model_name: str
    crop: Box | None = None
    priority: int = 5
    fps: float = 10.0
    rotate: int = 0
    mirror: Literal["none", "x", "y"] = "none"
    owner: str = ""
    orphaned_ms: int | None = None
    revision: int = 0
    begun: int = 0

    @property
    def pipeline(self) -> PipelineId:
        """Name of the package's address."""
        return PipelineId(digest(self.model_url))

    @property
    def group(self) -> Group:
        """Name of the inference that this subscription shares with all that differ in nothing but the display."""
        return Group(digest(self.source.cam, self.pipeline, self.crop, self.rotate, self.mirror))


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One inference per frame: what is run, on what, for whom."""

    group: Group
    cam: Cam
    pipeline: PipelineId
    fps: float
    subscriptions: tuple[Subscription, ...]

    @property
    def crop(self) -> Box | None:
        """The part of the frame that is looked at, or None for all of it."""
        return self.subscriptions[0].crop


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One connection: what is read and which groups its frames are for."""

    cam: Cam
    source: Source
    groups: tuple[GroupPlan, ...]

    @property
    def fps(self) -> float:
        """Frames per second that the keenest of its groups wants."""
        return max(group.fps for group in self.groups)

    @property
    def subscriptions(self) -> list[Subscription]:
        """Everybody who watches this camera."""
        return [subscription for group in self.groups for subscription in group.subscriptions]


@dataclass(frozen=True)
class Wanted:
    """All subscriptions of one version, arranged by what has to be done for them."""

    version: int
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)

    @cached_property
    def groups(self) -> dict[Group, GroupPlan]:
        """The inferences to be made."""
        members: dict[Group, list[Subscription]] = defaultdict(list)
        for subscription in self.subscriptions.values():
            members[subscription.group].append(subscription)
        return {
            group: GroupPlan(group, subs[0].source.cam, subs[0].pipeline, max(s.fps for s in subs), tuple(subs))
            for group, subs in members.items()
        }

    @cached_property
    def cameras(self) -> dict[Cam, CameraPlan]:
        """The cameras to be read, each at the shortest interval that is wanted of it."""
        members: dict[Cam, list[GroupPlan]] = defaultdict(list)
        for group in self.groups.values():
            members[group.cam].append(group)
        return {cam: CameraPlan(cam, _keenest(groups), tuple(groups)) for cam, groups in members.items()}

    @cached_property
    def pipelines(self) -> dict[PipelineId, str]:
        """The packages to be loaded: name -> address."""
        return {s.pipeline: s.model_url for s in self.subscriptions.values()}


def _keenest(groups: Iterable[GroupPlan]) -> Source:
    sources = (subscription.source for group in groups for subscription in group.subscriptions)
    return min(sources, key=lambda source: source.interval_ms or 0)


def encode(subscription: Subscription) -> bytes:
    """Return the record as it is stored."""
    return orjson.dumps(asdict(subscription))


@functools.lru_cache(maxsize=8192)
def decode(key: str, raw: bytes) -> Subscription:
    """Return the subscription of a stored record; fields that we do not know are left out. Remembers the last 8192.

    Raises:
        RecordInvalid: not JSON, or a field is missing.
    """
    try:
        fields = {k: v for k, v in orjson.loads(raw).items() if k in Subscription.__slots__}
        crop = fields.get("crop")
        fields["crop"] = cast("Box", tuple(crop)) if crop else None
        source = {k: v for k, v in fields["source"].items() if k in Source.__slots__}
        return Subscription(**{**fields, "source": Source(**source)})
    except (TypeError, KeyError, AttributeError, orjson.JSONDecodeError) as exc:
        raise RecordInvalid(key, f"a subscription cannot be read ({type(exc).__name__})") from exc


def changed(pipe: AnyPipeline, version: str) -> None:
    """Queue: say that there is something new to read; `version` is the key of what has changed."""
    pipe.set(version, secrets.randbelow(_PER_EPOCH) * _PER_EPOCH, nx=True)
    pipe.incr(version)


def epoch(version: int) -> int:
    """Return which life of the server's content a version is of: another one means that everything was lost."""
    return version // _PER_EPOCH


def put(pipe: AnyPipeline, keys: Keys, subscription: Subscription, credentials: str = "") -> None:
    """Queue: start or replace a subscription; the newest credentials of its camera win."""
    if credentials:
        pipe.set(keys.secret(subscription.source.cam), credentials, ex=_SECRET_TTL_S)
    pipe.hset(keys.subscriptions, subscription.id, encode(subscription))
    changed(pipe, keys.version)


def remove(pipe: AnyPipeline, keys: Keys, ids: Iterable[str]) -> None:
    """Queue: end subscriptions; ids that are unknown do no harm."""
    pipe.hdel(keys.subscriptions, *ids)
    changed(pipe, keys.version)


def queue_read(pipe: AnyPipeline, keys: Keys) -> None:
    """Queue the two reads that `decode_read` understands."""
    pipe.get(keys.version)
    pipe.hgetall(keys.subscriptions)


def decode_read(keys: Keys, version: bytes | None, records: Mapping[bytes, bytes]) -> Wanted:
    """Return what `queue_read` read; a record that cannot be read is left out: it must not cost the others."""
    found = {}
    for name, raw in records.items():
        try:
            subscription = decode(keys.subscriptions, raw)
        except RecordInvalid as exc:
            log.warning("subscription %s is left out: %s", name.decode(errors="replace"), exc)
            continue
        found[subscription.id] = subscription
    return Wanted(int(version or 0), found)


def read(redis: Redis, keys: Keys) -> Wanted:
    """Return all subscriptions that can be read, and the version they are of."""
    pipe = redis.pipeline(transaction=True)
    queue_read(pipe, keys)
    version, records = pipe.execute()
    return decode_read(keys, version, records)


def read_version(redis: Redis, keys: Keys) -> int:
    """Return the version alone: cheap enough to ask several times a second."""
    return int(cast("bytes | None", redis.get(keys.version)) or 0)


def keep_credentials(redis: Redis, keys: Keys, cam: Cam) -> None:
    """Let the camera's credentials live for another 30 days, if it has any."""
    redis.expire(keys.secret(cam), _SECRET_TTL_S)


def read_credentials(redis: Redis, keys: Keys, cam: Cam) -> str:
    """Return the camera's "user:password", or "" when it has none."""
    return (cast("bytes | None", redis.get(keys.secret(cam))) or b"").decode()
