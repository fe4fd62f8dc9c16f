"""The `detections` stream, between workers (writers, inside `contract.work`) and gateways (readers).

    detections  STREAM  s subscription id   c captured_ms   n 1 when nothing was seen   b the imageDetection, as sent

One entry per subscription and frame, in capture order for each subscription; trimmed by age. The body is the finished
message: a gateway relays its bytes and parses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contract.errors import RecordInvalid
from contract.keys import Keys


@dataclass(frozen=True, slots=True)
class Entry:
    """One result for one subscription.

    Attributes:
        nothing: the frame shows nothing that counts.
        body: the `imageDetection` message, JSON in UTF-8.
    """

    subscription: str
    captured_ms: int
    nothing: bool
    body: bytes


def decode(keys: Keys, fields: Mapping[bytes, bytes]) -> Entry:
    """Return a stream entry's content.

    Raises:
        RecordInvalid: a field is missing or is no number.
    """
    try:
        return Entry(fields[b"s"].decode(), int(fields[b"c"]), fields[b"n"] == b"1", fields[b"b"])
    except (KeyError, ValueError) as exc:
        raise RecordInvalid(keys.detections, f"bad entry ({exc})") from exc
