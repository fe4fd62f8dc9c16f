"""`contract.leases` against a real server."""

from __future__ import annotations

from redis import Redis

from contract import leases
from contract.keys import Cam, Keys

CAM, OTHER = Cam("cam"), Cam("other")


def test_a_camera_has_one_holder_and_each_new_one_a_greater_number(redis: Redis, keys: Keys) -> None:
    first = leases.take(redis, keys, CAM, "one")

    assert leases.take(redis, keys, CAM, "one") == first
    assert leases.take(redis, keys, CAM, "two") == 0
    leases.release(redis, keys, CAM, "two")
    assert leases.take(redis, keys, CAM, "two") == 0
    leases.release(redis, keys, CAM, "one")
    assert leases.take(redis, keys, CAM, "two") > first


def test_numbers_go_on_after_the_server_forgot_them(redis: Redis, keys: Keys) -> None:
    redis.flushall()

    assert leases.take(redis, keys, CAM, "one", above=900) == 901
    assert leases.take(redis, keys, OTHER, "two") == 902


def test_a_lease_ends_by_itself(redis: Redis, keys: Keys) -> None:
    leases.take(redis, keys, CAM, "one")

    assert 0 < redis.pttl(keys.lease(CAM)) <= leases.LEASE_MS
