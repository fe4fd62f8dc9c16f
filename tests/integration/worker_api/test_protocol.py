"""Each message of the protocol, spoken to a real gateway on a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from contract import frames, nodes, problems, sessions, subscriptions
from contract.frames import Frame
from contract.keys import Keys
from contract.nodes import Pulse
from contract.problems import Code
from contract.sessions import Changes
from tests.integration.worker_api.gateways import Cms, Gateway, add_result, gone, stored, wanted, wish
from tests.servers import RedisServer, eventually


def histories(redis: Redis, keys: Keys) -> dict[str, Changes]:
    pipe = redis.pipeline()
    sessions.queue_read(pipe, keys)
    return sessions.decode_all(keys, pipe.execute()[1])


def sign(redis: Redis, keys: Keys, pulse: Pulse, **usages: float) -> None:
    pipe = redis.pipeline()
    nodes.put(pipe, keys, replace(pulse.sign(), **usages))  # type: ignore[arg-type]
    pipe.execute()


# ---------------------------------------------------------------- subscribe


def test_a_subscription_is_recorded_as_its_owners(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe("d1;c1", rtspUrl="rtsp://me:secret@camera.example/one", cropX1=1, cropY1=2, cropX2=30, cropY2=40)

    subscription = stored(redis, keys)

    assert (subscription.display, subscription.camera, subscription.crop) == ("d1", "c1", (1, 2, 30, 40))
    assert (subscription.model_id, subscription.fps, subscription.orphaned_ms) == (101, 10.0, None)
    assert subscription.source.url == "rtsp://camera.example/one"
    assert subscriptions.read_credentials(redis, keys, subscription.source.cam) == "me:secret"
    assert cms.settle() == []


def test_a_second_subscribe_replaces_the_first_in_place(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    first = stored(redis, keys)

    cms.subscribe(modelId="seven", rotate=90, fps=2, priority=9)

    second = stored(redis, keys, fits=lambda s: s.model_id == "seven")
    assert second.revision > first.revision
    assert (second.rotate, second.fps, second.priority, second.owner) == (90, 2.0, 9, first.owner)
    assert len(subscriptions.read(redis, keys).subscriptions) == 1


def test_half_a_crop_means_the_full_frame_and_says_so(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe(cropX1=5, cropY1=None, cropX2=9)

    error = cms.expect("error")

    assert (error["code"], error["subscriptionIdentifier"]) == ("bad_crop", "d1;c1")
    assert "cropY1" in error["error"]
    assert stored(redis, keys).crop is None


def test_unsubscribe_ends_it_from_any_connection(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    stored(redis, keys)

    with gateway.cms() as other:
        other.send({"type": "unsubscribe", "payload": {"subscriptionIdentifier": "nobody;knows"}})
        other.send({"type": "unsubscribe", "payload": {"subscriptionIdentifier": "d1;c1"}})
        gone(redis, keys, "d1;c1")

        assert other.settle() == []


def test_a_set_is_compared_with_what_the_connection_had(cms: Cms, redis: Redis, keys: Keys) -> None:
    for camera in ("keep", "change", "drop"):
        cms.subscribe(f"d1;{camera}")
    wanted(redis, keys, count=3)
    before = stored(redis, keys, "d1;keep")

    items = [wish("d1;keep"), wish("d1;change", modelId=7), wish("d1;new"), wish("d1;bad", rtspUrl=None), 42]
    cms.send({"type": "setSubscriptions", "payload": {"subscriptions": items}})
    answer = cms.expect("subscriptionsSet")["payload"]

    refused = [(item["subscriptionIdentifier"], item["code"]) for item in answer.pop("refused")]
    assert refused == [("d1;bad", "no_source"), (None, "bad_field")]
    assert answer == {"added": ["d1;new"], "replaced": ["d1;change"], "unchanged": ["d1;keep"], "removed": ["d1;drop"]}
    assert set(subscriptions.read(redis, keys).subscriptions) == {"d1;keep", "d1;change", "d1;new"}
    assert stored(redis, keys, "d1;keep") == before


# ---------------------------------------------------------------- sessions and patches


def test_a_session_is_appended_to_the_displays_history(cms: Cms, redis: Redis, keys: Keys) -> None:
    for session in (1, 1, "two", None):
        cms.send({"type": "setSessionId", "payload": {"displayIdentifier": "d9", "sessionId": session}})

    eventually(lambda: len(histories(redis, keys).get("d9", ())) == 3)
    history = histories(redis, keys)["d9"]

    assert [session for _, session in history] == [1, "two", None]
    assert abs(history[0][0] - time.time() * 1000) < 5000
    assert cms.settle() == []


def test_a_patch_of_the_older_test_script_is_acknowledged(cms: Cms) -> None:
    cms.send({"type": "patchSession", "sessionId": None, "data": {"currentCar": {"carBrand": "Honda"}}})

    answer = cms.expect("patchSessionResult")["payload"]

    assert (answer["sessionId"], answer["success"]) == (None, True)
    assert answer["message"]


def test_a_failed_patch_is_kept_for_the_operator(cms: Cms, gateway: Gateway) -> None:
    result = {"sessionId": 5, "success": False, "message": "no such session"}
    cms.send({"type": "patchSessionResult", "payload": result})

    assert cms.settle() == []
    assert "patchSession of session 5 failed: 'no such session'" in gateway.log


# ---------------------------------------------------------------- state


def test_state_is_reported_at_once_and_every_two_seconds(cms: Cms) -> None:
    cms.receive()
    first = time.monotonic()
    cms.expect("stateReport")
    second = time.monotonic()

    assert 1.5 < second - first < 2.5


def test_state_is_reported_on_request(cms: Cms) -> None:
    cms.expect("stateReport")
    begun = time.monotonic()

    cms.send({"type": "requestState"})

    cms.expect("stateReport")
    assert time.monotonic() - begun < 0.5


def test_a_report_that_is_asked_for_holds_what_was_asked_before(cms: Cms) -> None:
    cms.expect("stateReport")

    cms.subscribe("d1;c1")
    cms.send({"type": "requestState"})

    report = cms.expect("stateReport")
    assert [c["subscriptionIdentifier"] for c in report["cameraConnections"]] == ["d1;c1"]


def test_a_report_lists_the_connections_own_cameras(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    with gateway.cms() as other:
        other.subscribe("d2;c2")
        cms.subscribe("d1;c1", cropX1=1, cropY1=2, cropX2=30, cropY2=40)
        cms.subscribe("d1;c3", modelName=None, modelId="m")
        wanted(redis, keys, count=3)
        cms.send({"type": "requestState"})

        report = cms.expect("stateReport", lambda m: bool(m["cameraConnections"]))

    whole = {"subscriptionIdentifier": "d1;c3", "modelId": "m", "modelName": "m", "online": False}
    cropped = {"subscriptionIdentifier": "d1;c1", "modelId": 101, "modelName": "General", "online": False}
    corners = {"cropX1": 1, "cropY1": 2, "cropX2": 30, "cropY2": 40}
    # As the older worker said it; what is ours beside it does no harm.
    told = [
        {name: camera[name] for name in camera if name in cropped | corners} for camera in report["cameraConnections"]
    ]
    assert told == [cropped | corners, whole]
    assert [node["role"] for node in report["nodes"]] == ["gateway"]
    assert report["gpuUsage"] is None
    assert report["gpuMemoryUsage"] is None


def test_online_means_that_there_is_a_fresh_frame(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    cam = stored(redis, keys).source.cam
    frame = Frame(cam=cam, seq=1, captured_ms=1, width=2, height=2, jpeg=b"jpeg")

    def online() -> bool:
        return any(camera["online"] for camera in cms.report()["cameraConnections"])

    assert not online()

    frames.put(redis, keys, frame, ttl_ms=60_000)
    eventually(online, within_s=3, every_s=0.05)

    frames.touch(redis, keys, cam, ttl_ms=1)
    eventually(lambda: not online(), within_s=3, every_s=0.05)


def test_usages_are_the_busiest_workers(cms: Cms, redis: Redis, keys: Keys) -> None:
    sign(redis, keys, Pulse("worker"), cpu=12.0, gpu=50.0, gpu_memory=5.0, memory=33.0)
    sign(redis, keys, Pulse("worker"), cpu=99.0)
    sign(redis, keys, Pulse("capture"), cpu=98.0)

    report = eventually(lambda: [r for r in [cms.report()] if r["gpuUsage"] is not None], every_s=0.05)[0]

    usages = [report[name] for name in ("cpuUsage", "memoryUsage", "gpuUsage", "gpuMemoryUsage")]
    assert usages == [12.0, 33.0, 50.0, 5.0]


# ---------------------------------------------------------------- results and troubles


def test_a_result_reaches_its_subscription_byte_for_byte(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    stored(redis, keys)

    add_result(redis, keys, "d1;c1", 1000, detection={"class": "car", "carBrand": "Škoda"})

    message = cms.expect("imageDetection")
    assert message["data"]["detection"] == {"class": "car", "carBrand": "Škoda"}
    assert message["subscriptionIdentifier"] == "d1;c1"


def test_two_displays_on_one_camera_both_get_results(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    with gateway.cms() as other:
        cms.subscribe("d1;c1")
        other.subscribe("d2;c1")
        plan = wanted(redis, keys, count=2)

        add_result(redis, keys, "d1;c1", 1000)
        add_result(redis, keys, "d2;c1", 1000)

        assert cms.expect("imageDetection")["subscriptionIdentifier"] == "d1;c1"
        assert other.expect("imageDetection")["subscriptionIdentifier"] == "d2;c1"
        assert (len(plan.cameras), len(plan.groups)) == (1, 1)
        assert all(m["type"] != "imageDetection" for m in cms.settle() + other.settle())


def test_an_older_frame_never_follows_a_newer_one(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    stored(redis, keys)

    for captured_ms in (2000, 1000, 3000):
        add_result(redis, keys, "d1;c1", captured_ms)
        if captured_ms != 1000:
            cms.expect("imageDetection", lambda m, ms=captured_ms: m["captured"] == ms)  # type: ignore[misc]

    assert [m["captured"] for m in cms.seen if m["type"] == "imageDetection"] == [2000, 3000]


def test_that_nothing_is_seen_is_said_once(cms: Cms, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    stored(redis, keys)

    for captured_ms, nothing in ((1, True), (2, True), (3, False), (4, True), (5, True), (6, False)):
        add_result(redis, keys, "d1;c1", captured_ms, nothing=nothing)
        if captured_ms not in (2, 5):
            cms.expect("imageDetection")

    assert [m["captured"] for m in cms.seen if m["type"] == "imageDetection"] == [1, 3, 4, 6]


def test_a_problem_is_told_to_the_owner_only(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    with gateway.cms() as other:
        cms.subscribe()
        subscription = stored(redis, keys)

        problems.tell(redis, keys, subscription, Code.CAMERA_UNREACHABLE, "no answer from rtsp://me:secret@camera/")

        error = cms.expect("error")
        assert (error["code"], error["subscriptionIdentifier"]) == ("camera_unreachable", "d1;c1")
        assert "secret" not in error["error"]
        assert other.settle() == []


@pytest.fixture
def limited(server: RedisServer) -> Iterator[Gateway]:
    with Gateway(state_url=server.url, max_streams=2, max_messages_per_second=2, max_message_bytes=1024) as gateway:
        yield gateway


def test_each_limit_is_an_error_and_no_close(limited: Gateway, redis: Redis, keys: Keys) -> None:
    with limited.cms() as cms:
        for camera in "abc":
            cms.subscribe(f"d1;{camera}")
        full = cms.expect("error")
        cms.send({"type": "requestState", "padding": "x" * 2_000_000})
        large = cms.expect("error")
        for _ in range(30):
            cms.send({"type": "requestState"})
        fast = cms.expect("error")

        assert (full["code"], full["subscriptionIdentifier"]) == ("stream_limit", "d1;c")
        assert large["code"] == "message_too_large"
        assert fast["code"] == "too_many_messages"
        assert len(subscriptions.read(redis, keys).subscriptions) == 2
        assert cms.socket.ping().wait(1)


def test_what_is_said_just_before_hanging_up_counts(redis: Redis, keys: Keys, gateway: Gateway) -> None:
    displays = [f"brief-{number}" for number in range(10)]
    for display in displays:
        with gateway.cms() as cms:
            cms.send({"type": "setSessionId", "payload": {"displayIdentifier": display, "sessionId": 7}})

    eventually(lambda: all(redis.hexists(keys.sessions, display) for display in displays))
