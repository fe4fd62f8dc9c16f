"""The model files of a package: named rightly, there, and harmless as far as can be told without running them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from mpta.checkpoint import check_checkpoint
from mpta.errors import ModelRefused, shown
from mpta.manifest import Manifest, Node
from mpta.names import name_fault
from mpta.onnx_file import check_onnx

_SUFFIXES = (".pt", ".onnx")
#: What people pack in their place, and what to do about it.
_REMEDIES = {
    ".engine": "is a compiled TensorRT engine, which is a program; give the .pt or .onnx that it was made of",
    ".torchscript": "is a TorchScript program; give the .pt or .onnx that it was made of",
}
#: What a download or a checkout leaves in a model's place, by its first bytes.
_STAND_INS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the model; fetch it (git lfs pull) and pack again",
    b"<": "is a web page or XML, not a model; download it again",
}


def inner_path(node: Node) -> str:
    """Return the path of a node's model inside the package."""
    return node.model_file.removeprefix("./")


def reference_faults(manifest: Manifest, sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield what is wrong with the names of the models; `sizes` are the bytes of each file of the package."""
    for node in manifest.root.walk():
        inner = inner_path(node)
        suffix = PurePosixPath(inner).suffix.lower()
        fault = name_fault(inner)
        if fault is None and suffix not in _SUFFIXES:
            fault = _REMEDIES.get(suffix, "is not a .pt or .onnx file")
        elif fault is None and inner not in sizes:
            fault = "is a folder" if any(each.startswith(f"{inner}/") for each in sizes) else "is not in the package"
        elif fault is None and not sizes[inner]:
            fault = "is empty"
        if fault:
            yield f"{node.path}.modelFile: '{shown(inner)}' {fault}"


def inspect_models(manifest: Manifest, home: Path, sizes: Mapping[str, int]) -> tuple[list[str], set[str]]:
    """Return what is wrong inside the models, and the files in which ONNX models keep weights.

    The models lie on disk at `home`; `sizes` are the bytes of each file of the package, on disk or not.
    """
    faults: dict[str, str] = {}
    beside: dict[str, set[str]] = {}
    for inner in {inner_path(node) for node in manifest.root.walk()}:
        try:
            beside[inner] = _inspect(inner, home, sizes)
        except ModelRefused as exc:
            faults[inner] = str(exc)
    told = [
        f"{node.path}.modelFile: '{shown(inner)}' {faults[inner]}"
        for node in manifest.root.walk()
        if (inner := inner_path(node)) in faults
    ]
    return told, set().union(*beside.values())


def _inspect(inner: str, home: Path, sizes: Mapping[str, int]) -> set[str]:
    path = home / inner
    with path.open("rb") as file:
        head = file.read(32).lstrip()
    for start, fault in _STAND_INS.items():
        if head.startswith(start):
            raise ModelRefused(fault)
    if inner.lower().endswith(".pt"):
        check_checkpoint(path)
        return set()
    folder = PurePosixPath(inner).parent
    within = {
        str(PurePosixPath(each).relative_to(folder)): size
        for each, size in sizes.items()
        if PurePosixPath(each).is_relative_to(folder)
    }
    return {str(folder / each) for each in check_onnx(path, within)}
