"""An early, readable refusal of hostile `.pt` files, without torch and without unpickling.

A pickle names every class and function it will call. This walk allows the names that model checkpoints use and
refuses the rest, with the name in the message. It is not the gate: a walk can be fooled. The gate is torch's
restricted unpickler, which `mpta.torch_model` always loads through.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

from mpta.archive import ZIP_ERRORS, duplicates, overlaps
from mpta.errors import shown

#: The pickle of a checkpoint holds structure, not weights: those of the largest YOLO are below 1 MiB.
_MAX_PICKLE_BYTES = 16 << 20
_MAX_RECORDS = 20_000

_MODEL_CLASSES = re.compile(
    r"torch\.nn\.modules(\.\w+)* \w+"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch (\w+Storage|Size|device|dtype|float16|float32|float64|bfloat16|u?int\d+|bool)"
    r"|torch\.storage (UntypedStorage|TypedStorage)"
    r"|torch\.serialization _get_layout"
    r"|torchvision\.transforms\.transforms (Compose|Normalize|Resize|CenterCrop|ToTensor)"
    r"|torchvision\.transforms\.functional InterpolationMode"
    r"|ultralytics\.nn(\.\w+)* \w+"
    r"|ultralytics\.utils IterableSimpleNamespace"
    r"|ultralytics\.utils\.(loss|tal) \w+"
    r"|ultralytics\.yolo\.utils IterableSimpleNamespace"
    r"|collections (OrderedDict|defaultdict)"
    r"|numpy dtype"
    r"|numpy\._?core\.multiarray (scalar|_reconstruct)"
    r"|numpy ndarray"
    r"|pathlib(\._local)? (Posix|Windows|PurePosix|PureWindows)Path"
    # `getattr` stands in official checkpoints (InterpolationMode.BILINEAR); the safe loader replaces it by its own.
    r"|(builtins|__builtin__) (getattr|set|frozenset|list|dict|tuple|int|float|bool|str|bytearray|slice|complex)"
    r"|_codecs encode"
)


def checkpoint_fault(path: Path) -> str | None:
    """Return why the `.pt` file is refused, or None. Nothing of it is run."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if len(records) > _MAX_RECORDS or any(r.compress_type != zipfile.ZIP_STORED for r in records):
                return "is not a checkpoint as torch writes it"
            if duplicates(r.filename for r in records) or overlaps(archive, file):
                return "has records that overlap or stand twice"
            if any("/code/" in record.filename for record in records):
                return "is a TorchScript program; give the original weights"
            pickles = [record for record in records if record.filename.endswith(".pkl")]
            if not pickles or any(record.file_size > _MAX_PICKLE_BYTES for record in pickles):
                return "is not a checkpoint as torch writes it"
            strangers = [name for record in pickles for name in foreign_names(archive.read(record))]
    except ZIP_ERRORS:
        return "is not a checkpoint as torch writes it, or is damaged"
    if strangers:
        return f"reaches for '{shown(strangers[0])}', which is no model class"
    return None


def foreign_names(pickled: bytes) -> list[str]:
    """Return the globals that a pickle reaches for and a model has no use for, in order.

    Raises:
        ValueError: the bytes are no pickle.
    """
    found = []
    texts: list[object] = []  # What was pushed last; enough to see through every STACK_GLOBAL that Python writes.
    memo: dict[int, object] = {}
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            found.append(str(argument))
            texts.append(None)
        elif name == "STACK_GLOBAL":
            module, attribute = [None, None, *texts][-2:]
            known = isinstance(module, str) and isinstance(attribute, str)
            found.append(f"{module} {attribute}" if known else "a name that it computes")
            texts.append(None)
        elif name.startswith("EXT"):
            found.append("an extension code")
        elif name == "MEMOIZE":
            memo[len(memo)] = texts[-1] if texts else None
        elif name.endswith("PUT") and isinstance(argument, int):
            memo[argument] = texts[-1] if texts else None
        elif name.endswith("GET") and isinstance(argument, int):
            texts.append(memo.get(argument))
        else:
            texts.append(argument if "UNICODE" in name else None)
    return [name.replace(" ", ".") for name in found if not _MODEL_CLASSES.fullmatch(name)]
