"""What a gateway survives: its server's death, a CMS that does not read, and a CMS that talks nonsense."""

from __future__ import annotations

import json
import string
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
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
NO_TEXT = st.none() | st.booleans() | st.integers() | st.lists(st.text(), max_size=2)
NO_OBJECT = st.none() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=2)
#: What no value of its kind can be, for each field of a subscribe payload.
WRONG = st.one_of(
    st.tuples(st.sampled_from(["subscriptionIdentifier", "modelUrl"]), NO_TEXT),
    st.tuples(st.just("modelId"), st.none() | st.booleans() | st.floats(0.1, 0.9) | st.lists(st.integers())),
    st.tuples(st.sampled_from(["rtspUrl", "snapshotUrl", "modelName"]), st.integers() | st.lists(st.text())),
    st.tuples(st.sampled_from(["cropX1", "cropY2"]), st.text("abc") | st.integers(2**31)),
    st.tuples(st.sampled_from(["priority", "fps"]), st.integers(max_value=0) | st.integers(61) | st.text("abc")),
    st.tuples(st.just("subscriptionIdentifier"), st.text("abc", max_size=9) | st.just(";") | st.just("a;b;c")),
    st.tuples(st.sampled_from(["rtspUrl", "modelUrl"]), st.from_regex(r"[a-z]{4,9}x://.*", fullmatch=True)),
)
MALFORMED = st.one_of(
    st.text(),
    JSON.map(json.dumps),
    st.builds(
        lambda kind, payload: json.dumps({"type": kind, "payload": payload}),
        st.sampled_from(["subscribe", "unsubscribe", "setSessionId", "setSubscriptions", "patchSessionResult"]),
        NO_OBJECT,
    ),
    st.builds(lambda kind, rest: json.dumps({"type": kind} | rest), st.text(), st.dictionaries(st.text("ab"), JSON)),
    WRONG.map(lambda wrong: json.dumps({"type": "subscribe", "payload": wish("fuzz;1") | dict([wrong])})),
)
_AT_ONCE = 20
#: 2 000 messages; with the profile `nightly` 10 000.
_EXAMPLES = 500 if settings().max_examples >= 2000 else 100


def test_malformed_messages_are_answered_by_one_error_each_and_cost_no_memory(patient: Gateway) -> None:
    process = psutil.Process(patient.process.pid)
    resident: list[int] = []
    with patient.cms(max_queue=None) as cms:

        @settings(max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(texts=st.lists(MALFORMED, min_size=_AT_ONCE, max_size=_AT_ONCE))
        def is_an_error_each(texts: list[str]) -> None:
            for text in texts:
                cms.send(text)
            assert [m["type"] for m in cms.settle()] == ["error"] * len(texts)
            cms.seen.clear()
            resident.append(process.memory_info().rss)

        is_an_error_each()
        cms.send(b"\x00\xff")
        assert [m["code"] for m in cms.settle()] == ["bad_json"]
        cms.socket.send(b"\xff", text=True)
        with pytest.raises(ConnectionClosed, match="1007"):
            cms.expect("never")
    assert patient.process.poll() is None
    assert "Traceback" not in patient.log
    assert resident[-1] - resident[len(resident) // 4] < 4 * 2**20
