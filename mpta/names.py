"""Names of files inside a package: which are refused, which are the same, which are not seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: Read by Windows as devices, whatever the suffix. The superscripts are digits to it too.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[\d¹²³])(?: *\..*)?", re.IGNORECASE)
#: Control, invisible formatting (it can turn a name around on screen), half a surrogate pair, line and paragraph.
_CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_MAX_PART_BYTES = 200
_MAX_PARTS = 16


def name_fault(name: str) -> str | None:
    """Return why a path inside a package is refused, or None."""
    parts = name.removesuffix("/").split("/")
    if any(unicodedata.category(character) in _CONTROL for character in name):
        return "has a control character in its name"
    if "\\" in name:
        return "has a backslash in its name"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in parts:
        return "leaves the package"
    if any(_is_awkward(part) for part in parts):
        return "has a name that not every system can store"
    if len(parts) > _MAX_PARTS:
        return "lies too deep in folders"
    if any(_DEVICE.fullmatch(part) for part in parts):
        return "has the name of a device"
    return None


def _is_awkward(part: str) -> bool:
    return part in ("", ".") or part != part.rstrip(" .") or ":" in part or len(part.encode()) > _MAX_PART_BYTES


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


def is_hidden(name: str) -> bool:
    """Return whether a path lies in what a Mac or a version control adds to an archive: it is ignored."""
    return any(part == "__MACOSX" or part.startswith(".") for part in name.split("/"))
