"""The `detections` stream, between workers (writers, inside `contract.work`) and gateways (readers).

    detections  STREAM  s subscription id   c captured_ms   n 1 when nothing was seen   b the imageDetection, as sent

One entry per subscription and frame, in capture order for each subscription; trimmed by age and by memory. The body is
the finished message: a gateway relays its bytes, and reads in it only when it comes too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contract.errors import RecordInvalid
from contract.keys import Keys

#: Where an entry stands in the stream: server's Unix ms, number within it. Compares as the stream is ordered.
EntryId = tuple[int, int]


def entry_id(raw: bytes) -> EntryId:
    """Return the id that the server spells `raw`."""
    ms, _, number = raw.partition(b"-")
    return int(ms), int(number)


def following(entry: EntryId) -> EntryId:
    """Return the least id that comes after this one."""
    return entry[0], entry[1] + 1


def spelled(entry: EntryId) -> str:
    """Return the id as the server spells it."""
    return f"{entry[0]}-{entry[1]}"


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
