"""The end of a zip, which says where its directory lies: read strictly, before anything else of the archive.

Readers disagree on a zip whose end is ambiguous (something put before it, after it or into its comment), so one
could be shown a harmless archive and another run a different one. Only the plain case passes. What the end claims
is bounded before `zipfile` reads the directory, which costs memory per entry claimed.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

_LOCAL = b"PK\x03\x04"
_SIGNATURE = b"PK\x05\x06"
#: Signature, this disk, disk of the directory, entries here, entries, directory's bytes and offset, comment's bytes.
_END = struct.Struct("<4s4H2IH")
#: Signature, bytes, versions, disks, entries here, entries, directory's bytes and offset.
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_ZIP64_BYTES = _END64.size + _LOCATOR.size
_MAX_COMMENT = 65_535
#: Bytes of the directory per entry: 46, a name of 300 and what else tools write there.
_ENTRY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class _End:
    """The end of an archive, found at the place `at` of the file."""

    at: int
    disk: int
    first_disk: int
    here: int
    count: int
    directory: int
    offset: int
    comment: int

    @property
    def past(self) -> int:
        """Place behind the comment."""
        return self.at + _END.size + self.comment

    def fits(self) -> bool:
        """Return whether the directory lies right before it, as far as it says so itself."""
        return self.at - self.offset - self.directory in (0, _ZIP64_BYTES)


def zip_fault(file: BinaryIO, *, entries: int, zip64: bool = False) -> str | None:
    """Return why the archive's directory must not be read, or None.

    There may be `entries` of them; `zip64` allows the form of the end for more than 4 GiB, which torch writes always.
    """
    size = file.seek(0, os.SEEK_END)
    head = _at(file, 0, 4)
    ends = _ends(file, size)
    if not ends:
        return "a zip archive that breaks off before its end; copy it again" if head == _LOCAL else "not a zip archive"
    whole = [end for end in ends if end.past == size]
    if not whole:
        return _unfinished(ends[-1], size)
    if whole[0] != ends[-1]:
        return "a zip archive whose comment holds the end of another"
    end = whole[0]
    if end.disk or end.first_disk or end.here != end.count:
        return "one part of a zip archive that was split"
    if _at(file, end.at - _LOCATOR.size, 4) == b"PK\x06\x07":
        if not zip64:
            return "a zip64 archive; nothing of the allowed size needs one"
        record = _at(file, end.at - _ZIP64_BYTES, _END64.size)
        if not record.startswith(b"PK\x06\x06"):
            return "a zip64 archive without its end"
        *_, count, directory, offset = _END64.unpack(record)
        end = _End(end.at - _ZIP64_BYTES, 0, 0, count, count, directory, offset, 0)
    if end.count > entries or end.directory > entries * _ENTRY_BYTES:
        return f"more than {entries} entries"
    if head not in (_LOCAL, _SIGNATURE):
        return "a zip archive with something before its start"
    if end.offset + end.directory != end.at:
        return "a zip archive whose directory is not where its end says"
    if _listed(_at(file, end.offset, end.directory)) != end.count:
        return "a zip archive whose directory is damaged"
    return None


def _ends(file: BinaryIO, size: int) -> list[_End]:
    """Return all that looks like an end and may be one, first to last."""
    start = max(0, size - _MAX_COMMENT - _END.size)
    tail = _at(file, start, size - start)
    places = [match.start() for match in re.finditer(re.escape(_SIGNATURE), tail)]
    return [_End(start + at, *_END.unpack_from(tail, at)[1:]) for at in places if at + _END.size <= len(tail)]


def _unfinished(end: _End, size: int) -> str:
    """Return what is wrong with an archive in which no end is right at the end of the file."""
    if not end.fits():  # It belongs to an archive inside this one.
        return "a zip archive that breaks off before its end; copy it again"
    late = "with something after its end" if end.past < size else "whose comment breaks off; copy it again"
    return f"a zip archive {late}"


def _listed(directory: bytes) -> int:
    """Return how many entries the directory has, as far as it is one."""
    count = at = 0
    while directory.startswith(b"PK\x01\x02", at) and at + 46 <= len(directory):
        at += 46 + sum(struct.unpack_from("<3H", directory, at + 28))
        count += at <= len(directory)
    return count if at == len(directory) else -1


def _at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(max(0, place))
    return file.read(count)
