"""The heartbeat's content."""

from __future__ import annotations

from collections.abc import Iterable

from contract.nodes import Node
from contract.subscriptions import Subscription
from worker_api.cluster import View
from worker_api.messages import (
    CameraConnection,
    CroppedCameraConnection,
    NodeState,
    StateReport,
    timestamp,
)
from worker_api.meters import Meter

#: A report must stay small, however large the cluster.
NODES = 64
_ORDER = {"worker": 0, "capture": 1, "gateway": 2}


def state_report(
    node: Node, view: View, now_s: float, owned: Iterable[tuple[Subscription, Meter]], nodes: list[NodeState]
) -> StateReport:
    """Return what a connection that owns `owned` is told: the usages of `node`, its subscriptions, and `nodes`."""
    known = view.fresh(now_s)
    return StateReport(
        cpuUsage=node.cpu,
        memoryUsage=node.memory,
        gpuUsage=node.gpu,
        gpuMemoryUsage=node.gpu_memory,
        cameraConnections=[_camera(each, meter, view, now_s, known=known) for each, meter in owned],
        nodes=nodes,
    )


def node_states(view: View) -> list[NodeState]:
    """Return what every connection is told of the cluster's processes."""
    ordered = sorted(view.living, key=lambda node: (_ORDER[node.role], node.host, node.id))
    return [
        NodeState(
            id=node.id,
            role=node.role,
            host=node.host,
            cpu=node.cpu,
            memory=node.memory,
            gpu=node.gpu,
            gpuMemory=node.gpu_memory,
            perSecond=node.per_second,
            lastProgress=round(node.idle_s, 1),
            cameras=len(node.facts.get("cameras", ())) if node.role == "capture" else None,
            pipelines=node.facts.get("pipelines", {}),
        )
        for node in ordered[:NODES]
    ]


def _camera(subscription: Subscription, meter: Meter, view: View, now_s: float, *, known: bool) -> CameraConnection:
    camera = view.cameras.get(meter.cam) if known else None
    ages_s, skew_s = meter.ages_s(now_s), camera.skew_ms / 1000 if camera else 0.0
    factor = meter.overload.factor
    fields = {
        "subscriptionIdentifier": subscription.id,
        "modelId": subscription.model_id,
        "modelName": subscription.model_name,
        "online": known and meter.cam in view.online,
        "requestedFps": subscription.fps,
        "achievedFps": round(meter.achieved_fps(now_s), 1),
        "cameraFps": camera.fps if camera else None,
        "overload": round(factor, 1) if factor else None,
        # By the gateway's clock: the capture host's may be off.
        "frameAge": {"p50": round(ages_s[0] + skew_s, 3), "p95": round(ages_s[1] + skew_s, 3)} if ages_s else None,
        "dropped": {
            "superseded": meter.superseded,
            "replaced": meter.replaced,
            "late": meter.late,
            "outOfOrder": meter.out_of_order,
        },
        "pipelineVersion": view.versions.get(meter.pipeline) if known else None,
        "state": camera.state if camera else None,
        "stateSince": timestamp(camera.since_ms - camera.skew_ms) if camera else None,
        "reason": camera.reason if camera else None,
    }
    if subscription.crop is None:
        return CameraConnection.model_validate(fields)
    x1, y1, x2, y2 = subscription.crop
    return CroppedCameraConnection.model_validate(fields | {"cropX1": x1, "cropY1": y1, "cropX2": x2, "cropY2": y2})
