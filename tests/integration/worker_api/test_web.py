"""The HTTP side of the gateway."""

from __future__ import annotations

import httpx
import pytest
from redis import Redis

from contract import frames, nodes
from contract.frames import Frame
from contract.keys import Keys
from contract.nodes import Pulse, Role
from tests.integration.worker_api.gateways import Cms, Gateway, add_result, stored
from tests.servers import eventually


def sign(redis: Redis, keys: Keys, role: Role) -> None:
    pipe = redis.pipeline()
    nodes.put(pipe, keys, Pulse(role).sign())
    pipe.execute()


@pytest.mark.parametrize("path", ["d1;c1", "d1%3Bc1", "d1%3bc1"])
def test_an_image_is_the_newest_frame_as_it_was_stored(
    path: str, cms: Cms, gateway: Gateway, redis: Redis, keys: Keys
) -> None:
    cms.subscribe()
    cam = stored(redis, keys).source.cam
    cms.settle()
    frames.put(redis, keys, Frame(cam=cam, seq=7, captured_ms=1, width=2, height=2, jpeg=b"\xff\xd8jpeg"), 5000)

    answer = httpx.get(f"{gateway.http}/camera/{path}/image")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content == b"\xff\xd8jpeg"
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    head = httpx.head(f"{gateway.http}/camera/{path}/image")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "6", b"")


def test_there_is_no_image_of_the_unknown_and_of_the_dark(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    stored(redis, keys)

    for path in ("d1;c1", "no;body", "a/b;c", ""):
        answer = httpx.get(f"{gateway.http}/camera/{path}/image")

        assert answer.status_code == 404
        assert set(answer.json()) == {"detail"}


def test_health_is_the_process_and_readiness_the_cluster(gateway: Gateway, redis: Redis, keys: Keys) -> None:
    assert httpx.get(f"{gateway.http}/health").json() == {"status": "ok"}
    unready = eventually(lambda: [a for a in [httpx.get(f"{gateway.http}/ready")] if a.status_code == 503])[0]
    assert "no capture process" in unready.json()["detail"] or "Redis" in unready.json()["detail"]

    sign(redis, keys, "capture")
    sign(redis, keys, "worker")

    ready = eventually(lambda: [a for a in [httpx.get(f"{gateway.http}/ready")] if a.status_code == 200])[0]
    assert ready.json() == {"status": "ready"}


def test_what_was_done_is_counted(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    cms.subscribe()
    stored(redis, keys)
    add_result(redis, keys, "d1;c1", 1)
    cms.expect("imageDetection")
    cms.send("nonsense")
    cms.expect("error")

    lines = httpx.get(f"{gateway.http}/metrics").text.splitlines()

    counts = {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}
    assert counts["detector_gateway_connections"] == 1
    assert counts["detector_gateway_relayed_total"] >= 1
    assert counts["detector_gateway_messages_refused_total"] >= 1


def test_the_root_says_what_this_is_and_the_schema_what_it_can(gateway: Gateway) -> None:
    assert "WebSocket" in httpx.get(gateway.http).json()["protocol"]

    paths = httpx.get(f"{gateway.http}/openapi.json").json()["paths"]

    assert set(paths) == {"/", "/health", "/ready", "/metrics", "/camera/{subscription_id}/image"}
    assert {"200", "404", "503"} <= set(paths["/camera/{subscription_id}/image"]["get"]["responses"])
    assert {"200", "503"} <= set(paths["/ready"]["get"]["responses"])
