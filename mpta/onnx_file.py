"""An early, readable refusal of hostile `.onnx` files, without onnxruntime and without reading their weights.

An ONNX file holds no code, but it can name files to read weights from, ask for operators that load programs, and
claim tensors larger than its bytes. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

from mpta.errors import ModelRefused, shown
from mpta.names import name_fault
from mpta.protobuf import Reader, Span, WireDamaged

#: Fields in the largest YOLO: 20,000. This many are walked in half a second.
_MAX_FIELDS = 200_000
_MAX_GRAPH_DEPTH = 8
_MAX_NAME_BYTES = 1024
_MAX_METADATA_BYTES = 1 << 20
_MAX_DIMS = 16
#: Elements of one input: a batch of 8 images of 4096x4096 would be over it.
_MAX_INPUT_ELEMENTS = 1 << 28
#: The densest element types have two bits.
_MAX_ELEMENTS_PER_BYTE = 4
_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))
#: Of onnxruntime's own domain, what its quantiser and optimiser write. Others load compiled programs (EPContext).
_RUNTIME_OPERATORS = re.compile(
    r"QLinear\w+|Q(?:Gemm|Attention|MoE)|DynamicQuantize\w+|(?:De)?[Qq]uantizeLinear|MatMulIntegerToFloat|MatMulNBits"
    r"|Fused(?:Conv|Gemm|MatMul|MatMulActivation)|NhwcMaxPool|NhwcFusedConv|Gelu|BiasGelu|FastGelu|QuickGelu"
    r"|(?:Skip)?(?:Simplified)?LayerNormalization|Attention|MultiHeadAttention|BiasSoftmax|BiasAdd|GridSample"
)


def check_onnx(path: Path, beside: Mapping[str, int]) -> frozenset[str]:
    """Check an `.onnx` file; return the files beside it in which it keeps weights.

    Args:
        path: the file.
        beside: bytes of each file of the package by its path from the model's folder on.

    Raises:
        ModelRefused: it is not to be loaded.
    """
    with path.open("rb") as file:
        reader = Reader(file, _MAX_FIELDS)
        walk = _Walk(beside)
        try:
            walk.model(Span(reader, 0, reader.size))
        except WireDamaged as exc:
            raise ModelRefused(f"is not an ONNX model, or is damaged: {exc}") from exc
    return frozenset(walk.weights)


def weight_files(path: Path) -> list[Path]:
    """Return an `.onnx` file and the files beside it in which it keeps weights.

    Raises:
        ModelRefused: see `check_onnx`.
    """
    folder = path.parent
    beside = {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    return [path, *(folder / each for each in sorted(check_onnx(path, beside)))]


class _Walk:
    """One pass over a model. Each method takes the message of its name."""

    def __init__(self, beside: Mapping[str, int]) -> None:
        self.weights: set[str] = set()
        self._beside = beside

    def model(self, message: Span) -> None:
        version = graphs = 0
        for number, value in message.fields():
            if number == 1 and isinstance(value, int):
                version = value
            elif number == 7 and isinstance(value, Span):
                graphs += 1
                self._graph(value, 1)
            elif number == 8 and isinstance(value, Span):
                self._domain(_text(value, 1))
            elif number == 14 and isinstance(value, Span) and len(value) > _MAX_METADATA_BYTES:
                raise ModelRefused(f"has metadata of more than {_MAX_METADATA_BYTES} bytes")
            elif number == 25:
                raise ModelRefused("defines functions of its own; inline them (onnx.inliner) and pack again")
        if not version or graphs != 1:
            raise WireDamaged("it lacks its version or its graph")

    def _graph(self, message: Span, depth: int) -> None:
        if depth > _MAX_GRAPH_DEPTH:
            raise ModelRefused(f"nests its graphs more than {_MAX_GRAPH_DEPTH} deep")
        for number, value in message.fields():
            if not isinstance(value, Span):
                continue
            if number == 1:
                self._node(value, depth)
            elif number == 5:
                self._tensor(value)
            elif number == 11 and depth == 1:
                self._input(value)
            elif number == 15:
                raise ModelRefused("has sparse weights; store them densely")

    def _node(self, message: Span, depth: int) -> None:
        operator = domain = ""
        for number, value in message.fields():
            if not isinstance(value, Span):
                continue
            if number in (1, 2, 3, 4, 7):
                _check_name(value)
            if number == 4:
                operator = value.read(_MAX_NAME_BYTES).decode(errors="replace")
            elif number == 7:
                domain = value.read(_MAX_NAME_BYTES).decode(errors="replace")
            elif number == 5:
                self._attribute(value, depth)
        self._domain(domain)
        if domain == "com.microsoft" and not _RUNTIME_OPERATORS.fullmatch(operator):
            raise ModelRefused(f"uses the operator '{shown(operator)}', which this version does not run")

    def _attribute(self, message: Span, depth: int) -> None:
        for number, value in message.fields():
            if not isinstance(value, Span):
                continue
            if number in (5, 10):
                self._tensor(value)
            elif number in (6, 11):
                self._graph(value, depth + 1)
            elif number in (22, 23):
                raise ModelRefused("has sparse weights; store them densely")

    def _tensor(self, message: Span) -> None:
        """Check a tensor's data against its shape, and the file that it may lie in."""
        dims: list[int] = []
        held = 0
        outside: dict[str, str] = {}
        for number, value in message.fields():
            if number == 1:
                dims += _numbers(value)
            elif number in (4, 5, 6, 7, 9, 10, 11):  # The data, in one of several forms.
                held += max(1, len(value)) if isinstance(value, Span) else 1
            elif number == 8 and isinstance(value, Span):
                _check_name(value)
            elif number == 13 and isinstance(value, Span):
                key = _text(value, 1)
                if key == "location" and key in outside:
                    raise WireDamaged("weights with two locations")
                outside[key] = _text(value, 2)
            if len(dims) > _MAX_DIMS:
                raise ModelRefused(f"has weights of more than {_MAX_DIMS} dimensions")
        if outside:
            held += self._outside(outside)
        if _elements(dims) > held * _MAX_ELEMENTS_PER_BYTE:
            raise ModelRefused(f"claims weights of {'x'.join(map(str, dims))[:60]}, for which it holds {held} bytes")

    def _outside(self, entries: Mapping[str, str]) -> int:
        """Return how many bytes of weights lie in another file, which must be in the package."""
        location = entries.get("location", "").removeprefix("./")
        if fault := name_fault(location):
            raise ModelRefused(f"keeps weights in '{shown(location)}', which {fault}")
        if location not in self._beside:
            raise ModelRefused(f"keeps weights in '{shown(location)}', which is not in the package")
        size = self._beside[location]
        offset, length = (_natural(entries.get(key)) for key in ("offset", "length"))
        if offset is None or offset + (length or 0) > size:
            raise ModelRefused(f"reads weights past the end of '{shown(location)}'")
        self.weights.add(location)
        return length or size - offset

    def _input(self, message: Span) -> None:
        for number, value in message.fields():
            if number == 1 and isinstance(value, Span):
                _check_name(value)
        shape = _inside(_inside(_inside([message], 2), 1), 2)
        sides = [value for dim in _inside(shape, 1) for number, value in dim.fields() if number == 1]
        dims = [side for side in sides if isinstance(side, int) and side < 1 << 63]  # The rest are minus one: any.
        if prod(dims) > _MAX_INPUT_ELEMENTS:
            raise ModelRefused(f"wants an input of {'x'.join(map(str, dims))[:60]}")

    def _domain(self, domain: str) -> None:
        if domain not in _DOMAINS:
            raise ModelRefused(f"uses operators of the domain '{shown(domain)}', which onnxruntime does not have")


def _inside(messages: Iterable[Span], wanted: int) -> list[Span]:
    """Return the messages in a field of several messages."""
    return [
        value
        for message in messages
        for number, value in message.fields()
        if number == wanted and isinstance(value, Span)
    ]


def _text(message: Span, wanted: int) -> str:
    """Return a text field of a small message; the last one counts."""
    found = ""
    for number, value in message.fields():
        if number == wanted and isinstance(value, Span):
            _check_name(value)
            found = value.read(_MAX_NAME_BYTES).decode(errors="replace")
    return found


def _check_name(name: Span) -> None:
    if len(name) > _MAX_NAME_BYTES:
        raise ModelRefused(f"has a name of more than {_MAX_NAME_BYTES} bytes")


def _numbers(value: int | Span) -> list[int]:
    """Return the numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        return [value]
    found: list[int] = []
    at = value.start
    while at < value.end and len(found) <= _MAX_DIMS:
        number, at = value.reader.varint(at, value.end)
        found.append(number)
    return found


def _elements(dims: Iterable[int]) -> int:
    """Return the product of the sides of a tensor. A negative one is a huge unsigned number on the wire."""
    found = prod(dims)
    if found >= 1 << 63:
        raise ModelRefused("claims a tensor with a side that no memory holds")
    return found


def _natural(text: str | None) -> int | None:
    """Return a number of bytes written in decimal; not given is zero, anything else None."""
    if not text:
        return 0
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
