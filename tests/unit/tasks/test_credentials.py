"""Which variables a stranger's package can have sent to a server of its own choice."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.credentials import may_read, with_password
from tests.unit.mpta.toys import manifest, node

DEFAULT = "*_REDIS_PASSWORD"
ACT = [{"type": "redis_publish", "channel": "c", "message": "{class}"}]


def package(password: str, **redis: Any) -> Any:
    return manifest(node("a", actions=ACT), redis={"host": "Pump", "port": 6379, "password": password, **redis})


@pytest.mark.parametrize(
    ("variable", "host", "allowed", "may"),
    [
        ("PUMP_REDIS_PASSWORD", "any.example", DEFAULT, True),
        ("AWS_SECRET", "any.example", DEFAULT, False),
        ("PUMP_REDIS_PASSWORD_OLD", "any.example", DEFAULT, False),
        ("pump_redis_password", "any.example", DEFAULT, False),
        ("PUMP", "any.example", "OTHER, PUMP", True),
        ("PUMP", "redis.pump.shop", "PUMP@*.shop", True),
        ("PUMP", "redis.pump.shop.evil.example", "PUMP@*.shop", False),
        ("PUMP", "redis.pump.shop", "PUMP@redis.pump.shop", True),
        ("PUMP", "Redis.Pump.Shop", "PUMP@redis.pump.shop", True),
        ("PUMP", "evil.example", "PUMP@redis.pump.shop", False),
        ("DETECTOR_STATE_URL", "any.example", "*", False),
        ("detector_state_url", "any.example", "*", False),
        ("PUMP", "any.example", "none", False),
    ],
)
def test_what_the_operator_allows(variable: str, host: str, allowed: str, may: bool) -> None:
    assert may_read(variable, host, allowed) is may


def test_a_password_comes_from_the_variable_that_the_package_names() -> None:
    found = with_password(package("env:PUMP_REDIS_PASSWORD"), DEFAULT, {"PUMP_REDIS_PASSWORD": "hunter2"})

    assert found.redis is not None
    assert (found.redis.password, found.disabled) == ("hunter2", ())
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("environment", [{}, {"PUMP_REDIS_PASSWORD": ""}])
def test_without_the_variable_the_actions_are_off_and_it_is_told(environment: dict[str, str]) -> None:
    found = with_password(package("env:PUMP_REDIS_PASSWORD"), DEFAULT, environment)

    assert found.redis is None
    assert found.disabled == (
        "redis.password: all actions are disabled: the worker's environment has no PUMP_REDIS_PASSWORD",
    )


def test_a_variable_that_is_not_allowed_is_neither_read_nor_told_to_exist() -> None:
    given, missing = (with_password(package("env:AWS_SECRET"), DEFAULT, e) for e in ({"AWS_SECRET": "x"}, {}))

    assert given.redis is None
    assert given.disabled == missing.disabled
    assert "AWS_SECRET" in given.disabled[0]
    assert "DETECTOR_PACKAGE_ENV" in given.disabled[0]


def test_a_password_in_clear_text_is_left_as_it_is() -> None:
    given = package("hunter2")

    assert with_password(given, DEFAULT, {}) is given
