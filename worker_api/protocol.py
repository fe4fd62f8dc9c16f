"""What a message means: pure functions from text and settings to a wish, or to a refusal that says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import orjson
from pydantic import TypeAdapter, ValidationError

from contract.addresses import Allowed
from contract.errors import DetectorError, UrlRefused
from contract.problems import Code
from contract.settings import Settings
from contract.subscriptions import Box, Source, Subscription
from contract.urls import local_path, split_credentials
from worker_api.messages import ErrorMessage, Incoming, SubscribePayload

#: A plain path counts as `file`.
STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "file", "synthetic", "webcam"})
SNAPSHOT_SCHEMES = frozenset({"http", "https"})
#: Cameras that have no address in a network.
_OURS = frozenset({"synthetic", "webcam"})
MODEL_SCHEMES = frozenset({"http", "https", "file"})

_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Incoming)
_TYPES = frozenset(model.model_fields["type"].default for model in get_args(get_args(Incoming)[0]))


class Refused(DetectorError):
    """A message, or a subscription, that is not taken: a stable code and a sentence with what to do."""

    def __init__(self, code: Code, text: str, subscription: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.subscription = subscription

    def message(self) -> ErrorMessage:
        """Return what the CMS is told."""
        return ErrorMessage(code=self.code, error=self.text, subscriptionIdentifier=self.subscription)


@dataclass(frozen=True, slots=True)
class Wish:
    """A subscription as a CMS asked for it, not yet anybody's.

    Attributes:
        credentials: "user:password" of the source, or "".
        warning: what was not as asked; the subscription is taken all the same.
    """

    subscription: Subscription
    credentials: str = ""
    warning: Refused | None = None


def parse(text: str) -> Incoming:
    """Return the message that `text` holds.

    Raises:
        Refused: bad_json, unknown_type or bad_field.
    """
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise Refused(Code.BAD_JSON, f"not JSON ({exc.msg}); send one JSON object per text frame") from None
    if not isinstance(content, dict):
        raise Refused(Code.BAD_JSON, "expected one JSON object per text frame")
    kind = content.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise Refused(Code.UNKNOWN_TYPE, f"type {_shown(kind)} is unknown; expected one of {', '.join(sorted(_TYPES))}")
    try:
        return _INCOMING.validate_python(content)
    except ValidationError as exc:
        raise Refused(Code.BAD_FIELD, _first_fault(exc, skip=1), _identifier(content.get("payload"))) from None


def wish_of(payload: object, settings: Settings) -> Wish:
    """Return what a subscribe payload asks for.

    Raises:
        Refused: bad_field, bad_identifier, bad_crop, no_source or url_not_allowed.
    """
    try:
        asked = SubscribePayload.model_validate(payload)
    except ValidationError as exc:
        raise Refused(Code.BAD_FIELD, _first_fault(exc, prefix="payload"), _identifier(payload)) from None
    try:
        return _wish(asked, settings)
    except Refused as exc:
        raise Refused(exc.code, exc.text, asked.subscriptionIdentifier) from None


def _wish(asked: SubscribePayload, settings: Settings) -> Wish:
    display, camera = _split(asked.subscriptionIdentifier)
    source, credentials = _source(asked, settings)
    _check_url("modelUrl", asked.modelUrl, MODEL_SCHEMES, settings.allowed_models, settings.model_dirs)
    crop, warning = _crop(asked)
    subscription = Subscription(
        id=asked.subscriptionIdentifier,
        display=display,
        camera=camera,
        source=source,
        model_url=asked.modelUrl,
        model_id=asked.modelId,
        model_name=str(asked.modelId) if asked.modelName is None else asked.modelName,
        crop=crop,
        priority=asked.priority or 5,
        fps=asked.fps or settings.target_fps,
        rotate=asked.rotate or 0,
        mirror=asked.mirror or "none",
    )
    return Wish(subscription, credentials, warning)


def _split(identifier: str) -> tuple[str, str]:
    parts = identifier.split(";")
    if len(parts) != 2 or not all(parts):
        raise Refused(Code.BAD_IDENTIFIER, "subscriptionIdentifier: expected displayIdentifier;cameraIdentifier")
    return parts[0], parts[1]


def _source(asked: SubscribePayload, settings: Settings) -> tuple[Source, str]:
    """Return the source and its credentials. With both given, a snapshot *with* interval wins, else the stream."""
    if asked.snapshotUrl and (asked.snapshotInterval or not asked.rtspUrl):
        url, credentials = _check_url("snapshotUrl", asked.snapshotUrl, SNAPSHOT_SCHEMES, settings.allowed_cameras)
        interval_ms = asked.snapshotInterval or settings.poll_interval_ms
        return Source(url=url, kind="snapshot", interval_ms=interval_ms), credentials
    if asked.rtspUrl:
        schemes = STREAM_SCHEMES if settings.webcams else STREAM_SCHEMES - {"webcam"}
        allowed = settings.allowed_cameras
        url, credentials = _check_url("rtspUrl", asked.rtspUrl, schemes, allowed, settings.media_dirs)
        return Source(url=url, kind="stream"), credentials
    raise Refused(Code.NO_SOURCE, "rtspUrl, snapshotUrl: expected one of the two")


def _check_url(
    field: str, url: str, schemes: frozenset[str], hosts: Allowed, folders: Sequence[Path] = ()
) -> tuple[str, str]:
    """Return (url without credentials, credentials) of a URL that may be opened."""
    scheme, separated, rest = url.partition("://")
    kind = scheme.lower() if separated else "file"
    if kind not in schemes or (separated and not rest):
        expected = " ".join(sorted(f"{known}://" for known in schemes))
        raise Refused(Code.URL_NOT_ALLOWED, f"{field}: expected an address that begins with one of {expected}")
    if any(sign < " " for sign in url):
        raise Refused(Code.URL_NOT_ALLOWED, f"{field}: expected an address without control characters")
    try:
        if kind == "file":
            local_path(url, folders)
            return url, ""
        bare, credentials = split_credentials(url)
        if kind in _OURS:
            return bare, credentials
        if not urlsplit(bare).hostname:
            raise UrlRefused(f"expected a host after {kind}://")
        hosts.check(bare)
    except UrlRefused as exc:
        raise Refused(Code.URL_NOT_ALLOWED, f"{field}: {exc}") from None
    return bare, credentials


def _crop(asked: SubscribePayload) -> tuple[Box | None, Refused | None]:
    """Return the crop, and a warning when only a part of it was given. Clipping is for who knows the frame's size."""
    corners = {name: getattr(asked, name) for name in ("cropX1", "cropY1", "cropX2", "cropY2")}
    missing = [name for name, value in corners.items() if value is None]
    if len(missing) == 4:
        return None, None
    if missing:
        text = f"{', '.join(missing)}: missing, so the full frame is used; give all four corners or none"
        return None, Refused(Code.BAD_CROP, text, asked.subscriptionIdentifier)
    x1, y1, x2, y2 = corners.values()
    if x1 >= x2 or y1 >= y2:
        raise Refused(Code.BAD_CROP, f"cropX1…cropY2: expected x1 < x2 and y1 < y2, got {x1},{y1},{x2},{y2}")
    if x2 <= 0 or y2 <= 0:
        raise Refused(Code.BAD_CROP, f"cropX1…cropY2: {x1},{y1},{x2},{y2} lies outside the frame")
    return (x1, y1, x2, y2), None


def _identifier(payload: object) -> str | None:
    value = payload.get("subscriptionIdentifier") if isinstance(payload, dict) else None
    return value[:256] if isinstance(value, str) else None


def _first_fault(exc: ValidationError, *, prefix: str = "", skip: int = 0) -> str:
    """Name the first field that is wrong, and what was expected of it."""
    fault = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    path = [part for part in (prefix, *fault["loc"][skip:]) if isinstance(part, int) or part.isidentifier()]
    return f"{'.'.join(map(str, path)) or 'message'}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _shown(kind: object) -> str:
    return repr(kind[:40]) if isinstance(kind, str) else "missing" if kind is None else f"of {type(kind).__name__}"
