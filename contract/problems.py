"""The `problems` stream, between capture and workers (writers) and gateways (readers).

    problems    STREAM  s subscription id   k code   t a sentence with what to do   kept for `KEPT_MS`
    told:{...}  STRING  per (subscription, its revision, code): it was told; expires after the caller's quiet time

Trouble is told once to each subscription that it concerns, however many processes meet it, and again to a subscription
that was made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from redis import Redis

from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.scripts import Script
from contract.subscriptions import Subscription
from contract.urls import redact

KEPT_MS = 300_000
_DAY_MS = 86_400_000

_PROBLEM = Script("problem.lua")
_RECOVERED = Script("recovered.lua")


class Code(StrEnum):
    """What a CMS may be told, in stable words."""

    BAD_JSON = "bad_json"
    UNKNOWN_TYPE = "unknown_type"
    BAD_FIELD = "bad_field"
    MESSAGE_TOO_LARGE = "message_too_large"
    TOO_MANY_MESSAGES = "too_many_messages"
    BAD_IDENTIFIER = "bad_identifier"
    BAD_CROP = "bad_crop"
    NO_SOURCE = "no_source"
    URL_NOT_ALLOWED = "url_not_allowed"
    STREAM_LIMIT = "stream_limit"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_INVALID = "model_invalid"
    MODEL_FAILED = "model_failed"
    ACTION_DISABLED = "action_disabled"
    CAMERA_UNREACHABLE = "camera_unreachable"
    CAMERA_UNAUTHORIZED = "camera_unauthorized"
    CAMERA_UNSUPPORTED = "camera_unsupported"
    CAMERA_STALLED = "camera_stalled"
    CAMERA_IMAGE = "camera_image"
    CAMERA_RECOVERED = "camera_recovered"
    OVERLOADED = "overloaded"
    RESULTS_LOST = "results_lost"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Problem:
    """What the owner of a subscription is told."""

    subscription: str
    code: str
    text: str


def tell(
    redis: Redis,
    keys: Keys,
    subscription: Subscription,
    code: Code,
    text: str,
    *,
    about: str = "",
    quiet_ms: int = _DAY_MS,
) -> bool:
    """Tell a subscription's owner of trouble, unless it was told within `quiet_ms`; return whether it is news.

    `about` tells one trouble of a code from another, such as two versions of a package: each is told by itself.
    """
    told = keys.told(subscription.id, str(subscription.revision), code, *([about] if about else []))
    args = (quiet_ms, KEPT_MS, subscription.id, code, redact(text))
    return bool(_PROBLEM(redis, [told, keys.problems], args))


def tell_recovered(redis: Redis, keys: Keys, subscription: Subscription, code: Code, text: str) -> bool:
    """Tell that the trouble `code` is over, if it had been told; return whether it had."""
    told = keys.told(subscription.id, str(subscription.revision), code)
    args = (KEPT_MS, subscription.id, Code.CAMERA_RECOVERED, redact(text))
    return bool(_RECOVERED(redis, [told, keys.problems], args))


def forget(redis: Redis, keys: Keys, subscription: Subscription, code: Code) -> None:
    """Let the trouble `code` be told again when it returns."""
    redis.delete(keys.told(subscription.id, str(subscription.revision), code))


def decode(keys: Keys, fields: Mapping[bytes, bytes]) -> Problem:
    """Return a stream entry's content.

    Raises:
        RecordInvalid: a field is missing.
    """
    try:
        return Problem(fields[b"s"].decode(), fields[b"k"].decode(), fields[b"t"].decode())
    except KeyError as exc:
        raise RecordInvalid(keys.problems, f"bad entry (no {exc})") from exc
