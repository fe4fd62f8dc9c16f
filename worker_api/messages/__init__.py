"""Every message between a CMS and this gateway, in the protocol's own names: `spec/protocol.md` as types.

`worker_api.asyncapi` makes the published document of them, so each field says here what it is.
"""

from worker_api.messages.heartbeat import CameraConnection, CroppedCameraConnection, NodeState, StateReport
from worker_api.messages.incoming import (
    Incoming,
    PatchResultPayload,
    PatchSessionIn,
    PatchSessionResult,
    RequestState,
    SetSessionId,
    SetSubscriptions,
    Subscribe,
    SubscribePayload,
    Unsubscribe,
)
from worker_api.messages.outgoing import (
    CurrentCar,
    ErrorMessage,
    ImageDetection,
    Outgoing,
    Overloaded,
    PatchSession,
    RefusedItem,
    ResultsLost,
    SessionPatch,
    SetResult,
    SubscriptionsSet,
    timestamp,
)

__all__ = [
    "CameraConnection",
    "CroppedCameraConnection",
    "CurrentCar",
    "ErrorMessage",
    "ImageDetection",
    "Incoming",
    "NodeState",
    "Outgoing",
    "Overloaded",
    "PatchResultPayload",
    "PatchSession",
    "PatchSessionIn",
    "PatchSessionResult",
    "RefusedItem",
    "RequestState",
    "ResultsLost",
    "SessionPatch",
    "SetResult",
    "SetSessionId",
    "SetSubscriptions",
    "StateReport",
    "Subscribe",
    "SubscribePayload",
    "SubscriptionsSet",
    "Unsubscribe",
    "timestamp",
]
