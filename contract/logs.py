"""Logging of every process: one format, to standard error and on request to a file, with URLs' secrets removed."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time

from contract.settings import Settings
from contract.urls import redact

#: A line per HTTP request in a process that polls cameras, or per wake-up in one that answers them, is noise.
_TALKATIVE = ("httpx", "httpcore", "celery.worker.strategy", "celery.app.trace")


class _Text(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Json(_Text):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "role": self._defaults["role"],
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str))

    def __init__(self, role: str) -> None:
        super().__init__()
        self._defaults = {"role": role}


def configure(settings: Settings, role: str) -> None:
    """Send this process's log records to standard error (and `log_file`), each marked with `role`."""
    formatter: logging.Formatter
    if settings.log_format == "json":
        formatter = _Json(role)
    else:
        formatter = _Text(f"%(asctime)s %(levelname)-7s {role}: %(message)s")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_file is not None:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        # A file for each role: two processes that rotate the same one lose lines.
        file = settings.log_file.with_stem(f"{settings.log_file.stem}-{role}")
        handlers.append(logging.handlers.RotatingFileHandler(file, maxBytes=10_000_000, backupCount=5))
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level, handlers=handlers, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
