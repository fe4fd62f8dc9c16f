"""The HTTP side: images, health, readiness, metrics."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from contract.errors import RecordInvalid
from worker_api import asyncapi, exposition
from worker_api.gateway import Gateway
from worker_api.outage import AWAY

log = logging.getLogger(__name__)

#: What needs a token where tokens are set, and what does not.
router = APIRouter()
probes = APIRouter()


class Detail(BaseModel):
    """Why something is not there."""

    detail: str


class Status(BaseModel):
    """How it goes."""

    status: str


class About(BaseModel):
    """What listens here."""

    name: str
    version: str
    protocol: str
    docs: str
    messages: str


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that this application serves."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def _answers(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    # Not `model`: FastAPI would take an error for the kind of content that the path has when all is well.
    content = {"application/json": {"schema": Detail.model_json_schema()}}
    return {status: {"content": content, "description": description}}


#: For the schema, where tokens are set.
UNAUTHORIZED = _answers(401, "no valid token came along")

_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}, "description": "the picture"},
    **_answers(404, "no such subscription, or its camera has no fresh frame"),
    **_answers(503, "the server that holds the pictures is away"),
}

#: Not a parameter of the function: whatever it is, it is no 422, which FastAPI would add to the schema.
_SUBSCRIPTION = {
    "name": "subscription_id",
    "in": "path",
    "required": True,
    "description": "displayIdentifier;cameraIdentifier",
    "schema": {"type": "string"},
    "example": "display-001;cam-001",
}
#: A WebSocket handshake is a GET, so what it may be answered belongs to this path.
_HANDSHAKE: dict[int | str, dict[str, Any]] = {
    101: {"description": "to a WebSocket handshake: the CMS protocol begins, see /asyncapi.json"},
    **_answers(403, "to the handshake of a web page: its origin may not connect"),
    **_answers(503, "to a handshake: no more connections at the moment; Retry-After says when to try again"),
}


@router.head("/camera/{subscription_id:path}/image", include_in_schema=False)
@router.get(
    "/camera/{subscription_id:path}/image",
    response_class=Response,
    responses=_IMAGE,
    openapi_extra={"parameters": [_SUBSCRIPTION]},
    tags=["cameras"],
)
async def image(request: Request) -> Response:
    """Return the newest picture of a subscription's camera, full and uncropped."""
    try:
        frame = await gateway_of(request).newest_frame(request.path_params["subscription_id"])
    except RecordInvalid as exc:
        log.warning("an image cannot be served: %s", exc)
        frame = None
    except AWAY:
        raise HTTPException(503, "the pictures cannot be reached at the moment; try again") from None
    if frame is None:
        raise HTTPException(404, "this subscription is unknown or its camera has no fresh frame")
    headers = {"Cache-Control": "no-store", "X-Captured-Ms": str(frame.captured_ms)}
    return Response(frame.jpeg, media_type="image/jpeg", headers=headers)


@probes.head("/health", include_in_schema=False)
@probes.get("/health", tags=["operation"])
async def health() -> Status:
    """Return 200 as long as the process lives."""
    return Status(status="ok")


@probes.head("/ready", include_in_schema=False)
@probes.get("/ready", responses=_answers(503, "why no detections can be expected"), tags=["operation"])
async def ready(request: Request) -> Status:
    """Return 200 when servers, capture and workers are there and making progress."""
    reason = gateway_of(request).not_ready()
    if reason is not None:
        raise HTTPException(503, reason if request.state.entered else "not ready; with a token this says why")
    return Status(status="ready")


@router.get("/metrics", response_class=PlainTextResponse, tags=["operation"])
async def metrics(request: Request) -> PlainTextResponse:
    """Return this gateway's counters, and gauges of all processes and cameras, in the Prometheus text format."""
    gateway = gateway_of(request)
    wanted = gateway.registry.state.subscriptions
    own = gateway.counters.families(
        connections=(len(gateway.hub.connected), "CMSs that are connected here."),
        subscriptions=(len(wanted), "Subscriptions in the whole cluster."),
    )
    text = exposition.text([*own, *exposition.of_cluster(gateway.cluster.view, wanted.values())])
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/asyncapi.json", tags=["operation"])
async def messages() -> dict[str, Any]:
    """Return every message of the CMS protocol, with schemas and examples, as an AsyncAPI 3.0 document."""
    return asyncapi.document()


@router.get("/", responses=_HANDSHAKE, tags=["operation"])
async def about(request: Request) -> About:
    """Return what this is: a CMS speaks WebSocket at this same path."""
    return About(
        name="detector gateway",
        version=request.app.version,
        protocol="WebSocket on this path: subscribe, unsubscribe, requestState, setSessionId, setSubscriptions",
        docs="/docs",
        messages="/asyncapi.json",
    )
