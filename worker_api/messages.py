"""Every message between a CMS and this gateway, in the protocol's own names: `spec/protocol.md` as types.

Incoming models ignore fields that they do not know: a CMS may be newer than we are, or older and chattier.
`imageDetection` has no model: workers write it whole and the relay passes its bytes on.
"""

from __future__ import annotations

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


class CameraConnection(_Message):
    """One subscription of the connection that is told."""

    subscriptionIdentifier: str
    modelId: int | str
    modelName: str
    online: bool


class CroppedCameraConnection(CameraConnection):
    """The same, when a part of the picture is looked at."""

    cropX1: int
    cropY1: int
    cropX2: int
    cropY2: int


def _timestamp(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cropped(value: Any) -> str:
    return "cropped" if isinstance(value, CroppedCameraConnection) else "whole"


class StateReport(_Message):
    """The heartbeat. Usages are percent, all of one node; GPU values are null without a GPU."""

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
        since, to = _timestamp(from_ms), _timestamp(to_ms)
        text = f"results from {since} to {to} were not kept for long enough and cannot be replayed"
        return cls(subscriptionIdentifier=subscription, error=text, since=since, to=to)


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
