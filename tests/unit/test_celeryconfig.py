"""`celeryconfig`: addresses as kombu spells them, and the timeouts without which a silent link hangs a worker."""

from __future__ import annotations

import pytest

import celeryconfig


@pytest.mark.parametrize(
    ("ours", "kombus"),
    [
        ("redis://:pw@host:6379/0", "redis://:pw@host:6379/0"),
        ("unix:///run/state.sock?db=1", "redis+socket:///run/state.sock?virtual_host=1"),
        ("rediss://host:6380/0", "rediss://host:6380/0?ssl_cert_reqs=required"),
        (
            "rediss://host:6380/0?ssl_ca_certs=/ca.pem",
            "rediss://host:6380/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required",
        ),
        ("rediss://host:6380/0?ssl_cert_reqs=none", "rediss://host:6380/0?ssl_cert_reqs=none"),
    ],
)
def test_a_server_s_address_is_spelled_as_kombu_wants_it(ours: str, kombus: str) -> None:
    assert celeryconfig._kombu(ours) == kombus


def test_no_wait_on_the_broker_is_without_end() -> None:
    options = celeryconfig.broker_transport_options

    assert options["socket_timeout"] <= 10
    assert options["socket_connect_timeout"] <= 10
    assert options["health_check_interval"] <= 10
    assert celeryconfig.broker_connection_max_retries is None
