"""The gateway as a process: how it starts, ends, and fails."""

from __future__ import annotations

import signal
import socket
import time

import psutil
import pytest

from contract import clients
from contract.keys import Keys
from tests.integration.worker_api.gateways import Gateway
from tests.servers import RedisServer, eventually


def test_it_listens_within_two_seconds_of_processor_time_and_is_small(server: RedisServer) -> None:
    with Gateway(state_url=server.url) as gateway:
        _ = gateway.port
        times = psutil.Process(gateway.process.pid).cpu_times()

        # Processor time, not wall time: other tests may run beside this one.
        assert times.user + times.system < 2.0
        assert psutil.Process(gateway.process.pid).memory_full_info().pss < 120e6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(server: RedisServer, number: int) -> None:
    with Gateway(state_url=server.url) as gateway, gateway.cms() as cms:
        cms.receive()
        begun = time.monotonic()

        assert gateway.end(number) == 0
        assert time.monotonic() - begun < 5
        assert "Traceback" not in gateway.log


def test_it_ends_in_good_order_without_its_server() -> None:
    with Gateway(state_url="redis://127.0.0.1:1") as gateway, gateway.cms() as cms:
        assert cms.receive()["type"] == "stateReport"

        assert gateway.end() == 0
        assert "the server is away" in gateway.log


def test_a_setting_that_makes_no_sense_is_one_line_and_status_2() -> None:
    with Gateway(subscription_grace_seconds="soon") as gateway:
        assert gateway.process.wait(10) == 2
        assert gateway.log.count("\n") == 1
        assert gateway.log.startswith("DETECTOR_SUBSCRIPTION_GRACE_SECONDS='soon': ")


def test_a_port_in_use_is_one_sentence_and_status_1(server: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Gateway(state_url=server.url, port=port) as gateway:
            assert gateway.process.wait(10) == 1
            assert gateway.log == f"cannot listen on 127.0.0.1:{port} (Address already in use); set DETECTOR_PORT\n"


def test_a_part_that_fails_ends_the_whole(mortal: RedisServer, keys: Keys) -> None:
    with Gateway(state_url=mortal.url) as gateway, clients.connect(mortal.url, "test") as redis:
        _ = gateway.port
        redis.set(keys.detections, "no stream at all")

        assert eventually(lambda: gateway.process.poll() is not None and gateway.process.returncode) == 1
        assert "a part of the gateway has failed" in gateway.log
