"""What can be typed at a CMS, and the messages that it makes."""

from __future__ import annotations

import json
import shlex
from typing import Any

from cli.cms.line import Message
from contract.errors import DetectorError

HELP = """\
subscribe DISPLAY CAMERA MODEL URL [FIELD=VALUE …]   an address that ends in .jpg is a snapshotUrl, others rtspUrl
unsubscribe DISPLAY CAMERA
session DISPLAY ID                                   a number, a text, or null for none
state                                                ask for a state report, and show it
send JSON                                            any message, as it is
wait SECONDS                                         go on listening
until TYPE [SECONDS]                                 wait (10 s) for such a message since the last command, or fail
reports on|off                                       show heartbeats too, or not (off)
view                                                 a live table, until Enter
help, quit
Lines that begin with # are skipped."""


class BadCommand(DetectorError):
    """A line that is no command; the message says what was expected."""


def words(line: str) -> list[str]:
    """Return the words of a line; quotes hold spaces together.

    Raises:
        BadCommand: a quote has no end.
    """
    if line.lstrip().startswith("send "):
        return ["send", line.lstrip().removeprefix("send ").strip()]
    try:
        return shlex.split(line, comments=line.lstrip().startswith("#"))
    except ValueError as exc:
        raise BadCommand(f"{exc}".lower()) from None


def message_of(given: list[str]) -> Message | None:
    """Return the message that a command stands for; None when it is no command of this kind.

    Raises:
        BadCommand: it is one, but not as `HELP` has it.
    """
    match given:
        case ["subscribe", display, camera, model, url, *fields]:
            source = "snapshotUrl" if url.lower().endswith((".jpg", ".jpeg")) else "rtspUrl"
            payload = {"subscriptionIdentifier": f"{display};{camera}", source: url, "modelUrl": model, "modelId": 1}
            return {"type": "subscribe", "payload": payload | dict(map(_field, fields))}
        case ["unsubscribe", display, camera]:
            return {"type": "unsubscribe", "payload": {"subscriptionIdentifier": f"{display};{camera}"}}
        case ["session", display, session]:
            payload = {"displayIdentifier": display, "sessionId": _value(session)}
            return {"type": "setSessionId", "payload": payload}
        case ["state"]:
            return {"type": "requestState"}
        case ["send", text]:
            return _raw(text)
        case ["subscribe" | "unsubscribe" | "session" | "state" | "send" as name, *_]:
            expected = next(line for line in HELP.splitlines() if line.startswith(name))
            raise BadCommand(f"expected {expected.split('  ')[0]}")
    return None


def _raw(text: str) -> Message:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise BadCommand("expected send and one JSON object")
    return content


def _field(text: str) -> tuple[str, Any]:
    name, separated, value = text.partition("=")
    if not separated:
        raise BadCommand(f"expected FIELD=VALUE, got {text}")
    return name, _value(value)


def _value(text: str) -> Any:
    """Return a number, true, false or null as such, and anything else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list | str) else value
