"""Every error that one process may see of another's doing. A message names the thing, the fact, the next step."""

from __future__ import annotations


class DetectorError(Exception):
    """Base of all errors of this project that a caller may want to survive."""


class SettingsInvalid(DetectorError):
    """A setting makes no sense; the message is one line that names the variable."""


class RecordInvalid(DetectorError):
    """A key holds something the contract does not allow: the writer is wrong or of another version."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}; does every process run the same version of detector?")
        self.key = key
        self.reason = reason


class UrlRefused(DetectorError):
    """A URL that may not be opened, or that we cannot read; the message carries neither credentials nor local paths."""
