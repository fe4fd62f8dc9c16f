"""The `actions` of a node: checked where they stand, so that a worker only ever meets actions that can run."""

from __future__ import annotations

from typing import Literal, cast

from mpta import templates
from mpta.errors import shown
from mpta.keys import Keys
from mpta.manifest import DEFAULT_QUALITY, Action, Publish, SaveImage

_TEMPLATES = {"redis_save_image": ("key",), "redis_publish": ("channel", "message")}


def read_actions(node: Keys, known_names: frozenset[str], *, has_redis: bool) -> tuple[Action, ...]:
    """Return the actions of a node that can run; note each that cannot and the faults of all.

    An action of unknown type, with an unknown name in a template or without a `redis` block is disabled; one with a
    missing or mistyped key refuses the package.
    """
    found: list[Action] = []
    for keys in node.children("actions"):
        kind = keys.text("type", required=True)
        if kind is None:
            continue
        if kind not in _TEMPLATES:
            keys.notes.disabled.append(f"{keys.path}: disabled: unknown type '{shown(kind)}'")
            continue
        action = _read(kind, keys)
        keys.finish()
        reason = _disabled(kind, keys, known_names, has_redis=has_redis)
        if reason:
            keys.notes.disabled.append(f"{keys.path}: disabled: {reason}")
        else:
            found.append(action)
    return tuple(found)


def _read(kind: str, keys: Keys) -> Action:
    if kind == "redis_publish":
        channel, message = keys.text("channel", required=True), keys.text("message", required=True)
        return Publish(channel=channel or "", message=message or "")
    return SaveImage(
        key=keys.text("key", required=True) or "",
        expire_seconds=keys.whole("expire_seconds", 1, 2**31),
        quality=keys.whole("quality", 1, 100) or DEFAULT_QUALITY,
        format=cast("Literal['jpeg', 'png']", keys.choice("format", ("jpeg", "png")) or "jpeg"),
    )


def _disabled(kind: str, keys: Keys, known_names: frozenset[str], *, has_redis: bool) -> str:
    if not has_redis:
        return "the package has no 'redis' block"
    for key in _TEMPLATES[kind]:
        template = keys.content.get(key)
        unknown = sorted(templates.names(template) - known_names) if isinstance(template, str) else []
        if unknown:
            return f"'{key}' uses {{{shown(unknown[0])}}}, which nothing gives"
    return ""
