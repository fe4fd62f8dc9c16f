"""`contract.subscriptions` against a real server: how long a camera's credentials live, and which of them count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from contract import subscriptions
from contract.keys import Keys
from contract.subscriptions import Source, Subscription

FRONT = Subscription(
    id="pump-1;front",
    display="pump-1",
    camera="front",
    source=Source(url="rtsp://front/", kind="stream"),
    model_url="m.mpta",
    model_id=1,
    model_name="m",
)
CAM = FRONT.source.cam
DAY_S = 86_400


def put(redis: Redis, keys: Keys, subscription: Subscription, credentials: str = "") -> None:
    pipe = redis.pipeline()
    subscriptions.put(pipe, keys, subscription, credentials)
    pipe.execute()


@pytest.mark.parametrize(("later", "counts"), [("", "me:first"), ("me:second", "me:second")])
def test_the_newest_credentials_of_a_camera_count(redis: Redis, keys: Keys, later: str, counts: str) -> None:
    put(redis, keys, FRONT, "me:first")

    put(redis, keys, replace(FRONT, revision=1, fps=5.0), later)

    assert subscriptions.read_credentials(redis, keys, CAM) == counts


def test_credentials_live_for_thirty_days_from_when_they_were_last_kept(redis: Redis, keys: Keys) -> None:
    put(redis, keys, FRONT, "me:secret")
    assert redis.ttl(keys.secret(CAM)) == pytest.approx(30 * DAY_S, abs=60)
    redis.expire(keys.secret(CAM), DAY_S)

    subscriptions.keep_credentials(redis, keys, CAM)

    assert redis.ttl(keys.secret(CAM)) == pytest.approx(30 * DAY_S, abs=60)


def test_a_camera_without_credentials_gets_none_by_keeping_them(redis: Redis, keys: Keys) -> None:
    subscriptions.keep_credentials(redis, keys, CAM)

    assert subscriptions.read_credentials(redis, keys, CAM) == ""
