"""The HTTP side of the gateway."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from contract import camera_states, frames, nodes
from contract.frames import Frame
from contract.keys import Keys
from contract.nodes import Pulse, Role
from tests.integration.worker_api.gateways import Cms, Gateway, add_result, stored
from tests.servers import eventually
from worker_api import asyncapi


def metrics(gateway: Gateway) -> list[Metric]:
    """Return the gateway's metrics as Prometheus reads them."""
    answer = httpx.get(f"{gateway.http}/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return list(text_string_to_metric_families(answer.text))


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

    counts = {s.name: s.value for f in metrics(gateway) for s in f.samples if not s.labels}
    assert counts["detector_gateway_connections"] == 1
    assert counts["detector_gateway_relayed_total"] >= 1
    assert counts["detector_gateway_messages_refused_total"] >= 1


def test_metrics_tell_of_each_process_and_camera(cms: Cms, gateway: Gateway, redis: Redis, keys: Keys) -> None:
    odd = 'a "quoted" \\ host\nwith two lines'
    cms.subscribe("d1;c1")
    cms.subscribe("d2;c1")
    cam = stored(redis, keys, "d2;c1").source.cam
    said = camera_states.fact(state="waiting", plays=False, since_ms=0, fps=2.5, code="camera_stalled", reason="silent")
    pipe = redis.pipeline()
    nodes.put(pipe, keys, replace(Pulse("worker").sign(), host=odd, gpu=40.0, cpu=7.0))
    nodes.put(pipe, keys, replace(Pulse("capture").sign(cameras={cam: said, "nobody's": said}), cpu=8.0))
    pipe.execute()

    def told() -> dict[str, Metric]:
        found = {family.name: family for family in metrics(gateway)}
        return found if len(found["detector_node_cpu_percent"].samples) >= 3 else {}

    families = eventually(told)
    assert all(family.documentation and family.type in {"counter", "gauge"} for family in families.values())
    [gpu] = families["detector_node_gpu_percent"].samples
    assert (gpu.labels["role"], gpu.labels["host"], gpu.value) == ("worker", odd, 40.0)
    assert {s.labels["role"]: s.value for s in families["detector_node_cpu_percent"].samples}["capture"] == 8.0
    per_camera = {n: [(s.labels, s.value) for s in f.samples] for n, f in families.items() if "_camera_" in n}
    assert per_camera == {
        "detector_camera_subscriptions": [({"cam": cam}, 2.0)],
        "detector_camera_online": [({"cam": cam}, 0.0)],
        "detector_camera_fps": [({"cam": cam}, 2.5)],
        "detector_camera_trouble": [({"cam": cam}, 1.0)],
    }


def test_the_root_says_what_this_is_and_the_schema_what_it_can(gateway: Gateway) -> None:
    assert "WebSocket" in httpx.get(gateway.http).json()["protocol"]

    assert httpx.get(f"{gateway.http}/asyncapi.json").json() == asyncapi.document()

    paths = httpx.get(f"{gateway.http}/openapi.json").json()["paths"]

    assert set(paths) == {"/", "/health", "/ready", "/metrics", "/asyncapi.json", "/camera/{subscription_id}/image"}
    assert set(paths["/camera/{subscription_id}/image"]["get"]["responses"]) == {"200", "404", "503"}
    assert {"200", "503"} <= set(paths["/ready"]["get"]["responses"])
