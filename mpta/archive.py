"""A stranger's zip: checked before and while it is unpacked, never trusted to say how large it is.

Own checks, because Python before 3.11.8 does not see overlapping entries (CVE-2024-0450) and no version limits
what a zip may expand to.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mpta.errors import shown
from mpta.names import duplicates, is_hidden, name_fault

_CHUNK = 1 << 18
#: Signature, version, flags, compression, time, date, CRC, packed and plain bytes, bytes of name and of extra field.
_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # By the old cipher, by a strong one, with hidden headers.
_SIZES_FOLLOW = 0x8
_UTF8 = 0x800
_IN_ZIP64_FIELD = 0xFFFF_FFFF
#: What `zipfile` raises on bytes that only look like a zip.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)
#: Below these sizes a high ratio is ordinary text, not a bomb.
_RATIO_FROM_BYTES = 1 << 20
_RATIO_FROM_TOTAL_BYTES = 8 << 20
_ARCHIVES = frozenset((".mpta", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar", ".whl"))


class EntryDamaged(ValueError):
    """The bytes of an entry are not what the archive says of them; `str()` ends a sentence that begins with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a package may be."""

    archive_bytes: int = 2 << 30
    entries: int = 256
    file_bytes: int = 1 << 30
    total_bytes: int = 2 << 30
    ratio: int = 100


def entry_faults(archive: zipfile.ZipFile, file: BinaryIO, limits: Limits) -> list[str]:
    """Return what is wrong with the entries as the archive describes them; nothing is decompressed."""
    entries = archive.infolist()
    if len(entries) > limits.entries:
        return [f"more than {limits.entries} entries"]
    faults = [f"entry '{shown(e.orig_filename)}' {fault}" for e in entries for fault in _entry_faults(e, limits)]
    total = sum(entry.file_size for entry in entries)
    if not faults and total > limits.total_bytes:
        faults.append(f"the entries expand to more than {limits.total_bytes} bytes")
    elif not faults and total > max(
        _RATIO_FROM_TOTAL_BYTES, limits.ratio * sum(entry.compress_size for entry in entries)
    ):
        faults.append(f"the entries together expand to more than {limits.ratio} times their size")
    faults += [f"entry '{shown(name)}' is there twice" for name in duplicates(e.filename for e in entries)]
    folders = {folder for entry in entries for folder in PurePosixPath(entry.filename).parents}
    both = [e.filename for e in entries if e.filename[-1:] not in ("", "/") and PurePosixPath(e.filename) in folders]
    faults += [f"entry '{shown(name)}' is a file and a folder" for name in both]
    return faults or local_faults(archive, file)


def local_faults(archive: zipfile.ZipFile, file: BinaryIO) -> list[str]:
    """Return what is wrong with the headers that stand before the entries' bytes, and which entries share bytes.

    The directory repeats these headers. Where the two disagree, two readers see two archives.
    """
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    starts = [*(entry.header_offset for entry in entries[1:]), archive.start_dir]
    return [
        f"entry '{shown(entry.filename)}' {fault}"
        for entry, next_start in zip(entries, starts, strict=False)  # An empty one has a start too many.
        for fault in _local_faults(entry, file, next_start)
    ]


def _local_faults(entry: zipfile.ZipInfo, file: BinaryIO, next_start: int) -> Iterator[str]:
    file.seek(max(0, entry.header_offset))
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        yield "is not where the directory says"
        return
    _, _, flags, method, _, _, crc, packed, plain, name_bytes, extra_bytes = _LOCAL.unpack(header)
    if file.read(name_bytes) != entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437"):
        yield "has another name where its bytes are"
    if method != entry.compress_type or (flags ^ entry.flag_bits) & _ENCRYPTED:
        yield "is packed otherwise than the directory says"
    if not flags & _SIZES_FOLLOW and _IN_ZIP64_FIELD not in (packed, plain):
        if (packed, plain) != (entry.compress_size, entry.file_size):
            yield "has another size where its bytes are"
        elif crc != entry.CRC:
            yield "has another checksum where its bytes are"
    if entry.header_offset + _LOCAL.size + name_bytes + extra_bytes + entry.compress_size > next_start:
        yield "overlaps another"


def unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> str:
    """Copy one entry to a new file, chunk by chunk; return its sha256 in hex.

    `zipfile` gives at most the bytes that the directory claims, and those are within the limits.

    Raises:
        EntryDamaged: its bytes are not what the directory says.
    """
    digest = hashlib.sha256()
    count = 0
    try:
        with archive.open(entry) as source, target.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                count += len(chunk)
                digest.update(chunk)
                sink.write(chunk)
    except (zlib.error, EOFError) as exc:
        raise EntryDamaged("cannot be decompressed") from exc
    except ZIP_ERRORS as exc:
        raise EntryDamaged("does not match its checksum") from exc
    if count != entry.file_size:
        raise EntryDamaged("is shorter than the directory says")
    return digest.hexdigest()


def _entry_faults(entry: zipfile.ZipInfo, limits: Limits) -> Iterator[str]:
    if fault := name_fault(entry.orig_filename):
        yield fault
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "is a symbolic link" if kind == stat.S_IFLNK else "is not a plain file"
    if entry.flag_bits & _ENCRYPTED:
        yield "is encrypted"
    if entry.file_size > limits.file_bytes:
        yield f"is larger than {limits.file_bytes} bytes"
    elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "uses a compression other than deflate"
    elif entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        yield "is stored as it is, yet has two sizes"
    elif entry.file_size > max(_RATIO_FROM_BYTES, limits.ratio * entry.compress_size):
        yield f"expands to more than {limits.ratio} times its size"
    if PurePosixPath(entry.filename).suffix.lower() in _ARCHIVES and not is_hidden(entry.filename):
        yield "is an archive inside the archive; pack its content instead"
