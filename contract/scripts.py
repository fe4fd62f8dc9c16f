"""The Lua scripts of `contract/lua`: each one step that must happen whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoScriptError

Arg = str | int | float | bytes


class Script:
    """One script, sent by its hash and once in full to a server that does not know it yet."""

    def __init__(self, *names: str) -> None:
        self._names = names

    @cached_property
    def text(self) -> str:
        """The files' text, one after the other."""
        return "\n".join((files("contract") / "lua" / name).read_text() for name in self._names)

    @cached_property
    def _sha(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, redis: Redis, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run it and return its reply as redis-py gives it."""
        try:
            return redis.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return redis.eval(self.text, len(keys), *keys, *args)

    async def run(self, redis: AsyncRedis, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Do the same for asyncio."""
        try:
            return await redis.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await redis.eval(self.text, len(keys), *keys, *args)
