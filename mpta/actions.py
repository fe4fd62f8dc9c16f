"""The `actions` of a node and the `redis` they go to: checked here, so that a worker only meets what can run."""

from __future__ import annotations

import re
from typing import Literal, cast

from mpta import templates
from mpta.errors import shown
from mpta.keys import Keys
from mpta.manifest import DEFAULT_QUALITY, Action, Publish, RedisTarget, SaveImage

#: How a package says that its password is in a variable of the environment: `env:PUMP_REDIS_PASSWORD`.
_REFERENCE = "env:"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: What is told of `templates.reaching`.
REACHING = "has {}; a placeholder is a name, or a name, a colon and a short format"
#: Actions of one node. The worker runs them all for every event.
MAX_ACTIONS = 64
_TEMPLATES = {"redis_save_image": ("key",), "redis_publish": ("channel", "message")}


def read_target(top: Keys) -> RedisTarget | None:
    """Return where the package's actions go; None, with the faults noted, when it does not say."""
    keys = top.child("redis", required=False)
    if keys is None:
        return None
    host, port = keys.text("host", required=True), keys.whole("port", 1, 65535, required=True)
    if host and not _may_be_host(host):
        keys.notes.fault(keys.at("host"), "must be the name or address of a host")
    password, variable = _password(keys)
    target = RedisTarget(
        host=host or "",
        port=port or 0,
        password=password,
        password_variable=variable,
        db=keys.whole("db", 0, 2**31) or 0,
        tls=keys.flag("tls"),
        username=keys.text("username"),
    )
    keys.finish()
    return target


def _password(keys: Keys) -> tuple[str | None, str | None]:
    """Return the password, or the variable that holds it."""
    given = keys.secret("password") or None
    if given is None or not given.startswith(_REFERENCE):
        if given is not None:
            advice = "set a variable on the worker and write env: and its name"
            keys.notes.warn(keys.at("password"), f"stands in clear text, for everyone who has the package: {advice}")
        return given, None
    variable = given.removeprefix(_REFERENCE)
    if _VARIABLE.fullmatch(variable):
        return None, variable
    keys.notes.fault(keys.at("password"), f"expected the name of an environment variable after {_REFERENCE}")
    return None, None


def _may_be_host(host: str) -> bool:
    """Return whether a name can be looked up; the system's own look-up fails in odd ways on one that cannot."""
    try:
        return len(host) <= 255 and host.isprintable() and bool(host.encode("idna"))
    except UnicodeError:
        return False


def read_actions(node: Keys, known_names: frozenset[str], *, has_redis: bool) -> tuple[Action, ...]:
    """Return the actions of a node that can run; note each that cannot and the faults of all.

    An action of unknown type, with an unknown name in a template or without a `redis` block is disabled; one with a
    missing or mistyped key refuses the package.
    """
    found: list[Action] = []
    given = node.children("actions")
    if len(given) > MAX_ACTIONS:
        node.notes.fault(node.at("actions"), f"more than {MAX_ACTIONS} actions")
    for keys in given[:MAX_ACTIONS]:
        kind = keys.text("type", required=True)
        if kind is None:
            continue
        if kind not in _TEMPLATES:
            keys.notes.disabled.append(f"{keys.path}: disabled: unknown type '{shown(kind)}'")
            continue
        action = _read(kind, keys)
        keys.finish()
        for key in _TEMPLATES[kind]:
            template = keys.content.get(key)
            if isinstance(template, str) and (text := templates.reaching(template, known_names)):
                keys.notes.fault(keys.at(key), REACHING.format(shown(text)))
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
        expire_seconds=keys.whole("expire_seconds", 0, 2**31) or None,
        quality=keys.whole("quality", 1, 100) or DEFAULT_QUALITY,
        format=cast("Literal['jpeg', 'png']", keys.choice("format", ("jpeg", "png")) or "jpeg"),
    )


def _disabled(kind: str, keys: Keys, known_names: frozenset[str], *, has_redis: bool) -> str:
    if not has_redis:
        return "the package has no 'redis' block"
    for key in _TEMPLATES[kind]:
        template = keys.content.get(key)
        if not isinstance(template, str):
            continue
        if text := templates.converting(template, known_names):
            return f"'{key}' has {shown(text)}; a placeholder has no conversion"
        if unknown := sorted(templates.names(template) - known_names):
            return f"'{key}' uses {{{shown(unknown[0])}}}, which nothing gives"
    return ""
