"""An early, readable refusal of hostile `.pt` files, without torch and without unpickling.

A pickle names every class and function it will call. This check allows the names that model checkpoints use and
refuses the rest, with the name in the message. It is not the gate against code: that is torch's restricted
unpickler, which `mpta.torch_model` always loads through. Torch takes a storage's size from the pickle, though, and
reads past the end of its record where that lies: only this check stands before it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from mpta.archive import ZIP_ERRORS, local_faults
from mpta.errors import ModelRefused, shown
from mpta.names import duplicates
from mpta.pickles import Global, Intentions, PickleDamaged, intentions
from mpta.zip_end import zip_fault

#: The pickle of a checkpoint holds structure, not weights: those of the largest YOLO are below 1 MiB.
_MAX_PICKLE_BYTES = 8 << 20
_MAX_RECORDS = 8192
_RECORD = re.compile(r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.[\w./]+)")
_STRANGE = "is not a checkpoint as torch writes it"

_MODEL_CLASSES = re.compile(
    r"torch\.nn\.modules(\.\w+)* [A-Z]\w*"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch (\w+Storage|Size|device|dtype|float16|float32|float64|bfloat16|u?int\d+|bool)"
    r"|torch\.storage (UntypedStorage|TypedStorage)"
    r"|torch\.serialization _get_layout"
    r"|torchvision\.transforms\.transforms (Compose|Normalize|Resize|CenterCrop|ToTensor)"
    r"|torchvision\.transforms\.functional InterpolationMode"
    r"|ultralytics\.nn(\.\w+)* [A-Z]\w*"
    r"|ultralytics\.utils IterableSimpleNamespace"
    r"|ultralytics\.utils\.(loss|tal) (v\d+)?[A-Z]\w*"
    r"|ultralytics\.yolo\.utils IterableSimpleNamespace"
    r"|collections (OrderedDict|defaultdict)"
    r"|numpy dtype"
    r"|numpy\._?core\.multiarray (scalar|_reconstruct)"
    r"|numpy ndarray"
    r"|pathlib(\._local)? (Posix|Windows|PurePosix|PureWindows)Path"
    # `getattr` stands in official checkpoints (InterpolationMode.BILINEAR); the safe loader replaces it by its own.
    r"|(builtins|__builtin__) (getattr|set|frozenset|list|dict|tuple|int|float|bool|str|slice|complex)"
    r"|_codecs encode"
)
#: The instructions that torch's restricted unpickler knows (2.10 to 2.14).
_INSTRUCTIONS = frozenset(
    (
        *("PROTO", "STOP", "MARK", "GLOBAL", "NEWOBJ", "REDUCE", "BUILD", "BINPERSID", "APPEND", "APPENDS", "SETITEM"),
        *("SETITEMS", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"),
        *("NONE", "NEWFALSE", "NEWTRUE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
        *("SHORT_BINSTRING", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT"),
    )
)
_STORAGE = re.compile(r"torch(?:\.storage)? (\w+)Storage")
#: Bytes per element of a storage.
_ITEM_BYTES = {
    **dict.fromkeys(("Untyped", "Byte", "Char", "Bool", "QInt8", "QUInt8"), 1),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    "ComplexDouble": 16,
}


def check_checkpoint(path: Path) -> None:
    """Check a `.pt` file. Nothing of it is run.

    Raises:
        ModelRefused: it is not to be loaded.
    """
    with path.open("rb") as file:
        if fault := _older_format(file):
            raise ModelRefused(fault)
        if fault := zip_fault(file, entries=_MAX_RECORDS, zip64=True):
            raise ModelRefused(f"{_STRANGE}: {fault}")
        try:
            with zipfile.ZipFile(file) as archive:
                sizes = _records(archive, file)
                found = intentions(_pickle(archive, sizes))
        except PickleDamaged as exc:
            raise ModelRefused(f"{_STRANGE}: its pickle is damaged") from exc
        except ZIP_ERRORS as exc:
            raise ModelRefused(f"{_STRANGE}, or is damaged") from exc
    for fault in _faults(found, sizes):
        raise ModelRefused(fault)


def _older_format(file: BinaryIO) -> str | None:
    head = file.read(265)
    if head.startswith(b"\x80"):
        return "is a bare pickle, as torch wrote them before version 1.6; save it again with a newer torch"
    if head[257:262] == b"ustar":
        return "is a tar archive, as torch wrote them before version 0.2; save it again with a newer torch"
    return None


def _records(archive: zipfile.ZipFile, file: BinaryIO) -> dict[str, int]:
    """Return the bytes of each record by its name below the checkpoint's own folder.

    Raises:
        ModelRefused: the records are not those that torch writes.
    """
    records = archive.infolist()
    names = [record.filename for record in records]
    if any("/code/" in name for name in names):
        raise ModelRefused("is a TorchScript program; give the original weights")
    if twice := duplicates(names):
        raise ModelRefused(f"is damaged: record '{shown(twice[0])}' is there twice")
    if strange := [name for name in names if not _RECORD.fullmatch(name)]:
        raise ModelRefused(f"holds '{shown(strange[0])}', which is no part of a checkpoint")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ModelRefused(f"{_STRANGE}: its records are compressed")
    if faults := local_faults(archive, file):
        raise ModelRefused(f"is damaged: {faults[0]}")
    if len({name.partition("/")[0] for name in names}) > 1:
        raise ModelRefused("holds more than one checkpoint")
    return {record.filename.partition("/")[2]: record.file_size for record in records}


def _pickle(archive: zipfile.ZipFile, sizes: Mapping[str, int]) -> bytes:
    if "data.pkl" not in sizes:
        raise ModelRefused(f"{_STRANGE}: it has no data.pkl")
    if sizes["data.pkl"] > _MAX_PICKLE_BYTES:
        raise ModelRefused(f"{_STRANGE}: its data.pkl is larger than {_MAX_PICKLE_BYTES} bytes")
    return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))


def _faults(found: Intentions, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield what the pickle would do and a checkpoint has no need to."""
    for name in found.globals:
        if not _MODEL_CLASSES.fullmatch(name):
            dotted = name.replace(" ", ".") if name.count(" ") == 1 else name
            yield f"reaches for '{shown(dotted)}', which is no model class"
    for instruction in sorted(found.instructions - _INSTRUCTIONS):
        yield f"holds the pickle instruction {instruction}, which torch does not write"
    if any(_STORAGE.fullmatch(name) for name in found.calls):
        yield "makes room for weights that it does not hold"
    for asked in found.asked:
        if fault := _storage_fault(asked, sizes):
            yield fault


def _storage_fault(asked: object, sizes: Mapping[str, int]) -> str | None:
    """Return what is wrong with one id of a storage: `("storage", its class, its record, device, elements)`."""
    match asked:
        case ("storage", Global(name=name), str(key), str(), int(count)) if count >= 0:
            kind = _STORAGE.fullmatch(name)
            item_bytes = _ITEM_BYTES.get(kind[1]) if kind else None
            if item_bytes is None:
                return f"asks for weights of the unknown kind '{shown(name)}'"
            held = sizes.get(f"data/{key}")
            if held is None:
                return f"asks for the weights '{shown(key)}', which it does not hold"
            if count * item_bytes > held:
                return f"asks for {count} elements of the weights '{shown(key)}', which have {held} bytes"
            return None
    return "asks its loader for something other than weights"
