"""Bad archives: what is wrong is told before anything is decompressed, or while it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile

from tests.unit.mpta.corpus.building import (
    MANIFEST,
    SOUND,
    Build,
    Entry,
    Refusals,
    checkpoint,
    deflated,
    package,
    raw_zip,
    stored_zip,
)

_ZEROS = deflated(bytes(20 << 20))
_MEGABYTE = bytes(1 << 20)
_PACKED_MEGABYTE = deflated(_MEGABYTE)


def _named(name: str) -> Build:
    return lambda: raw_zip(Entry(name=name.encode(), local={"flags": 0x800}, central={"flags": 0x800}))


def _both(data: bytes = b"text", packed: bytes | None = None, **numbers: int) -> Build:
    """Return a zip with an entry whose two headers say the same."""
    entry = Entry(name=b"odd.txt", data=data, packed=packed, local=numbers, central=numbers)
    return lambda: raw_zip(entry)


def _directory_only(name: bytes = b"odd.txt", **numbers: int) -> Build:
    return lambda: raw_zip(Entry(name=name, central=numbers))


def _local_only(**numbers: object) -> Build:
    return lambda: raw_zip(Entry(name=b"odd.txt", local=numbers))


def _mode(mode: int) -> Build:
    return _directory_only(attributes=mode << 16)


def _packed_model(packed: bytes, data: bytes) -> Build:
    """Return a zip whose model is deflated to these bytes, whatever they are."""
    both = {"method": 8}
    model = Entry(name=b"detect.pt", data=data, packed=packed, local=both, central=both)
    return lambda: raw_zip(entries=(SOUND[0], model))


def _tar() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        info = tarfile.TarInfo("pipeline.json")
        info.size = len(MANIFEST)
        archive.addfile(info, io.BytesIO(MANIFEST))
    return whole.getvalue()


def _overlapping() -> bytes:
    """Two entries of the directory over the bytes of one, as the better zip bombs have them (CVE-2024-0450)."""
    first = Entry(name=b"same.txt", data=b"a" * 99)
    return raw_zip(first, Entry(name=b"same.tx2", data=b"a" * 99, central={"offset": len(_body(*SOUND))}))


def _quoted() -> bytes:
    """An entry whose stored bytes are the next entry with its header."""
    inner = raw_zip(entries=(Entry(name=b"inner.txt"),))[: 30 + 9 + 4]
    return raw_zip(
        Entry(name=b"outer.txt", data=inner),
        Entry(name=b"inner.txt", central={"offset": len(_body(*SOUND)) + 30 + 9}),
    )


def _body(*entries: Entry) -> bytes:
    """Return a zip without its directory and end."""
    whole = raw_zip(entries=entries)
    (offset,) = struct.unpack_from("<I", whole, len(whole) - 6)
    return whole[:offset]


def _locator() -> bytes:
    """The end of a zip64 that claims four thousand million entries."""
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 32, 1 << 32, 1 << 40, 0)
    return record + struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)


def _quine() -> bytes:
    """A package that holds itself, as far as a fixed point can be written down without one."""
    return package(package_mpta=package(package_mpta=package()))


ZIPS: Refusals = {
    "not a zip archive": {
        "empty file": lambda: b"",
        "text": lambda: b"hello",
        "page": lambda: b"<!DOCTYPE html><title>404</title>",
        "gzip": lambda: gzip.compress(MANIFEST, mtime=0),
        "tar": _tar,
        "7z": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(100),
        "an end and no more": lambda: b"PK\x05\x06",
    },
    "a zip archive that breaks off before its end; copy it again": {
        "cut in half": lambda: package()[:400],
        "cut in its end": lambda: package()[:-19],
    },
    "a zip archive with something after its end": {
        "trailing text": lambda: package() + b"trailing",
        "trailing zeros": lambda: package() + bytes(4096),
        "short comment": lambda: raw_zip(comment=b"comment", comment_bytes=3),
    },
    "a zip archive whose comment breaks off; copy it again": {"long comment": lambda: raw_zip(comment_bytes=100)},
    "a zip archive whose comment holds the end of another": {
        "two in one": lambda: raw_zip(comment=raw_zip(entries=(Entry(name=b"pipeline.json", data=b"{}"),))),
        "an end that fits": lambda: raw_zip(comment=b"PK\x05\x06" + bytes(18)),
        "an end that does not": lambda: raw_zip(comment=b"PK\x05\x06" + b"\xff" * 18),
    },
    "a zip archive with something before its start": {
        "program before": lambda: b"#!/bin/sh\nexit\n" + package(),
        "program before, offsets mended": lambda: raw_zip(before=b"MZ program"),
    },
    "a zip archive whose directory is not where its end says": {
        "directory before": lambda: raw_zip(offset=10),
        "directory behind": lambda: raw_zip(offset=1 << 31),
        "directory short": lambda: raw_zip(directory=40),
        "zip before": lambda: stored_zip({"a.txt": b"a"}) + package(),
    },
    "one part of a zip archive that was split": {
        "second disk": lambda: raw_zip(disk=1, first_disk=1),
        "part of the entries": lambda: raw_zip(here=1),
    },
    "a zip64 archive; nothing of the allowed size needs one": {
        "claims 2^32 entries": lambda: raw_zip(locator=_locator())
    },
    "a zip archive whose directory is damaged": {
        "one entry too few": lambda: raw_zip(here=1, count=1),
        "one entry too many": lambda: raw_zip(here=9, count=9),
        "newer than we": lambda: raw_zip(Entry(name=b"odd.txt", central={"version": 99})),
        "extra field cut": lambda: raw_zip(Entry(name=b"odd.txt", central={"extra": b"\x01\x00\xff\xff"})),
        "zip64 field lacks": lambda: raw_zip(
            Entry(name=b"odd.txt", central={"plain": 0xFFFFFFFF, "extra": b"\x01\x00\x00\x00"})
        ),
        "name is no UTF-8": lambda: raw_zip(Entry(name=b"\xff\xfe.txt", central={"flags": 0x800})),
    },
    "more than 256 entries": {
        "300 entries": lambda: stored_zip({f"{i}.txt": b"" for i in range(300)}),
        "claims 60,000": lambda: raw_zip(here=60_000, count=60_000),
        "directory of 1 MB": lambda: raw_zip(
            Entry(name=b"odd.txt", central={"name": b"o" * 60_000}), directory=1 << 20
        ),
    },
    "entry 'odd.txt' is not where the directory says": {
        "offset beyond": _directory_only(offset=1 << 30),
    },
    "entry 'odd.txt' has another name where its bytes are": {"two names": _local_only(name=b"../evil")},
    "entry 'odd.txt' is packed otherwise than the directory says": {
        "two methods": _local_only(method=8),
        "encrypted in one": _local_only(flags=1),
    },
    "entry 'odd.txt' has another size where its bytes are": {
        "two sizes": _local_only(plain=3),
        "two packed sizes": _local_only(packed=5),
    },
    "entry 'odd.txt' has another checksum where its bytes are": {"two checksums": _local_only(crc=7)},
    "entry 'odd.txt' is stored as it is, yet has two sizes": {"stored in two sizes": _both(plain=9)},
    "entry 'same.txt' overlaps another; entry 'same.tx2' has another name where its bytes are": {
        "one body": _overlapping
    },
    "entry 'pipeline.json' overlaps another; entry 'odd.txt' is not where the directory says": {
        "offset in another": _directory_only(offset=7)
    },
    "entry 'outer.txt' overlaps another": {"quoted body": _quoted},
    "entry 'detect.pt' overlaps another": {
        "into the directory": lambda: raw_zip(
            entries=(
                SOUND[0],
                Entry(name=b"detect.pt", local={"packed": 99, "plain": 99}, central={"packed": 99, "plain": 99}),
            )
        )
    },
    "entry 'odd.txt' is encrypted": {
        "old cipher": _both(flags=0x1),
        "strong cipher": _both(flags=0x41),
        "hidden headers": _both(flags=0x2000),
    },
    "entry 'odd.txt' uses a compression other than deflate": {
        "deflate64": _both(method=9),
        "bzip2": _both(packed=bz2.compress(b"text"), method=12),
        "lzma": _both(packed=lzma.compress(b"text"), method=14),
        "zstd": _both(method=93),
        "WinZip's AES": _both(method=99),
        "implode": _both(method=6),
    },
    "entry 'odd.txt' is a symbolic link": {"link": _mode(stat.S_IFLNK | 0o777)},
    "entry 'odd.txt' is not a plain file": {
        "pipe": _mode(stat.S_IFIFO | 0o666),
        "block device": _mode(stat.S_IFBLK | 0o666),
        "socket": _mode(stat.S_IFSOCK | 0o666),
    },
    "entry '../evil.txt' leaves the package": {"parent": _named("../evil.txt")},
    "entry 'a/../../evil.txt' leaves the package": {"inner parent": _named("a/../../evil.txt")},
    "entry '/evil.txt' has an absolute path": {"absolute": _named("/evil.txt")},
    "entry 'C:evil.txt' has an absolute path": {"drive": _named("C:evil.txt")},
    r"entry '\\\\host\\evil.txt' has a backslash in its name": {"share": _named("\\\\host\\evil.txt")},
    r"entry '..\\evil.txt' has a backslash in its name": {"backslash": _named("..\\evil.txt")},
    r"entry 'a\x1b[2Jb.txt' has a control character in its name": {"terminal": _named("a\x1b[2Jb.txt")},
    r"entry 'evil\x00.txt' has a control character in its name": {"NUL": _named("evil\0.txt")},
    r"entry 'evil\u202etp.exe' has a control character in its name": {"turned around": _named("evil\u202etp.exe")},
    r"entry 'a\nERROR b.txt' has a control character in its name": {"log line": _named("a\nERROR b.txt")},
    "entry 'con.txt' has the name of a device": {"device": _named("con.txt")},
    r"entry 'a/COM\xb9' has the name of a device": {"device by superscript": _named("a/COM\u00b9")},
    "entry 'a./b.txt' has a name that not every system can store": {"trailing dot": _named("a./b.txt")},
    "entry 'a//b.txt' has a name that not every system can store": {"empty folder": _named("a//b.txt")},
    "entry '' has a name that not every system can store": {"no name": _named("")},
    "entry 'b.txt:evil' has a name that not every system can store": {"stream": _named("b.txt:evil")},
    "entry '" + "n" * 77 + "...' has a name that not every system can store": {"long name": _named("n" * 300)},
    "entry '" + "d/" * 38 + "d...' lies too deep in folders": {"deep": _named("d/" * 60 + "f")},
    r"entry 'mode\u0301l.TXT' is there twice": {
        "same but for case and form": lambda: raw_zip(
            Entry(name="Mod\u00e9l.txt".encode(), local={"flags": 0x800}, central={"flags": 0x800}),
            Entry(name="mode\u0301l.TXT".encode(), local={"flags": 0x800}, central={"flags": 0x800}),
        )
    },
    "entry 'pipeline.json' is there twice": {
        "two manifests": lambda: raw_zip(Entry(name=b"pipeline.json", data=b"{}"))
    },
    "entry 'detect.pt' is a file and a folder": {"file and folder": lambda: raw_zip(Entry(name=b"detect.pt/a.pt"))},
    "entry 'package.mpta' is an archive inside the archive; pack its content instead": {
        "packed twice": lambda: stored_zip({"package.mpta": package()}),
        "itself in itself": _quine,
    },
    "entry 'data.tar.gz' is an archive inside the archive; pack its content instead": {"tar": _named("data.tar.gz")},
    "entry 'odd.txt' expands to more than 100 times its size": {
        "zeros": _both(data=bytes(20 << 20), packed=_ZEROS, method=8),
    },
    "entry 'odd.txt' is larger than 1073741824 bytes": {
        "claims 4 GB": _both(packed=_ZEROS, method=8, plain=0xFFFFFFFE),
        "claims 2^62 in zip64": lambda: raw_zip(
            Entry(name=b"odd.txt", central={"plain": 0xFFFFFFFF, "extra": struct.pack("<HHQ", 1, 8, 1 << 62)})
        ),
    },
    "the entries expand to more than 2147483648 bytes": {
        "three of 1 GB": lambda: raw_zip(*(_claiming(f"{i}.txt", 1 << 30, 20 << 20) for i in range(3)))
    },
    "the entries together expand to more than 100 times their size": {
        "200 below the ratio": lambda: raw_zip(*(_small_bomb(i) for i in range(200)))
    },
    "entry 'detect.pt' cannot be decompressed": {
        "noise": _packed_model(b"\xff" * 99, bytes(200)),
    },
    "entry 'detect.pt' does not match its checksum": {
        "flipped bit": lambda: raw_zip(entries=(SOUND[0], _with_crc(checkpoint(), 7))),
        "more than its size": _packed_model(deflated(checkpoint()), checkpoint()[:99] + b"\xee"),
        "stream cut": _packed_model(deflated(checkpoint())[:-40], checkpoint()),
    },
    "entry 'detect.pt' is shorter than the directory says": {
        "less than its size": lambda: raw_zip(entries=(SOUND[0], _shorter(checkpoint())))
    },
    "no pipeline.json in it": {
        "none": lambda: stored_zip({"detect.pt": checkpoint()}),
        "two folders deep": lambda: stored_zip({"a/b/pipeline.json": MANIFEST}),
        "hidden": lambda: stored_zip({"__MACOSX/pipeline.json": MANIFEST, ".git/pipeline.json": MANIFEST}),
        "other case": lambda: stored_zip({"Pipeline.json": MANIFEST}),
        "no entries": lambda: raw_zip(entries=()),
    },
}


def _claiming(name: str, plain: int, packed: int) -> Entry:
    """An entry that claims sizes; the claims alone refuse it, so its bytes may be fewer."""
    return Entry(name=name.encode(), central={"method": 8, "plain": plain, "packed": packed})


def _small_bomb(index: int) -> Entry:
    both = {"method": 8}
    return Entry(name=b"%d.txt" % index, data=_MEGABYTE, packed=_PACKED_MEGABYTE, local=both, central=both)


def _with_crc(data: bytes, crc: int) -> Entry:
    return Entry(name=b"detect.pt", data=data, local={"crc": crc}, central={"crc": crc})


def _shorter(data: bytes) -> Entry:
    """A deflated stream that ends before the size in both headers, with the checksum of what is there."""
    both = {"method": 8, "plain": len(data) + 5}
    return Entry(name=b"detect.pt", data=data, packed=deflated(data), local=both, central=both)
