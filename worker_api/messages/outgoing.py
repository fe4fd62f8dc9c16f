"""What this gateway says, apart from its heartbeat."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic.json_schema import SkipJsonSchema

from contract.problems import Code
from worker_api.messages.fields import Id, Message
from worker_api.messages.heartbeat import StateReport
from worker_api.messages.incoming import PatchSessionResult

#: May be left out, but is never null.
_Absent = SkipJsonSchema[None]


@functools.lru_cache(maxsize=4096)
def timestamp(unix_ms: int) -> str:
    """Return a Unix time in ms as ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Detection(Message):
    """What was seen: one flat object, of the classes and fields that the package has."""

    model_config = ConfigDict(extra="allow")

    label: Annotated[str, Field(alias="class", description="of the result; none: nothing that counts is seen")]
    confidence: Annotated[float, Field(ge=0, le=1, description="of the class")]


class DetectionData(Message):
    """A detection and the package that made it, as its subscription names it."""

    detection: Detection
    modelId: Annotated[Id, Field(description="as subscribed")]
    modelName: Annotated[str, Field(description="as subscribed; modelId as text when there was none")]


class ImageDetection(Message):
    """What one frame shows one subscription. Here to be read: workers write it whole, the relay passes bytes on."""

    type: Literal["imageDetection"] = "imageDetection"
    subscriptionIdentifier: Annotated[str, Field(description="displayIdentifier;cameraIdentifier")]
    timestamp: Annotated[
        str,
        Field(
            description="when the frame was captured; UTC, ISO 8601, milliseconds",
            json_schema_extra={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
        ),
    ]
    sessionId: Annotated[
        Id | _Absent, Field(description="the display's session at capture; absent: there was none")
    ] = None
    data: DetectionData
    detectionId: Annotated[str, Field(description="ours: the same when a delivery is repeated")]


class ErrorMessage(Message):
    """The one way in which trouble reaches a CMS."""

    type: Literal["error"] = "error"
    subscriptionIdentifier: Annotated[str | _Absent, Field(description="there when it is known")] = None
    code: Annotated[Code, Field(description="a stable word")]
    error: Annotated[str, Field(description="a sentence with what to do")]

    def text(self) -> str:
        """Return the message as it is sent; the identifier is there when it is known."""
        return self.model_dump_json(exclude_none=True, by_alias=True)


class ResultsLost(ErrorMessage):
    """A gap that cannot be replayed: results of frames captured about then are gone."""

    code: Annotated[Literal[Code.RESULTS_LOST], Field(description="a stable word")] = Code.RESULTS_LOST
    since: Annotated[str, Field(alias="from", description="capture of the first that is lost, about; ISO 8601")]
    to: Annotated[str, Field(description="capture of the last that is lost, about; ISO 8601")]

    @classmethod
    def of(cls, subscription: str, from_ms: int, to_ms: int) -> ResultsLost:
        """Return the message for a gap between two Unix times."""
        since, to = timestamp(from_ms), timestamp(to_ms)
        text = f"results from {since} to {to} were not kept for long enough and cannot be replayed"
        return cls(subscriptionIdentifier=subscription, error=text, since=since, to=to)


class Overloaded(ErrorMessage):
    """Much less is detected than is asked for and than the camera gives."""

    code: Annotated[Literal[Code.OVERLOADED], Field(description="a stable word")] = Code.OVERLOADED
    requestedFps: Annotated[float, Field(description="detections per second that are asked for")]
    cameraFps: Annotated[float, Field(description="pictures per second that the camera gives")]
    achievedFps: Annotated[float, Field(description="results per second that are made")]

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


class CurrentCar(Message):
    """What of a display's current car is ours to write; null clears, and what is missing is left alone."""

    carModel: Annotated[Any, Field(description="such as Civic")] = None
    carBrand: Annotated[Any, Field(description="such as Honda")] = None
    carYear: Annotated[Any, Field(description="of the model")] = None
    bodyType: Annotated[Any, Field(description="such as Sedan")] = None
    licensePlateText: Annotated[Any, Field(description="as read")] = None
    licensePlateType: Annotated[Any, Field(description="as the package names it")] = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class SessionPatch(Message):
    """A partial of the CMS's `DisplayPersistentData`."""

    currentCar: CurrentCar


class PatchSession(Message):
    """The late detections of one session, merged."""

    type: Literal["patchSession"] = "patchSession"
    sessionId: Annotated[Id, Field(description="that the display had at capture")]
    data: SessionPatch


class RefusedItem(Message):
    """One item of a `setSubscriptions` that was not taken."""

    subscriptionIdentifier: Annotated[str | None, Field(description="null: it named none")]
    code: Annotated[Code, Field(description="a stable word")]
    error: Annotated[str, Field(description="a sentence with what to do")]


class SetResult(Message):
    """What `setSubscriptions` changed."""

    added: Annotated[list[str], Field(description="subscriptions that are new")]
    replaced: Annotated[list[str], Field(description="that were changed, or taken over from another connection")]
    unchanged: Annotated[list[str], Field(description="that this connection had just so")]
    removed: Annotated[list[str], Field(description="that this connection had and has no more")]
    refused: Annotated[list[RefusedItem], Field(description="not taken; what runs under their names goes on")]


class SubscriptionsSet(Message):
    """The answer to `setSubscriptions`."""

    type: Literal["subscriptionsSet"] = "subscriptionsSet"
    payload: SetResult


#: In the order of their importance to a CMS.
Outgoing = (
    StateReport
    | ImageDetection
    | ErrorMessage
    | Overloaded
    | ResultsLost
    | PatchSession
    | PatchSessionResult
    | SubscriptionsSet
)
