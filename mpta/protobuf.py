"""The wire format of protocol buffers, read from a file in passing: what is not asked for is never in memory.

The `onnx` library parses a file whole, and a model of 500 MB then takes twice that (and 0.4 s to import). Here a
field of bytes is a place in the file, read or entered only on request.
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_CHUNK = 1 << 12
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireDamaged(ValueError):
    """The bytes are no message, or more fields than allowed."""


class Reader:
    """A file with a window on it, and the number of fields that may still be read from it."""

    def __init__(self, file: BinaryIO, fields: int) -> None:
        """Store them; the file must stay as long as it is."""
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._left = fields
        self._chunk = b""
        self._at = 0

    def count(self) -> None:
        """Count one field.

        Raises:
            WireDamaged: it is one too many.
        """
        self._left -= 1
        if self._left < 0:
            raise WireDamaged("too many fields")

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """Return the unsigned number at a place and the place after it.

        Raises:
            WireDamaged: there is none before `end`.
        """
        value = 0
        for shift in range(0, 64, 7):
            if at >= end:
                break
            if not self._at <= at < self._at + len(self._chunk):
                self._at, self._chunk = at, self.bytes(at, min(_CHUNK, self.size - at))
            byte = self._chunk[at - self._at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise WireDamaged("no number")

    def bytes(self, at: int, count: int) -> bytes:
        """Return bytes of the file."""
        self._file.seek(at)
        found = self._file.read(count)
        if len(found) < count:
            raise WireDamaged("the file became shorter")
        return found


@dataclass(frozen=True, slots=True)
class Span:
    """A field of bytes: a text, packed numbers or a message, from `start` up to `end` in the file."""

    reader: Reader
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def read(self, most: int) -> bytes:
        """Return the bytes.

        Raises:
            WireDamaged: they are more than `most`.
        """
        if len(self) > most:
            raise WireDamaged("a text is too long")
        return self.reader.bytes(self.start, len(self))

    def fields(self) -> Iterator[tuple[int, int | Span]]:
        """Yield number and value of each field of the message; of numbers that fill 4 or 8 bytes the place.

        Raises:
            WireDamaged: the bytes are no message.
        """
        at = self.start
        while at < self.end:
            self.reader.count()
            tag, at = self.reader.varint(at, self.end)
            kind = tag & 7
            if kind == _VARINT:
                value, at = self.reader.varint(at, self.end)
                yield tag >> 3, value
                continue
            if kind == _BYTES:
                length, at = self.reader.varint(at, self.end)
            elif kind in (_FIXED64, _FIXED32):
                length = 8 if kind == _FIXED64 else 4
            else:
                raise WireDamaged("no such kind of field")
            if length > self.end - at:
                raise WireDamaged("a field ends behind its message")
            yield tag >> 3, Span(self.reader, at, at + length)
            at += length
