"""The same weights are in memory once per process, whichever packages and nodes name them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from mpta.errors import ModelInvalid, ModelRefused, shown
from mpta.model import Model
from mpta.onnx_file import weight_files
from mpta.quietly import quietly


@runtime_checkable
class Twinned(Model, Protocol):
    """A model that may not run in two threads at once, but may share its parameters."""

    @property
    def size_bytes(self) -> int:
        """Memory that the parameters take."""
        ...

    def twin(self) -> Model:
        """Return a model with the same parameters in memory and a state of its own."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Weights:
    """One model file in memory, until nobody holds this object.

    Attributes:
        digest: sha256 in hex of the file, with what it keeps in others.
        size_bytes: memory that the parameters take on their device.
    """

    digest: str
    size_bytes: int
    _first: Model

    def model(self) -> Model:
        """Return a model of these parameters, to be called from one thread at a time."""
        return self._first.twin() if isinstance(self._first, Twinned) else self._first


_loading = threading.Lock()
_loaded: WeakValueDictionary[tuple[Any, ...], Weights] = WeakValueDictionary()


def load_weights(path: Path, *, name: str, device: str, threads: int | None = None, quiet: bool = False) -> Weights:
    """Return the weights in a file; those that are in memory already are taken from there. One load at a time.

    Args:
        path: the file on disk; never named in an error.
        name: what to call it there; its suffix says what it is.
        device: `cpu`, `cuda`, `cuda:1`.
        threads: threads per pass; None leaves them as they are.
        quiet: load at low priority.

    Raises:
        ModelInvalid: the file cannot be loaded safely, or the device is not there.
    """
    suffix = Path(name).suffix.lower()
    files = _files(path, name) if suffix == ".onnx" else [path]
    digest = _digest(files)
    key = digest, suffix, device, threads
    with _loading:
        found = _loaded.get(key)
        if found is None:
            if suffix == ".onnx":
                # Never quietly: the session's own threads would keep the low priority.
                model = _onnx(path, name, threads)
            else:
                load = _checkpoint(path, name, device, threads)
                model = quietly(load) if quiet else load()
            size_bytes = model.size_bytes if isinstance(model, Twinned) else sum(file.stat().st_size for file in files)
            found = _loaded[key] = Weights(digest, size_bytes, model)
    return found


def _files(path: Path, name: str) -> list[Path]:
    try:
        return weight_files(path)
    except ModelRefused as exc:
        raise ModelInvalid(f"'{shown(name)}' {exc}") from exc


def _digest(files: Sequence[Path]) -> str:
    """Return the sha256 of a file in hex, or one over those of several files."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _onnx(path: Path, name: str, threads: int | None) -> Model:
    from mpta.onnx_model import load_onnx  # A package of ONNX files alone needs no torch.

    return load_onnx(path, name=name, threads=threads)


def _checkpoint(path: Path, name: str, device: str, threads: int | None) -> Callable[[], Model]:
    def load() -> Model:
        from mpta.torch_model import load_checkpoint

        return load_checkpoint(path, name=name, device=device, threads=threads)

    return load
