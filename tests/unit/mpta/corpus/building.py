"""Zips written byte by byte, so that each of their numbers can lie; and a package that is sound but for one thing."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.unit.mpta.toys import node

Build: TypeAlias = Callable[[], bytes]
#: The one sentence of a refusal, behind the name of the package, to the packages that are refused with it.
Refusals: TypeAlias = Mapping[str, Mapping[str, Build]]

MANIFEST = json.dumps({"pipeline": node("detect")}).encode()
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")


def stored_zip(files: Mapping[str, bytes]) -> bytes:
    """Return an ordinary zip whose entries are not compressed, as torch writes it."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # Of 1980: the same bytes each time.
    return whole.getvalue()


def checkpoint(pickled: bytes = b"\x80\x02}q\x00.", **records: bytes) -> bytes:
    """Return a `.pt` of this pickle with storages by their keys."""
    storages = {f"m/data/{key}": content for key, content in records.items()}
    return stored_zip({"m/data.pkl": pickled, **storages, "m/version": b"3\n"})


def package(**files: bytes) -> bytes:
    """Return a sound package with files added or, by `_` for the dot of their names, replaced."""
    named = {name.replace("_", "."): content for name, content in files.items()}
    return stored_zip({"pipeline.json": MANIFEST, "detect.pt": checkpoint(), **named})


def manifest_of(root: Mapping[str, Any], **top: Any) -> bytes:
    """Return a package with this root node."""
    return package(pipeline_json=json.dumps({"pipeline": root, **top}).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; `local` and `central` replace numbers of the header before its bytes and of the one in the directory.

    They are: flags method crc packed plain, name and extra as bytes; `central` also version attributes offset.
    """

    name: bytes
    data: bytes = b"text"
    packed: bytes | None = None
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)


SOUND = (Entry(name=b"pipeline.json", data=MANIFEST), Entry(name=b"detect.pt", data=checkpoint()))


def raw_zip(
    *more: Entry, entries: Sequence[Entry] = SOUND, before: bytes = b"", after: bytes = b"", **end: Any
) -> bytes:
    """Return a zip of the sound entries and more; `end` replaces numbers of the end of the directory.

    They are: disk, first_disk, here, count, directory, offset, comment as bytes, comment_bytes, and locator as bytes
    that stand before it.
    """
    body, directory = before, b""
    for entry in (*entries, *more):
        written, listed = _headers(entry, len(body))
        body, directory = body + written, directory + listed
    count, comment = len(entries) + len(more), end.get("comment", b"")
    numbers = _END.pack(
        b"PK\x05\x06",
        end.get("disk", 0),
        end.get("first_disk", 0),
        end.get("here", count),
        end.get("count", count),
        end.get("directory", len(directory)),
        end.get("offset", len(body)),
        end.get("comment_bytes", len(comment)),
    )
    locator: bytes = end.get("locator", b"")
    return body + directory + locator + numbers + bytes(comment) + after


def _headers(entry: Entry, offset: int) -> tuple[bytes, bytes]:
    packed = entry.data if entry.packed is None else entry.packed
    usual: dict[str, Any] = {
        "version": 20,
        "flags": 0,
        "method": 0,
        "crc": zlib.crc32(entry.data),
        "packed": len(packed),
        "plain": len(entry.data),
        "name": entry.name,
        "extra": b"",
        "attributes": 0o100644 << 16,
        "offset": offset,
    }
    here, there = usual | dict(entry.local), usual | dict(entry.central)
    numbers = [(h["flags"], h["method"], 0, 0x21, h["crc"], h["packed"], h["plain"]) for h in (here, there)]
    lengths = [(len(h["name"]), len(h["extra"])) for h in (here, there)]
    local: bytes = _LOCAL.pack(b"PK\x03\x04", 20, *numbers[0], *lengths[0]) + here["name"] + here["extra"]
    places = (0, 0, 0, there["attributes"], there["offset"])
    central: bytes = _CENTRAL.pack(b"PK\x01\x02", 20, there["version"], *numbers[1], *lengths[1], *places)
    data: bytes = packed
    return local + data, central + there["name"] + there["extra"]


def deflated(data: bytes) -> bytes:
    """Return the bytes as a zip holds them under method 8."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()
