"""Passwords that a package refers to instead of holding them: `"password": "env:PUMP_REDIS_PASSWORD"`.

A package is a stranger's and names the server too: it could have any variable of the worker sent to a server of its
own, as a password. So it may name only what the operator's setting `package_env` allows, and never one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from contract.settings import PREFIX
from mpta.manifest import Manifest, RedisTarget


def with_password(manifest: Manifest, allowed: str, environment: Mapping[str, str]) -> Manifest:
    """Return the manifest with the password that it refers to; with its actions off where that is not to be had.

    Args:
        manifest: as it was parsed.
        allowed: the setting `package_env`.
        environment: variables by name.
    """
    target = manifest.redis
    if target is None or target.password_variable is None:
        return manifest
    if fault := _fault(target, allowed, environment):
        return replace(manifest, redis=None, disabled=(*manifest.disabled, f"redis.password: all actions are {fault}"))
    password = environment[target.password_variable]
    return replace(manifest, redis=replace(target, password=password, password_variable=None))


def _fault(target: RedisTarget, allowed: str, environment: Mapping[str, str]) -> str:
    variable = target.password_variable or ""
    if not may_read(variable, target.host, allowed):
        # Whether it is set is nobody's business.
        return f"disabled: {variable} is no variable that a package for this server may name ({PREFIX}PACKAGE_ENV)"
    if not environment.get(variable):
        return f"disabled: the worker's environment has no {variable}"
    return ""


def may_read(variable: str, host: str, allowed: str) -> bool:
    """Return whether a package whose server is `host` may name a variable of the environment."""
    if variable.upper().startswith(PREFIX):
        return False
    patterns = [pattern.strip() for pattern in allowed.split(",")]
    return any(
        fnmatchcase(f"{variable}@{host.lower()}", pattern if "@" in pattern else f"{pattern}@*") for pattern in patterns
    )
