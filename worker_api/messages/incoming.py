"""What a CMS says. Fields that are not known are ignored: a CMS may be newer than we are, or older and chattier."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from worker_api.messages.fields import Id, JudgedAs, Message, Name, Pixel, Url

_Corner = Annotated[Pixel | None, Field(description="pixel of the full frame; all four corners, or none")]


class SubscribePayload(Message):
    """What is wanted: which camera, on which display, seen by which package, where."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["rtspUrl"]}, {"required": ["snapshotUrl"]}]})

    subscriptionIdentifier: Annotated[
        Name,
        Field(description="displayIdentifier;cameraIdentifier", json_schema_extra={"pattern": "^[^;]+;[^;]+$"}),
    ]
    rtspUrl: Annotated[
        Url | None,
        Field(description="a stream: rtsp(s)://, http(s):// (MJPEG), file:// or a path, synthetic://"),
    ] = None
    snapshotUrl: Annotated[
        Url | None, Field(description="a picture, http(s)://; with an interval it wins over rtspUrl")
    ] = None
    snapshotInterval: Annotated[
        Annotated[int, Field(ge=1, le=86_400_000)] | None, Field(description="ms between two fetches; default 1000")
    ] = None
    modelUrl: Annotated[Url, Field(description="an .mpta package: http(s)://, file:// or a path")]
    modelId: Annotated[Id, Field(description="passed through as given")]
    modelName: Annotated[Name | None, Field(description="default: modelId as text")] = None
    cropX1: _Corner = None
    cropY1: _Corner = None
    cropX2: _Corner = None
    cropY2: _Corner = None
    priority: Annotated[
        Annotated[int, Field(ge=1, le=10)] | None, Field(description="ours: weight under overload; default 5")
    ] = None
    fps: Annotated[
        Annotated[float, Field(gt=0, le=60)] | None,
        Field(description="ours: detections per second; default DETECTOR_TARGET_FPS"),
    ] = None
    rotate: Annotated[
        Literal[0, 90, 180, 270] | None, Field(description="ours: degrees clockwise, before the crop; default 0")
    ] = None
    mirror: Annotated[Literal["none", "x", "y"] | None, Field(description="ours: before the crop; default none")] = None


class UnsubscribePayload(Message):
    """Which subscription ends."""

    subscriptionIdentifier: Annotated[Name, Field(description="displayIdentifier;cameraIdentifier")]


class SessionPayload(Message):
    """Which session a display has from now on; null: none."""

    displayIdentifier: Annotated[Name, Field(min_length=1, description="the part before the ; of its subscriptions")]
    sessionId: Annotated[Id | None, Field(description="null: the display has no session any more")]


class PatchResultPayload(Message):
    """How a `patchSession` went."""

    sessionId: Annotated[Id | None, Field(description="of the patchSession that this answers")] = None
    success: Annotated[bool, Field(description="whether it was applied")]
    message: Annotated[str, Field(description="why not, or a confirmation")] = ""


class SetPayload(Message):
    """The full set wanted by one connection; each item is judged alone."""

    subscriptions: Annotated[
        list[Annotated[Any, JudgedAs(SubscribePayload)]], Field(description="each as the payload of a subscribe")
    ]


class Subscribe(Message):
    """Start or replace a subscription."""

    type: Literal["subscribe"] = "subscribe"
    #: Judged apart, so that a refusal can name the subscription.
    payload: Annotated[dict[str, Any], JudgedAs(SubscribePayload)]


class Unsubscribe(Message):
    """End a subscription, whoever owns it."""

    type: Literal["unsubscribe"] = "unsubscribe"
    payload: UnsubscribePayload


class RequestState(Message):
    """Ask for one `stateReport`."""

    type: Literal["requestState"] = "requestState"


class SetSessionId(Message):
    """Bind a session to all subscriptions of a display, present and future."""

    type: Literal["setSessionId"] = "setSessionId"
    payload: SessionPayload


class PatchSessionIn(Message):
    """What the older worker's own test script sends; acknowledged, and nothing else."""

    type: Literal["patchSession"] = "patchSession"
    sessionId: Annotated[Id | None, Field(description="comes back in the answer")] = None


class PatchSessionResult(Message):
    """The answer to a `patchSession`, in either direction."""

    type: Literal["patchSessionResult"] = "patchSessionResult"
    payload: PatchResultPayload


class SetSubscriptions(Message):
    """Make this connection's subscriptions exactly these. Ours."""

    type: Literal["setSubscriptions"] = "setSubscriptions"
    payload: SetPayload


Incoming = Annotated[
    Subscribe | Unsubscribe | RequestState | SetSessionId | PatchSessionIn | PatchSessionResult | SetSubscriptions,
    Field(discriminator="type"),
]
