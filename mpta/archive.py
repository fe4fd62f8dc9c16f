"""A stranger's zip: checked before and while it is unpacked, never trusted to say how large it is.

Own checks, because Python before 3.11.8 does not see overlapping entries (CVE-2024-0450) and no version limits
what a zip may expand to.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mpta.errors import shown

_CHUNK = 1 << 18
_END = b"PK\x05\x06"
_END_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_LOCAL = struct.Struct("<4s22xHH")
#: What `zipfile` raises on bytes that only look like a zip.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
#: Below this size a high ratio is ordinary text, not a bomb.
_RATIO_FROM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a package may be."""

    archive_bytes: int = 2 << 30
    entries: int = 256
    file_bytes: int = 1 << 30
    total_bytes: int = 2 << 30
    ratio: int = 100


def directory_fault(file: BinaryIO, limits: Limits) -> str | None:
    """Return why the zip's directory must not even be read, or None. Reading it costs memory per entry claimed."""
    size = file.seek(0, 2)
    if size > limits.archive_bytes:
        return f"the archive is larger than {limits.archive_bytes} bytes"
    file.seek(max(0, size - 65_535 - _END_BYTES))
    tail = file.read()
    file.seek(0)
    last = len(tail) - _END_BYTES
    found = last if last >= 0 and tail[last:].startswith(_END) else tail.rfind(_END)
    if found < 0 or len(tail) - found < _END_BYTES:
        return "not a zip archive"
    count, directory_bytes = struct.unpack_from("<HI", tail, found + 10)
    if _ZIP64_LOCATOR in tail[max(0, found - 20) : found]:
        return "a zip64 archive; nothing of the allowed size needs one"
    if count > limits.entries or directory_bytes > limits.entries * 1024:
        return f"more than {limits.entries} entries"
    return None


def entry_faults(archive: zipfile.ZipFile, file: BinaryIO, limits: Limits) -> list[str]:
    """Return what is wrong with the entries as the archive describes them; nothing is decompressed."""
    entries = archive.infolist()
    if len(entries) > limits.entries:
        return [f"more than {limits.entries} entries"]
    faults = [f"entry '{shown(e.orig_filename)}' {fault}" for e in entries for fault in _entry_faults(e, limits)]
    if sum(entry.file_size for entry in entries) > limits.total_bytes:
        faults.append(f"the entries expand to more than {limits.total_bytes} bytes")
    faults += [f"entry '{shown(name)}' is there twice" for name in duplicates(e.filename for e in entries)]
    return faults or overlaps(archive, file)


def name_fault(name: str) -> str | None:
    """Return why a path inside a package is refused, or None."""
    parts = name.removesuffix("/").split("/")
    if any(ord(character) < 32 or ord(character) == 127 or "\ud800" <= character <= "\udfff" for character in name):
        return "has a control character in its name"
    if "\\" in name:
        return "has a backslash in its name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in parts:
        return "leaves the package"
    if any(part in ("", ".") or part != part.rstrip(" .") or len(part.encode()) > 200 for part in parts):
        return "has a name that not every system can store"
    if len(parts) > 16:
        return "lies too deep in folders"
    if any(_DEVICE.fullmatch(part) for part in parts):
        return "has the name of a device"
    return None


def duplicates(names: Iterable[str]) -> list[str]:
    """Return the names that some system would take for one seen before: same but for case or Unicode form."""
    seen: set[str] = set()
    again = []
    for name in names:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).rstrip("/")
        if folded in seen:
            again.append(name)
        seen.add(folded)
    return again


def overlaps(archive: zipfile.ZipFile, file: BinaryIO) -> list[str]:
    """Return a fault for each entry that shares bytes with another or with the directory."""
    faults = []
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    starts = [entry.header_offset for entry in entries[1:]] + [archive.start_dir]
    for entry, next_start in zip(entries, starts, strict=True):
        file.seek(max(0, entry.header_offset))
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            faults.append(f"entry '{shown(entry.filename)}' is damaged")
            continue
        _, name_bytes, extra_bytes = _LOCAL.unpack(header)
        end = entry.header_offset + _LOCAL.size + name_bytes + extra_bytes + entry.compress_size
        if end > next_start:
            faults.append(f"entry '{shown(entry.filename)}' overlaps another")
    return faults


class Unpacker:
    """Copies entries out of an archive while counting what really comes, and hashes each."""

    def __init__(self, archive: zipfile.ZipFile, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._total = 0

    def copy(self, entry: zipfile.ZipInfo, target: Path | None) -> str | None:
        """Copy one entry to `target` (None: only read it); return its sha256, or None when a limit was passed.

        Raises:
            ZIP_ERRORS: the entry is damaged.
        """
        digest = hashlib.sha256()
        count = 0
        with self._archive.open(entry) as source, nullcontext() if target is None else target.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                count += len(chunk)
                self._total += len(chunk)
                if count > self._limits.file_bytes or self._total > self._limits.total_bytes:
                    return None
                if count > _RATIO_FROM_BYTES and count > self._limits.ratio * max(1, entry.compress_size):
                    return None
                digest.update(chunk)
                if sink is not None:
                    sink.write(chunk)
        if count != entry.file_size:
            raise zipfile.BadZipFile("size differs from the header")
        return digest.hexdigest()


def _entry_faults(entry: zipfile.ZipInfo, limits: Limits) -> list[str]:
    faults = []
    if fault := name_fault(entry.orig_filename):
        faults.append(fault)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        faults.append("is a symbolic link" if kind == stat.S_IFLNK else "is not a plain file")
    if entry.flag_bits & 0x41:
        faults.append("is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        faults.append("uses a compression other than deflate")
    if entry.file_size > limits.file_bytes:
        faults.append(f"is larger than {limits.file_bytes} bytes")
    if entry.file_size > max(_RATIO_FROM_BYTES, limits.ratio * entry.compress_size):
        faults.append(f"expands to more than {limits.ratio} times its size")
    return faults
