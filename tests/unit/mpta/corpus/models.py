"""Bad models: checkpoints whose pickle would run something, and ONNX files that reach out of themselves."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

from tests.unit.mpta.corpus.building import Build, Refusals, checkpoint, package, stored_zip
from tests.unit.mpta.toys import node

#: What every hostile pickle would do. The test looks for the file.
TOUCH = "touch pwned"
_STRANGE = "is not a checkpoint as torch writes it"


class _Reducing:
    """Pickled, it calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def _pt(content: bytes) -> Build:
    return lambda: package(detect_pt=content)


def _pickle(pickled: bytes, **records: bytes) -> Build:
    return _pt(checkpoint(pickled, **records))


def _calling(module: str, name: str, argument: str = TOUCH) -> bytes:
    """Return a pickle that calls a function with a text, in the protocol that torch writes."""
    text = argument.encode()
    return b"\x80\x02c%s\n%s\nX%s%s\x85R." % (module.encode(), name.encode(), struct.pack("<I", len(text)), text)


def _reaching(name: str, *pickles: bytes) -> tuple[str, Mapping[str, Build]]:
    builds = {f"{name} {number}": _pickle(pickled) for number, pickled in enumerate(pickles)}
    return f"reaches for '{name}', which is no model class", builds


def _storage(kind: bytes, key: bytes, count: int) -> bytes:
    """Return a pickle that asks for one storage."""
    number = b"\x8a\x08" + struct.pack("<q", count)
    return b"\x80\x02(X\x07\x00\x00\x00storagectorch\n%s\nX%s%sX\x03\x00\x00\x00cpu%stQ." % (
        kind,
        struct.pack("<I", len(key)),
        key,
        number,
    )


def _records(**records: bytes) -> Build:
    return _pt(stored_zip({name.replace("__", "/").replace("_", "."): content for name, content in records.items()}))


def _compressed() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\x80\x02N.")
    return whole.getvalue()


def _overlapping() -> bytes:
    whole = bytearray(checkpoint(b"\x80\x02N.", **{"0": b"1" * 40, "1": b"2" * 40}))
    first, second = (whole.rindex(name) - 46 for name in (b"m/data/0", b"m/data/1"))
    whole[second + 42 : second + 46] = whole[first + 42 : first + 46]
    return bytes(whole)


def _tar() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    return whole.getvalue()


def _many_records() -> bytes:
    return stored_zip({"m/data.pkl": b"\x80\x02N.", **{f"m/data/{i}": b"" for i in range(8192)}})


_CHECKPOINTS: dict[str, Mapping[str, Build]] = dict(
    (
        _reaching(
            "posix.system",
            *(pickle.dumps(_Reducing(__import__("os").system, TOUCH), protocol) for protocol in range(6)),
            _calling("posix", "system"),
        ),
        _reaching(
            "os.system",
            b"cos\nsystem\n(S'touch pwned'\ntR.",
            b"(S'touch pwned'\nios\nsystem\n.",  # INST
            b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94NN0h\x00h\x01\x93.",  # Memoised, taken from below other values.
            b"\x80\x04\x8c\x02osq\x00\x8c\x06systemq\x01NNh\x00h\x01\x93.",
            b"\x80\x04\x8c\x02os2\x8c\x06system\x93.",  # DUP; one of the two is left over.
            b"\x80\x04\x8c\x02os\x8c\x04path0\x8c\x06system\x93.",  # POP between the two.
            b"}(\x8c\x01acos\nsystem\nu.",  # As a value that nothing calls, yet.
        ),
        _reaching(
            "builtins.eval", _calling("builtins", "eval"), b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."
        ),
        _reaching(
            "builtins.exec",
            pickle.dumps(_Reducing(exec, "open('pwned','w')"), 3),
            pickle.dumps(_Reducing(exec, "1"), 4),
        ),
        _reaching("__builtin__.eval", b"c__builtin__\neval\n(S'1'\ntR."),
        _reaching("builtins.__import__", _calling("builtins", "__import__")),
        _reaching("builtins.open", _calling("builtins", "open", "pwned")),
        _reaching("subprocess.Popen", pickle.dumps(_Reducing(__import__("subprocess").Popen, TOUCH), 4)),
        _reaching("torch.load", _calling("torch", "load")),
        _reaching("torch.serialization.load", _calling("torch.serialization", "load")),
        _reaching("torch.hub.load", _calling("torch.hub", "load")),
        _reaching("torch.utils.cpp_extension.load", _calling("torch.utils.cpp_extension", "load")),
        _reaching("torch.jit.load", _calling("torch.jit", "load")),
        _reaching("torch.storage._load_from_bytes", _calling("torch.storage", "_load_from_bytes")),
        _reaching("torch._utils._rebuild_wrapper_subclass", _calling("torch._utils", "_rebuild_wrapper_subclass")),
        _reaching(
            "torch.nn.modules.utils.consume_prefix_in_state_dict_if_present",
            _calling("torch.nn.modules.utils", "consume_prefix_in_state_dict_if_present"),
        ),
        _reaching("ultralytics.nn.tasks.torch_safe_load", _calling("ultralytics.nn.tasks", "torch_safe_load")),
        _reaching(
            "ultralytics.utils.checks.check_requirements", _calling("ultralytics.utils.checks", "check_requirements")
        ),
        _reaching("ultralytics.engine.model.Model", _calling("ultralytics.engine.model", "Model")),
        _reaching("models.yolo.Model", _calling("models.yolo", "Model")),
        _reaching("numpy.load", _calling("numpy", "load")),
        _reaching("importlib.import_module", _calling("importlib", "import_module")),
        _reaching("operator.attrgetter", _calling("operator", "attrgetter")),
        _reaching("codecs.decode", _calling("codecs", "decode")),
        _reaching("builtins.bytearray", b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
        _reaching(r"evil\x1b[2J.x", b"\x80\x02cevil\x1b[2J\nx\n."),
        _reaching(r"os\r.system", b"\x80\x02cos\r\nsystem\n."),
        _reaching(
            "torch.nn.modules.conv.Conv2d.forward", b"\x80\x04\x8c\x15torch.nn.modules.conv\x8c\x0eConv2d.forward\x93."
        ),
        _reaching("an extension code", b"\x80\x02\x82\x01."),
        _reaching("a name that it computes", b"\x80\x04\x8c\x02os)\x93.", b"\x80\x04NN\x93."),
    )
)
_CHECKPOINTS |= {
    f"{_STRANGE}: its pickle is damaged": {
        "global cut": _pickle(b"\x80\x02c"),
        "no stop": _pickle(b"\x80\x02N"),
        "takes from an empty stack": _pickle(b"\x80\x02R."),
        "takes what is behind a mark": _pickle(b"\x80\x02N(\x85R."),
        "gets what was not put": _pickle(b"\x80\x02h\x07."),
        "no pickle": _pickle(b"hello"),
        "a million instructions": _pickle(b"\x80\x02" + b"N" * 1_000_000 + b"."),
        "text of 4 GB": _pickle(b"\x80\x02X\xff\xff\xff\xff."),
    },
    "holds the pickle instruction BYTEARRAY8, which torch does not write": {
        "bytearray": _pickle(b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.")
    },
    "holds the pickle instruction STACK_GLOBAL, which torch does not write": {
        "model class in protocol 4": _pickle(
            b"\x80\x02X\x15\x00\x00\x00torch.nn.modules.convX\x06\x00\x00\x00Conv2d\x93."
        ),
    },
    "makes room for weights that it does not hold": {
        "a storage of 2^31": _pickle(b"\x80\x02ctorch\nFloatStorage\nJ\xff\xff\xff\x7f\x85R."),
        "a class that is built before the call": _pickle(b"\x80\x02ctorch\nFloatStorage\n}bJ\xff\xff\xff\x7f\x85R."),
    },
    "asks its loader for something other than weights": {
        "a text": _pickle(b"\x80\x02X\x04\x00\x00\x00evilQ."),
        "a module": _pickle(b"\x80\x02(X\x06\x00\x00\x00modulectorch\nFloatStorage\ntQ."),
        "a count below zero": _pickle(_storage(b"FloatStorage", b"0", -1), **{"0": bytes(8)}),
    },
    "asks for weights of the unknown kind 'torch Size'": {
        "a kind": _pickle(_storage(b"Size", b"0", 1), **{"0": bytes(8)})
    },
    "asks for the weights '7', which it does not hold": {
        "absent": _pickle(_storage(b"FloatStorage", b"7", 1), **{"0": bytes(8)})
    },
    "asks for the weights '../../0', which it does not hold": {
        "outside": _pickle(_storage(b"FloatStorage", b"../../0", 1))
    },
    "asks for 3 elements of the weights '0', which have 8 bytes": {
        "one float more": _pickle(_storage(b"FloatStorage", b"0", 3), **{"0": bytes(8)})
    },
    "asks for 1099511627776 elements of the weights '0', which have 8 bytes": {
        "a terabyte": _pickle(_storage(b"ByteStorage", b"0", 1 << 40), **{"0": bytes(8)})
    },
    f"{_STRANGE}: not a zip archive": {"text": _pt(b"weights"), "noise": _pt(bytes(range(1, 256)) * 9)},
    f"{_STRANGE}: a zip archive that breaks off before its end; copy it again": {"cut": _pt(checkpoint()[:-30])},
    f"{_STRANGE}: a zip archive with something after its end": {"program after": _pt(checkpoint() + b"evil")},
    f"{_STRANGE}: a zip archive with something before its start": {"program before": _pt(b"evil" + checkpoint())},
    f"{_STRANGE}: more than 8192 entries": {"8194 records": lambda: package(detect_pt=_many_records())},
    f"{_STRANGE}: its records are compressed": {"deflated": lambda: package(detect_pt=_compressed())},
    f"{_STRANGE}: it has no data.pkl": {"no pickle": _records(m__version=b"3")},
    f"{_STRANGE}: its data.pkl is larger than 8388608 bytes": {
        "9 MB": lambda: package(detect_pt=checkpoint(b"\x80\x02" + bytes(9 << 20)))
    },
    "is damaged: entry 'm/data/0' overlaps another": {"overlap": lambda: package(detect_pt=_overlapping())},
    "is damaged: record 'M/data.pkl' is there twice": {
        "two pickles": _records(m__data_pkl=b"\x80\x02N.", M__data_pkl=b"cos\nsystem\n.")
    },
    "holds more than one checkpoint": {"two folders": _records(m__data_pkl=b"\x80\x02N.", n__data_pkl=b"\x80\x02N.")},
    "holds 'm/extra.pkl', which is no part of a checkpoint": {
        "third pickle": _records(m__data_pkl=b"\x80\x02N.", m__extra_pkl=b"N.")
    },
    "holds 'm/inner.pt', which is no part of a checkpoint": {
        "checkpoint in it": _records(m__data_pkl=b"\x80\x02N.", m__inner_pt=checkpoint())
    },
    "holds '../evil', which is no part of a checkpoint": {
        "path in it": _pt(stored_zip({"m/data.pkl": b"\x80\x02N.", "../evil": b""}))
    },
    "is a TorchScript program; give the original weights": {
        "TorchScript": _records(
            m__data_pkl=b"\x80\x02N.", m__code____torch___py=b"import os", m__constants_pkl=b"\x80\x02)."
        )
    },
    "is a bare pickle, as torch wrote them before version 1.6; save it again with a newer torch": {
        "torch 1.5": _pt(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03." + _calling("os", "system")),
        "a pickle": _pt(pickle.dumps(_Reducing(__import__("os").system, TOUCH), 4)),
    },
    "is a tar archive, as torch wrote them before version 0.2; save it again with a newer torch": {
        "tar": lambda: package(detect_pt=_tar())
    },
    "is a Git LFS pointer, not the model; fetch it (git lfs pull) and pack again": {
        "LFS": _pt(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    },
    "is a web page or XML, not a model; download it again": {
        "login page": _pt(b"\n<!DOCTYPE html><title>Sign in</title>")
    },
}


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    head = bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*head, number))


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Return a protocol buffer of numbered fields: numbers, texts, or messages as bytes."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += _varint(number << 3) + _varint(value)
        else:
            content = value.encode() if isinstance(value, str) else value
            found += _varint(number << 3 | 2) + _varint(len(content)) + content
    return found


def onnx_model(
    *graph: tuple[int, int | str | bytes], more: tuple[tuple[int, bytes], ...] = (), domain: str = ""
) -> bytes:
    """Return an ONNX model with these fields in its graph."""
    opset = message((1, domain), (2, 17))
    return message((1, 9), (7, message(*graph)), (8, opset), *more)


def onnx_node(operator: str, domain: str = "", *attributes: bytes) -> tuple[int, bytes]:
    """Return a node as a field of a graph."""
    return 1, message((1, "x"), (2, "y"), (4, operator), (7, domain), *((5, each) for each in attributes))


def tensor(dims: tuple[int, ...], raw: bytes = b"", /, **outside: str) -> tuple[int, bytes]:
    """Return weights as a field of a graph; with `outside` they lie in another file."""
    entries = [(13, message((1, key), (2, value))) for key, value in outside.items()]
    location = [(14, 1)] if outside else [(9, raw)]
    return 5, message(*((1, dim) for dim in dims), (2, 1), (8, "w"), *entries, *location)


def onnx_package(content: bytes, **files: bytes) -> bytes:
    """Return a package whose one model is this."""
    root = node("detect", modelFile="detect.onnx")
    return stored_zip(
        {"pipeline.json": manifest_json(root), "detect.onnx": content}
        | {name.replace("_", "."): each for name, each in files.items()}
    )


def manifest_json(root: Mapping[str, Any]) -> bytes:
    """Return the `pipeline.json` of a root node."""
    return json.dumps({"pipeline": root}).encode()


def _onnx(content: bytes, **files: bytes) -> Build:
    return lambda: onnx_package(content, **files)


def _outside(location: str, /, **entries: str) -> Build:
    outside = {"location": location, **entries}
    return _onnx(onnx_model(tensor((2,), **outside)), weights_bin=bytes(8))


def _input(*dims: int) -> bytes:
    shape = message(*((1, message((1, dim))) for dim in dims))
    return onnx_model((11, message((1, "images"), (2, message((1, message((1, 1), (2, shape))))))))


def _nested(depth: int) -> bytes:
    graph = b""
    for _ in range(depth):
        graph = message(onnx_node("If", "", message((1, "then_branch"), (6, graph))))
    return message((1, 9), (7, graph), (8, message((2, 17))))


_DAMAGED = "is not an ONNX model, or is damaged"
_ONNX: dict[str, Mapping[str, Build]] = {
    f"{_DAMAGED}: no such kind of field": {"text": _onnx(b"weights"), "group": _onnx(b"\x0b\x0c" + onnx_model())},
    f"{_DAMAGED}: a field ends behind its message": {
        "cut": _onnx(onnx_model(tensor((2,), bytes(8)))[:-9]),
        "claims a terabyte": _onnx(b"\x08\x09\x3a" + _varint(1 << 40)),
    },
    f"{_DAMAGED}: no number": {"endless number": _onnx(b"\xff" * 20), "number cut": _onnx(b"\x08\x89")},
    f"{_DAMAGED}: it lacks its version or its graph": {
        "no graph": _onnx(message((1, 9))),
        "no version": _onnx(message((7, b""))),
        "two graphs": _onnx(onnx_model() + message((7, b""))),
        "another message": _onnx(message((3, "text"), (4, 7))),
    },
    f"{_DAMAGED}: too many fields": {"300,000 numbers": _onnx(onnx_model() + b"\x28\x01" * 300_000)},
    f"{_DAMAGED}: weights with two locations": {
        "two locations": _onnx(
            onnx_model((5, tensor((2,), location="weights.bin")[1] + tensor((2,), location="../x")[1])),
            weights_bin=bytes(8),
        )
    },
    "keeps weights in '../../../etc/passwd', which leaves the package": {"parent": _outside("../../../etc/passwd")},
    "keeps weights in '/etc/passwd', which has an absolute path": {"absolute": _outside("/etc/passwd")},
    "keeps weights in 'C:/secret', which has an absolute path": {"drive": _outside("C:/secret")},
    r"keeps weights in '..\\secret', which has a backslash in its name": {"backslash": _outside("..\\secret")},
    "keeps weights in '', which has a name that not every system can store": {"nowhere": _outside("", offset="0")},
    "keeps weights in 'gone.bin', which is not in the package": {"absent": _outside("gone.bin")},
    "keeps weights in '*/_ORT_MEM_ADDR_/*', which is not in the package": {
        "an address": _outside("*/_ORT_MEM_ADDR_/*", offset="4096", length="8")
    },
    "reads weights past the end of 'weights.bin'": {
        "length": _outside("weights.bin", length="9"),
        "offset": _outside("weights.bin", offset="9"),
        "below zero": _outside("weights.bin", offset="-8"),
        "no number": _outside("weights.bin", offset="0x8"),
    },
    "claims weights of 1000000x1000000, for which it holds 8 bytes": {
        "huge weights": _onnx(onnx_model(tensor((1_000_000, 1_000_000), bytes(8))))
    },
    "claims weights of 64x64, for which it holds 8 bytes": {
        "weights beside, too few": _onnx(onnx_model(tensor((64, 64), location="weights.bin")), weights_bin=bytes(8))
    },
    "claims a tensor with a side that no memory holds": {"side of -1": _onnx(onnx_model(tensor((-1,), bytes(8))))},
    "has weights of more than 16 dimensions": {"99 dimensions": _onnx(onnx_model(tensor((1,) * 99, bytes(8))))},
    "wants an input of 1x3x100000x100000": {"huge input": _onnx(_input(1, 3, 100_000, 100_000))},
    "has sparse weights; store them densely": {
        "sparse": _onnx(onnx_model((15, b""))),
        "sparse in a node": _onnx(onnx_model(onnx_node("Constant", "", message((22, b""))))),
    },
    "uses operators of the domain 'com.evil', which onnxruntime does not have": {
        "domain of a node": _onnx(onnx_model(onnx_node("Shell", "com.evil"))),
        "domain of the model": _onnx(onnx_model(domain="com.evil")),
    },
    "uses operators of the domain 'org.pytorch.aten', which onnxruntime does not have": {
        "ATen": _onnx(onnx_model(onnx_node("ATen", "org.pytorch.aten")))
    },
    "uses the operator 'EPContext', which this version does not run": {
        "compiled program": _onnx(onnx_model(onnx_node("EPContext", "com.microsoft"))),
        "in a branch": _onnx(
            onnx_model(onnx_node("If", "", message((6, message(onnx_node("EPContext", "com.microsoft"))))))
        ),
    },
    "uses the operator 'PythonOp', which this version does not run": {
        "Python": _onnx(onnx_model(onnx_node("PythonOp", "com.microsoft")))
    },
    "defines functions of its own; inline them (onnx.inliner) and pack again": {
        "function": _onnx(onnx_model(more=((25, message((1, "f"))),)))
    },
    "nests its graphs more than 8 deep": {"20 deep": _onnx(_nested(20))},
    "has a name of more than 1024 bytes": {
        "node": _onnx(onnx_model(onnx_node("n" * 2000))),
        "weights": _onnx(onnx_model((5, message((8, "n" * 2000))))),
        "input": _onnx(onnx_model((11, message((1, "n" * 2000))))),
    },
    "has metadata of more than 1048576 bytes": {
        "2 MB": _onnx(onnx_model(more=((14, message((1, "names"), (2, "n" * (2 << 20)))),)))
    },
    "is a web page or XML, not a model; download it again": {"page": _onnx(b"<html>")},
}


def _prefixed(name: str, refusals: Refusals) -> Refusals:
    return {f"pipeline.modelFile: '{name}' {sentence}": packages for sentence, packages in refusals.items()}


MODELS: Refusals = {**_prefixed("detect.pt", _CHECKPOINTS), **_prefixed("detect.onnx", _ONNX)}
