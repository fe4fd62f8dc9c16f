"""The `imageDetection` message, made once by the worker; gateways relay its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from contract.keys import digest
from contract.results import Entry
from contract.sessions import SessionId
from contract.subscriptions import Subscription

#: What `detection` says when nothing that counts is seen.
NOTHING = {"class": "none", "confidence": 1.0}


def timestamp(captured_ms: int) -> str:
    """Return Unix ms as ISO 8601 in UTC with milliseconds: 2025-07-14T12:34:56.789Z."""
    moment = datetime.fromtimestamp(captured_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{captured_ms % 1000:03d}Z"


def entry(
    subscription: Subscription, seq: int, captured_ms: int, session: SessionId, detection: Mapping[str, Any] | None
) -> Entry:
    """Return the stream entry of one result for one subscription; `detection` None: nothing was seen."""
    message: dict[str, Any] = {
        "type": "imageDetection",
        "subscriptionIdentifier": subscription.id,
        "timestamp": timestamp(captured_ms),
    }
    if session is not None:
        message["sessionId"] = session
    message["data"] = {
        "detection": NOTHING if detection is None else detection,
        "modelId": subscription.model_id,
        "modelName": subscription.model_name,
    }
    message["detectionId"] = digest(subscription.id, seq)
    body = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    return Entry(subscription.id, captured_ms, detection is None, body)
