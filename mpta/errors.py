"""Every error that `mpta` raises on purpose. Messages are for a package's author: no local path, no stack."""

from __future__ import annotations

from collections.abc import Sequence

#: Faults in one message: a stranger's package can hold hundreds, and the message goes to a CMS and into logs.
MAX_TOLD = 20


class MptaError(Exception):
    """Base of all of them: the package cannot be used, and `str()` says why in one sentence."""


class PackageInvalid(MptaError):
    """The package breaks the format or a limit; nothing in it was run.

    Attributes:
        faults: every fault found, each naming its file or key.
    """

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        """Store the faults of the package file or folder called `name` (its last path component only)."""
        more = f"; and {len(faults) - MAX_TOLD} more" if len(faults) > MAX_TOLD else ""
        super().__init__(f"{shown(name)}: {'; '.join(faults[:MAX_TOLD])}{more}")
        self.faults = tuple(faults)


class ModelRefused(MptaError):
    """A model file may not be loaded; `str()` ends a sentence that begins with its name."""


class ModelInvalid(MptaError):
    """A model file cannot be loaded, or its task does not fit the node that names it."""


def shown(name: str, longest: int = 80) -> str:
    """Return a stranger's name fit for a message: printable ASCII, at most `longest` characters."""
    printable = name.encode("unicode_escape").decode("ascii")
    return printable if len(printable) <= longest else printable[: longest - 3] + "..."
