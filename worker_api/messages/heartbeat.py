"""The heartbeat, which tells more than the protocol asks for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from worker_api.messages.fields import Message

_Corner = Annotated[int, Field(description="pixel of the full frame; there only when a crop is set")]
_Percent = Annotated[float, Field(description="percent")]
_GpuPercent = Annotated[float | None, Field(description="percent; null without a GPU")]


class FrameAge(Message):
    """Seconds from capture to relay, of the results of the last ten seconds."""

    p50: Annotated[float, Field(description="half of the results were younger")]
    p95: Annotated[float, Field(description="95 % of the results were younger")]


class Dropped(Message):
    """Frames and results of one subscription that were left out, by cause, since this connection has it."""

    superseded: Annotated[int, Field(description="frames without a result: a newer one came before a worker was free")]
    replaced: Annotated[int, Field(description="results replaced by newer ones, as this connection read too slowly")]
    late: Annotated[int, Field(description="results that came too late to be live; see patchSession")]
    outOfOrder: Annotated[int, Field(description="results older than one that was sent already")]


class CameraConnection(Message):
    """One subscription of the connection that is told. What follows `online` is ours, and may be ignored."""

    subscriptionIdentifier: Annotated[str, Field(description="displayIdentifier;cameraIdentifier")]
    modelId: Annotated[int | str, Field(description="as subscribed")]
    modelName: Annotated[str, Field(description="as subscribed; modelId as text when there was none")]
    online: Annotated[bool, Field(description="the camera's newest frame is fresh, and it is not known to be away")]
    requestedFps: Annotated[float, Field(description="detections per second that are asked for")]
    achievedFps: Annotated[
        float, Field(description="results per second over the last ten, with those in which nothing is seen")
    ]
    cameraFps: Annotated[float | None, Field(description="pictures per second that the camera gives")]
    overload: Annotated[
        float | None,
        Field(description="how many times more is asked for, and given by the camera, than is done; null: enough is"),
    ]
    frameAge: Annotated[FrameAge | None, Field(description="null: no results of late")]
    dropped: Annotated[Dropped, Field(description="what was left out, by cause")]
    pipelineVersion: Annotated[
        str | None, Field(description="short digest of the package as workers hold it; several while a new one comes")
    ]
    state: Annotated[
        str | None,
        Field(
            description="connecting, online, waiting (to connect again), given_up; or online with a flaw: black, "
            "covered, defocused, frozen, colour_lost; null: no capture process holds the camera"
        ),
    ]
    stateSince: Annotated[str | None, Field(description="since when it is online, away, or has the flaw; ISO 8601")]
    reason: Annotated[str | None, Field(description="what is wrong with the camera, in words")]


class CroppedCameraConnection(CameraConnection):
    """The same, when a part of the picture is looked at."""

    cropX1: _Corner
    cropY1: _Corner
    cropX2: _Corner
    cropY2: _Corner


def _cropped(value: Any) -> str:
    cropped = "cropX1" in value if isinstance(value, dict) else isinstance(value, CroppedCameraConnection)
    return "cropped" if cropped else "whole"


class NodeState(Message):
    """One process of the cluster. Usages are percent of its host; GPU values are null without a GPU."""

    id: Annotated[str, Field(description="unique in the cluster, as long as the process lives")]
    role: Annotated[Literal["capture", "worker", "gateway"], Field(description="what it does")]
    host: Annotated[str, Field(description="the machine that it runs on")]
    cpu: _Percent
    memory: _Percent
    gpu: _GpuPercent
    gpuMemory: _GpuPercent
    perSecond: Annotated[
        float, Field(description="frames published (capture), frames inferred (worker), results relayed (gateway)")
    ]
    lastProgress: Annotated[float, Field(description="seconds since it last did something useful")]
    cameras: Annotated[int | None, Field(description="how many a capture process holds; null for others")]
    pipelines: Annotated[dict[str, str], Field(description="packages that a worker holds: name and version")]


class StateReport(Message):
    """The heartbeat. Usages are percent, all of one node; GPU values are null without a GPU. `nodes` is ours."""

    type: Literal["stateReport"] = "stateReport"
    cpuUsage: _Percent
    memoryUsage: _Percent
    gpuUsage: _GpuPercent
    gpuMemoryUsage: _GpuPercent
    cameraConnections: Annotated[
        list[
            Annotated[
                Annotated[CroppedCameraConnection, Tag("cropped")] | Annotated[CameraConnection, Tag("whole")],
                Discriminator(_cropped),
            ]
        ],
        Field(description="the subscriptions that this connection owns"),
    ]
    nodes: Annotated[list[NodeState], Field(description="ours: the cluster's processes; workers first, at most 64")]
