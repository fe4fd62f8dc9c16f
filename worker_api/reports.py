"""The heartbeat's content."""

from __future__ import annotations

from collections.abc import Iterable

from contract.nodes import Node
from contract.subscriptions import Subscription
from worker_api.cluster import View
from worker_api.messages import CameraConnection, CroppedCameraConnection, StateReport


def state_report(node: Node, view: View, now_s: float, owned: Iterable[Subscription]) -> StateReport:
    """Return what a connection that owns `owned` is told: the usages of `node`, and which cameras are online."""
    known = view.fresh(now_s)
    return StateReport(
        cpuUsage=node.cpu,
        memoryUsage=node.memory,
        gpuUsage=node.gpu,
        gpuMemoryUsage=node.gpu_memory,
        cameraConnections=[_camera(each, known and each.source.cam in view.online) for each in owned],
    )


def _camera(subscription: Subscription, online: bool) -> CameraConnection:
    whole = CameraConnection(
        subscriptionIdentifier=subscription.id,
        modelId=subscription.model_id,
        modelName=subscription.model_name,
        online=online,
    )
    if subscription.crop is None:
        return whole
    x1, y1, x2, y2 = subscription.crop
    return CroppedCameraConnection(**dict(whole), cropX1=x1, cropY1=y1, cropX2=x2, cropY2=y2)
