"""Typed reading of one JSON object: what is wrong is noted with its path, and reading goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from mpta.errors import shown

#: Faults and warnings that are worth telling. A file of a stranger can hold a hundred thousand.
MAX_NOTES = 100


class Notes:
    """What was found while reading: faults refuse the package, warnings do not."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.disabled: list[str] = []
        self._unknown: dict[str, str] = {}

    def fault(self, path: str, text: str) -> None:
        _add(self.faults, f"{path}: {text}")

    def warn(self, path: str, text: str) -> None:
        _add(self.warnings, f"{path}: {text}")

    def unknown_key(self, key: str, path: str) -> None:
        """Note a key that the format does not have, once per key however many nodes carry it."""
        if len(self._unknown) < MAX_NOTES:
            self._unknown.setdefault(key, path)

    def all_warnings(self) -> list[str]:
        unknown = [f"{path}: unknown key, ignored" for path in self._unknown.values()]
        return [*self.warnings, *unknown, *self.disabled]


def _add(notes: list[str], note: str) -> None:
    if len(notes) < MAX_NOTES:
        notes.append(note)
    elif len(notes) == MAX_NOTES:
        notes.append(f"more than {MAX_NOTES} of them, the rest is not told")


class Keys:
    """One JSON object at `path`. Each method reads one key, notes a wrong type, and then returns "not given"."""

    def __init__(self, content: dict[str, Any], path: str, notes: Notes) -> None:
        self.content, self.path, self.notes = content, path, notes
        self._read: set[str] = set()
        for key in getattr(content, "twice", ()):
            notes.warn(self.at(key), "given more than once, the last one counts")

    def at(self, key: str) -> str:
        """Return the path of a key of this object."""
        return f"{self.path}.{shown(key)}" if self.path else shown(key)

    def finish(self) -> dict[str, object]:
        """Return the keys that nobody read, and note each."""
        left = {key: value for key, value in self.content.items() if key not in self._read}
        for key in left:
            self.notes.unknown_key(key, self.at(key))
        return left

    def text(self, key: str, *, required: bool = False) -> str | None:
        value = self._take(key, required=required)
        if value is None or isinstance(value, str):
            if value == "" and required:
                self.notes.fault(self.at(key), "must not be empty")
            return value
        self._wrong(key, "a string", value)
        return None

    def secret(self, key: str) -> str | None:
        """Read a string that no message may show, not even when it is none."""
        value = self._take(key)
        if value is None or isinstance(value, str):
            return value
        self.notes.fault(self.at(key), "must be a string")
        return None

    def flag(self, key: str) -> bool:
        value = self._take(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        self._wrong(key, "true or false", value)
        return False

    def whole(self, key: str, least: int, most: int, *, required: bool = False) -> int | None:
        value = self._take(key, required=required)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
            return value
        self._wrong(key, f"a whole number from {least} to {most}", value)
        return None

    def fraction(self, key: str) -> float | None:
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        self._wrong(key, "a number from 0 to 1", value)
        return None

    def choice(self, key: str, options: Sequence[str]) -> str | None:
        value = self._take(key)
        if value is None or (isinstance(value, str) and value in options):
            return value
        self._wrong(key, " or ".join(repr(option) for option in options), value)
        return None

    def names(self, key: str) -> frozenset[str] | None:
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return frozenset(cast("list[str]", value))
        self._wrong(key, "a list of strings", value)
        return None

    def texts(self, key: str) -> dict[str, str]:
        value = self._take(key)
        if value is None:
            return {}
        if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
            return dict(Keys(value, self.at(key), self.notes).content)
        self._wrong(key, "an object whose values are strings", value)
        return {}

    def child(self, key: str, *, required: bool) -> Keys | None:
        value = self._take(key, required=required)
        if value is None:
            return None
        if isinstance(value, dict):
            return Keys(value, self.at(key), self.notes)
        self._wrong(key, "an object", value)
        return None

    def children(self, key: str) -> list[Keys]:
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(key, "a list of objects", value)
            return []
        found = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                found.append(Keys(item, f"{self.at(key)}[{index}]", self.notes))
            else:
                self.notes.fault(f"{self.at(key)}[{index}]", f"must be an object, not {_kind(item)}")
        return found

    def _take(self, key: str, *, required: bool = False) -> Any:
        self._read.add(key)
        value = self.content.get(key)
        if key not in self.content:
            if required:
                self.notes.fault(self.at(key), "is missing")
        elif value is None and required:
            self._wrong(key, "a value", value)
        elif value is None:
            self.notes.warn(self.at(key), "null is read as not given")
        return value

    def _wrong(self, key: str, wanted: str, value: object) -> None:
        self.notes.fault(self.at(key), f"must be {wanted}, not {_kind(value)}")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return shown(str(value).lower(), 40) if abs(value) < 1e18 else "a huge number"
    return "a string" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
