"""What a gateway survives: its server's death, a CMS that does not read, and a CMS that talks nonsense."""

from __future__ import annotations

import json
import string
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from websockets.exceptions import ConnectionClosed

from contract import clients
from contract.keys import Keys
from tests.integration.worker_api.gateways import Cms, Gateway, add_result, stored, wish
from tests.servers import RedisServer


def test_results_flow_again_after_the_server_was_killed(mortal: RedisServer, keys: Keys) -> None:
    with Gateway(state_url=mortal.url) as gateway, gateway.cms() as cms, clients.connect(mortal.url, "test") as redis:
        cms.subscribe("d1;c1", rtspUrl="rtsp://me:secret@camera.example/one")
        cms.send({"type": "setSessionId", "payload": {"displayIdentifier": "d1", "sessionId": 5}})
        before = stored(redis, keys)
        add_result(redis, keys, "d1;c1", 1000)
        cms.expect("imageDetection")

        mortal.kill()
        begun = time.monotonic()
        cms.subscribe("d1;c2")
        cms.expect("error", lambda m: m["code"] == "internal")
        cms.expect("stateReport", within_s=2.5)
        outage_s = time.monotonic() - begun
        mortal.start()

        assert stored(redis, keys) == before
        assert stored(redis, keys, "d1;c2").owner == before.owner
        assert redis.hexists(keys.sessions, "d1")
        assert redis.get(keys.secret(before.source.cam)) == b"me:secret"
        add_result(redis, keys, "d1;c1", 2000)
        assert cms.expect("imageDetection")["captured"] == 2000
        assert outage_s < 5
        assert gateway.process.poll() is None


def test_a_cms_that_does_not_read_costs_bounded_memory_and_nobody_elses_time(
    gateway: Gateway, cms: Cms, redis: Redis, keys: Keys
) -> None:
    process = psutil.Process(gateway.process.pid)
    with gateway.cms(max_queue=1, close_timeout=0.1) as slow:
        slow.subscribe("d1;slow")
        cms.subscribe("d1;quick")
        stored(redis, keys, "d1;slow")
        stored(redis, keys, "d1;quick")
        before = process.memory_info().rss
        for captured_ms in range(1, 1501):
            add_result(redis, keys, "d1;slow", captured_ms, padding="x" * 20_000)
            if captured_ms % 250 == 0:
                add_result(redis, keys, "d1;quick", captured_ms)
                cms.expect("imageDetection", within_s=1)
        cms.expect("stateReport", within_s=2.5)
        grown = process.memory_info().rss - before

        slow.expect("imageDetection", lambda m: m["captured"] == 1500, within_s=10)
        order = [m["captured"] for m in slow.seen if m["type"] == "imageDetection"]

        assert order == sorted(order)
        assert len(order) < 1300
        assert grown < 30 * 2**20


@pytest.fixture(scope="module")
def patient(server: RedisServer) -> Iterator[Gateway]:
    """A gateway that does not mind how fast one talks."""
    with Gateway(state_url=server.url, max_messages_per_second=1_000_000) as running:
        yield running


def test_who_does_not_read_answers_is_not_listened_to_and_loses_none(patient: Gateway) -> None:
    count = 15_000  # At 400 bytes each more than the buffers between the two hold.
    wrong = json.dumps({"type": "subscribe", "payload": wish("x" * 256)})
    with patient.cms(max_queue=1) as cms:

        def send_all() -> None:
            for _ in range(count):
                cms.send(wrong)

        talk = threading.Thread(target=send_all)
        talk.start()
        talk.join(1.0)

        assert [cms.expect("error")["code"] for _ in range(count)] == ["bad_identifier"] * count
        talk.join()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
TYPES = ["subscribe", "unsubscribe", "setSessionId", "setSubscriptions", "patchSessionResult", "nonsense"]
MUTATED = st.builds(
    lambda kind, base, field, value: json.dumps({"type": kind, "payload": base | {field: value}}),
    st.sampled_from(TYPES),
    st.sampled_from([{}, wish("fuzz;1")]),
    st.sampled_from([*wish(), "cropX1", "snapshotUrl", "fps", "sessionId", "displayIdentifier", "subscriptions"]),
    JSON,
)


def test_nonsense_is_answered_by_one_error_each_and_the_connection_stays(patient: Gateway) -> None:
    with patient.cms() as cms:

        @settings(max_examples=300, deadline=None, database=None)
        @given(text=st.text() | JSON.map(json.dumps))
        def is_an_error(text: str) -> None:
            cms.send(text)
            assert [m["type"] for m in cms.settle()] == ["error"]

        @settings(max_examples=300, deadline=None, database=None)
        @given(text=MUTATED)
        def is_at_most_an_error(text: str) -> None:
            cms.send(text)
            answers: list[dict[str, Any]] = cms.settle()
            assert {m["type"] for m in answers} <= {"error", "subscriptionsSet"}

        is_an_error()
        is_at_most_an_error()
        cms.send(b"\x00\xff")
        assert [m["code"] for m in cms.settle()] == ["bad_json"]
        cms.socket.send(b"\xff", text=True)
        with pytest.raises(ConnectionClosed, match="1007"):
            cms.expect("never")
    assert patient.process.poll() is None
    assert "Traceback" not in patient.log
