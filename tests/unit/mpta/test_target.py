"""The `redis` block of a package: where its actions go, and what is never said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mpta import parse
from tests.unit.mpta.toys import manifest, node

REDIS = {"host": "redis.example", "port": 6379}


def read(**redis: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the faults and warnings about a `redis` block."""
    _, faults, warnings = parse(json.dumps({"pipeline": node("a"), "redis": {**REDIS, **redis}}).encode())
    return faults, warnings


def test_a_password_may_be_a_reference() -> None:
    target = manifest(node("a"), redis={**REDIS, "password": "env:PUMP_REDIS_PASSWORD"}).redis

    assert target is not None
    assert (target.password, target.password_variable) == (None, "PUMP_REDIS_PASSWORD")
    assert read(password="env:PUMP_REDIS_PASSWORD") == ((), ())


def test_a_password_in_clear_text_is_taken_with_a_warning_that_does_not_show_it() -> None:
    target = manifest(node("a"), redis={**REDIS, "password": "hunter2"}).redis
    _, [warning] = read(password="hunter2")

    assert target is not None
    assert target.password == "hunter2"
    assert warning.startswith("redis.password: stands in clear text")
    assert "hunter2" not in warning + repr(target)


@pytest.mark.parametrize("password", [31337, ["hunter2"], {"x": "hunter2"}, "env:hunter2 ?", "env:"])
def test_a_password_that_is_none_refuses_the_package_and_is_not_shown(password: Any) -> None:
    [fault], _ = read(password=password)

    assert fault.startswith("redis.password: ")
    assert "hunter2" not in fault
    assert "31337" not in fault


@pytest.mark.parametrize("host", ["", "a" * 64, "a..b", "a\x00b", "a\nb", "x" * 300, ".".join(["abc"] * 80)])
def test_a_host_that_nothing_can_be_called_refuses_the_package(host: str) -> None:
    [fault], _ = read(host=host)

    assert fault.startswith("redis.host: must ")


@pytest.mark.parametrize("host", ["localhost", "10.0.0.7", "::1", "redis_1", "bücher.example", "redis.example."])
def test_whatever_may_be_a_host_is_one(host: str) -> None:
    assert read(host=host) == ((), ())
