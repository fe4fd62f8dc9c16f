"""Every message between a CMS and this gateway, in the protocol's own names: `spec/protocol.md` as types.

Incoming models ignore fields that they do not know: a CMS may be newer than we are, or older and chattier.
`imageDetection` has no model: workers write it whole and the relay passes its bytes on.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    StrictStr,
    Tag,
    model_serializer,
)

from contract.problems import Code

_I32 = 2**31 - 1

#: Long enough for any name that people give, short enough for a key, a log line and a metric.
_Name = Annotated[StrictStr, Field(max_length=256)]
_Url = Annotated[StrictStr, Field(max_length=4096)]
_Pixel = Annotated[int, Field(ge=-_I32, le=_I32)]
#: Passed through as given: 7 stays a number, "7" a text, and true is neither.
_Id = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)] | _Name


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    def text(self) -> str:
        """Return the message as it is sent."""
        return self.model_dump_json()


# ---------------------------------------------------------------- CMS -> gateway


class SubscribePayload(_Message):
    """What is wanted: which camera, on which display, seen by which package, where."""

    subscriptionIdentifier: _Name
    rtspUrl: _Url | None = None
    snapshotUrl: _Url | None = None
    snapshotInterval: Annotated[int, Field(ge=1, le=86_400_000)] | None = None
    modelUrl: _Url
    modelId: _Id
    modelName: _Name | None = None
    cropX1: _Pixel | None = None
    cropY1: _Pixel | None = None
    cropX2: _Pixel | None = None
    cropY2: _Pixel | None = None
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    fps: Annotated[float, Field(gt=0, le=60)] | None = None
    rotate: Literal[0, 90, 180, 270] | None = None
    mirror: Literal["none", "x", "y"] | None = None


class UnsubscribePayload(_Message):
    """Which subscription ends."""

    subscriptionIdentifier: _Name


class SessionPayload(_Message):
    """Which session a display has from now on; null: none."""

    displayIdentifier: Annotated[_Name, Field(min_length=1)]
    sessionId: _Id | None


class PatchResultPayload(_Message):
    """How a `patchSession` went."""

    sessionId: _Id | None = None
    success: bool
    message: str = ""


class SetPayload(_Message):
    """The full set wanted by one connection; each item is judged alone."""

    subscriptions: list[Any]


class Subscribe(_Message):
    """Start or replace a subscription. Its payload is judged apart, so that a refusal can name the subscription."""

    type: Literal["subscribe"] = "subscribe"
    payload: dict[str, Any]


class Unsubscribe(_Message):
    """End a subscription, whoever owns it."""

    type: Literal["unsubscribe"] = "unsubscribe"
    payload: UnsubscribePayload


class RequestState(_Message):
    """Ask for one `stateReport`."""

    type: Literal["requestState"] = "requestState"


class SetSessionId(_Message):
    """Bind a session to all subscriptions of a display, present and future."""

    type: Literal["setSessionId"] = "setSessionId"
    payload: SessionPayload


class PatchSessionIn(_Message):
    """What the older worker's own test script sends."""

    type: Literal["patchSession"] = "patchSession"
    sessionId: _Id | None = None


class PatchSessionResult(_Message):
    """The answer to a `patchSession`, in either direction."""

    type: Literal["patchSessionResult"] = "patchSessionResult"
    payload: PatchResultPayload


class SetSubscriptions(_Message):
    """Make this connection's subscriptions exactly these."""

    type: Literal["setSubscriptions"] = "setSubscriptions"
    payload: SetPayload


Incoming = Annotated[
    Subscribe | Unsubscribe | RequestState | SetSessionId | PatchSessionIn | PatchSessionResult | SetSubscriptions,
    Field(discriminator="type"),
]

# ---------------------------------------------------------------- gateway -> CMS


@functools.lru_cache(maxsize=4096)
def timestamp(unix_ms: int) -> str:
    """Return a Unix time in ms as ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FrameAge(_Message):
    """Seconds from capture to relay, of the results of the last ten seconds."""

    p50: Annotated[float, Field(description="half of the results were younger")]
    p95: Annotated[float, Field(description="95 % of the results were younger")]


class Dropped(_Message):
    """Frames and results of one subscription that were left out, by cause, since this connection has it."""

    superseded: Annotated[int, Field(description="frames without a result: a newer one came before a worker was free")]
    replaced: Annotated[int, Field(description="results replaced by newer ones, as this connection read too slowly")]
    late: Annotated[int, Field(description="results that came too late to be live; see patchSession")]
    outOfOrder: Annotated[int, Field(description="results older than one that was sent already")]


class CameraConnection(_Message):
    """One subscription of the connection that is told. What follows `online` is ours, and may be ignored."""

    subscriptionIdentifier: str
    modelId: int | str
    modelName: str
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
    dropped: Dropped
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

    cropX1: int
    cropY1: int
    cropX2: int
    cropY2: int


def _cropped(value: Any) -> str:
    return "cropped" if isinstance(value, CroppedCameraConnection) else "whole"


class NodeState(_Message):
    """One process of the cluster. Usages are percent of its host; GPU values are null without a GPU."""

    id: str
    role: Literal["capture", "worker", "gateway"]
    host: str
    cpu: float
    memory: float
    gpu: float | None
    gpuMemory: float | None
    perSecond: Annotated[
        float, Field(description="frames published (capture), frames inferred (worker), results relayed (gateway)")
    ]
    lastProgress: Annotated[float, Field(description="seconds since it last did something useful")]
    cameras: Annotated[int | None, Field(description="how many a capture process holds; null for others")]
    pipelines: Annotated[dict[str, str], Field(description="packages that a worker holds: name and version")]


class StateReport(_Message):
    """The heartbeat. Usages are percent, all of one node; GPU values are null without a GPU. `nodes` is ours."""

    type: Literal["stateReport"] = "stateReport"
    cpuUsage: float
    memoryUsage: float
    gpuUsage: float | None
    gpuMemoryUsage: float | None
    cameraConnections: list[
        Annotated[
            Annotated[CroppedCameraConnection, Tag("cropped")] | Annotated[CameraConnection, Tag("whole")],
            Discriminator(_cropped),
        ]
    ]
    nodes: Annotated[list[NodeState], Field(description="workers first, at most 64")]


class ErrorMessage(_Message):
    """The one way in which trouble reaches a CMS."""

    type: Literal["error"] = "error"
    subscriptionIdentifier: str | None = None
    code: Code
    error: str

    def text(self) -> str:
        """Return the message as it is sent; the identifier is there when it is known."""
        return self.model_dump_json(exclude_none=True, by_alias=True)


class ResultsLost(ErrorMessage):
    """A gap that cannot be replayed: results of frames captured about then are gone."""

    code: Literal[Code.RESULTS_LOST] = Code.RESULTS_LOST
    since: Annotated[str, Field(serialization_alias="from")]
    to: str

    @classmethod
    def of(cls, subscription: str, from_ms: int, to_ms: int) -> ResultsLost:
        """Return the message for a gap between two Unix times."""
        since, to = timestamp(from_ms), timestamp(to_ms)
        text = f"results from {since} to {to} were not kept for long enough and cannot be replayed"
        return cls(subscriptionIdentifier=subscription, error=text, since=since, to=to)


class Overloaded(ErrorMessage):
    """Much less is detected than is asked for and than the camera gives."""

    code: Literal[Code.OVERLOADED] = Code.OVERLOADED
    requestedFps: float
    cameraFps: float
    achievedFps: float

    @classmethod
    def of(cls, subscription: str, requested: float, offered: float, achieved: float) -> Overloaded:
        """Return the message for these detections, frames and results per second."""
        done = f"{achieved:.1f}" if achieved else "none"
        text = (
            f"{requested:g} detections per second are asked for, the camera gives {offered:.1f}, {done} are made: "
            f"{min(requested, offered) / max(achieved, 0.1):.1f} times what the workers manage; "
            "add workers or a GPU, or ask for a lower fps"
        )
        return cls(
            subscriptionIdentifier=subscription,
            error=text,
            requestedFps=requested,
            cameraFps=round(offered, 1),
            achievedFps=round(achieved, 1),
        )


class CurrentCar(_Message):
    """What of a display's current car is ours to write; null clears, and what is missing is left alone."""

    carModel: Any = None
    carBrand: Any = None
    carYear: Any = None
    bodyType: Any = None
    licensePlateText: Any = None
    licensePlateType: Any = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class SessionPatch(_Message):
    """A partial of the CMS's `DisplayPersistentData`."""

    currentCar: CurrentCar


class PatchSession(_Message):
    """The late detections of one session, merged."""

    type: Literal["patchSession"] = "patchSession"
    sessionId: _Id
    data: SessionPatch


class RefusedItem(_Message):
    """One item of a `setSubscriptions` that was not taken."""

    subscriptionIdentifier: str | None
    code: Code
    error: str


class SetResult(_Message):
    """What `setSubscriptions` changed."""

    added: list[str] = []
    replaced: list[str] = []
    unchanged: list[str] = []
    removed: list[str] = []
    refused: list[RefusedItem] = []


class SubscriptionsSet(_Message):
    """The answer to `setSubscriptions`."""

    type: Literal["subscriptionsSet"] = "subscriptionsSet"
    payload: SetResult
