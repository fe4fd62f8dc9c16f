"""The end of a zip, which says where its directory lies: read strictly, before anything else of the archive.

Readers disagree on a zip whose end is ambiguous (something put before it, after it or into its comment), so one
could be shown a harmless archive and another run a different one. Only the plain case passes. What the end claims
is bounded before `zipfile` reads the directory, which costs memory per entry claimed.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

_LOCAL = b"PK\x03\x04"
_SIGNATURE = b"PK\x05\x06"
#: Signature, this disk, disk of the directory, entries here, entries, directory's bytes and offset, comment's bytes.
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_MAX_COMMENT = 65_535


def zip_fault(file: BinaryIO, *, entries: int, zip64: bool = False) -> str | None:
    """Return why the archive's directory must not be read, or None.

    There may be `entries` of them; `zip64` allows the form of the end for more than 4 GiB, which torch writes always.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(4)
    file.seek(max(0, size - _MAX_COMMENT - _END.size))
    tail = file.read()
    ends = [
        match.start() for match in re.finditer(re.escape(_SIGNATURE), tail) if match.start() + _END.size <= len(tail)
    ]
    if not ends:
        return "a zip archive that breaks off before its end; copy it again" if head == _LOCAL else "not a zip archive"
    whole = [end for end in ends if _after(tail, end) == 0]
    if not whole:
        late = (
            "with something after its end" if _after(tail, ends[-1]) > 0 else "whose comment breaks off; copy it again"
        )
        return f"a zip archive {late}"
    found = whole[0]
    if found != ends[-1]:
        return "a zip archive whose comment holds the end of another"
    _, disk, first_disk, here, count, directory, offset, _ = _END.unpack_from(tail, found)
    if disk or first_disk or here != count:
        return "one part of a zip archive that was split"
    at = size - len(tail) + found
    locator = tail[max(0, found - _LOCATOR.size) : found]
    if locator.startswith(b"PK\x06\x07"):
        if not zip64:
            return "a zip64 archive; nothing of the allowed size needs one"
        at -= _LOCATOR.size + _END64.size
        file.seek(max(0, at))
        record = file.read(_END64.size)
        if at < 0 or not record.startswith(b"PK\x06\x06"):
            return "a zip64 archive without its end"
        *_, count, directory, offset = _END64.unpack(record)
    if count > entries or directory > entries * 1024:
        return f"more than {entries} entries"
    if head not in (_LOCAL, _SIGNATURE):
        return "a zip archive with something before its start"
    if offset + directory != at:
        return "a zip archive whose directory is not where its end says"
    return None


def _after(tail: bytes, end: int) -> int:
    """Return how many bytes follow the comment of the end at this place; below zero: how many are missing."""
    (comment,) = struct.unpack_from("<H", tail, end + _END.size - 2)
    return len(tail) - end - _END.size - int(comment)
