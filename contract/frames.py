"""The newest picture of each camera, between capture (writer), workers and gateways (readers).

    frame:{cam}  HASH  jpeg seq captured_ms width height   expires when it is no longer *fresh*

Overwritten in place: a slow reader misses frames, it never queues them. That the key is there means that the camera is
online. A frame with a smaller `seq` than the stored one is refused: its writer has lost the camera to another daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from contract.clients import AnyPipeline
from contract.errors import RecordInvalid
from contract.keys import Cam, Keys
from contract.scripts import Script

#: In one read, and in this order.
_FIELDS = ("seq", "captured_ms", "width", "height", "jpeg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One encoded camera image.

    Attributes:
        seq: rises with every frame of the camera, across restarts too (fencing number x 2^32 + counter).
        captured_ms: Unix time in ms at which the picture reached us.
        width, height: pixels.
        jpeg: the whole picture, as the camera sent it or as capture encoded it.
    """

    cam: Cam
    seq: int
    captured_ms: int
    width: int
    height: int
    jpeg: bytes


def fresh_ms(interval_ms: float) -> int:
    """Return for how long a frame counts as fresh: the longer of 10 s and 2.5 intervals (the protocol's `online`)."""
    return int(max(10_000.0, 2.5 * interval_ms))


_PUT = Script("put_frame.lua")
_FRESH = Script("fresh.lua")


def put(redis: Redis, keys: Keys, frame: Frame, ttl_ms: int) -> bool:
    """Replace the camera's newest frame; return False when a newer one is there already."""
    args = (ttl_ms, frame.seq, frame.captured_ms, frame.width, frame.height, frame.jpeg)
    return bool(_PUT(redis, [keys.frame(frame.cam)], args))


def touch(redis: Redis, keys: Keys, cam: Cam, ttl_ms: int) -> bool:
    """Say that the stored picture was seen again unchanged: it is as fresh as a new one. False: it is gone."""
    return bool(redis.pexpire(keys.frame(cam), ttl_ms))


def queue_get(pipe: AnyPipeline, keys: Keys, cam: Cam) -> None:
    """Queue the read that `decode` understands."""
    pipe.hmget(keys.frame(cam), list(_FIELDS))


def decode(keys: Keys, cam: Cam, raw: Sequence[bytes | None]) -> Frame | None:
    """Return the frame that `queue_get` read, or None when the camera has no fresh one.

    Raises:
        RecordInvalid: a field is missing or is no number.
    """
    if all(value is None for value in raw):
        return None
    try:
        seq, captured_ms, width, height = (int(cast("bytes", value)) for value in raw[:4])
        jpeg = raw[4]
    except (TypeError, ValueError, IndexError) as exc:
        raise RecordInvalid(keys.frame(cam), f"bad field ({exc})") from exc
    if not jpeg:
        raise RecordInvalid(keys.frame(cam), "no picture in it")
    return Frame(cam=cam, seq=seq, captured_ms=captured_ms, width=width, height=height, jpeg=jpeg)


def get_many(redis: Redis, keys: Keys, cams: Sequence[Cam]) -> list[Frame | None]:
    """Return the newest frame of each camera, in one round trip; None where there is no fresh one."""
    pipe = redis.pipeline(transaction=False)
    for cam in cams:
        queue_get(pipe, keys, cam)
    return [decode(keys, cam, raw) for cam, raw in zip(cams, pipe.execute(), strict=True)]


def fresh(redis: Redis, keys: Keys, cams: Sequence[Cam]) -> frozenset[Cam]:
    """Return which of the cameras have a fresh frame, in one step."""
    return _those(cams, _FRESH(redis, [keys.frame(cam) for cam in cams], []))


async def fresh_async(redis: AsyncRedis, keys: Keys, cams: Sequence[Cam]) -> frozenset[Cam]:
    """Do the same for asyncio."""
    return _those(cams, await _FRESH.run(redis, [keys.frame(cam) for cam in cams], []))


def _those(cams: Sequence[Cam], there: Sequence[int]) -> frozenset[Cam]:
    return frozenset(cam for cam, is_there in zip(cams, there, strict=True) if is_there)
