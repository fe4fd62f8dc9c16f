"""Redis connections that notice a dead server.

`from_url` of redis-py 8 brings neither timeouts nor retries of its own: a frozen server, or a link that drops packets
without a word, would hold the caller for ever. Worst case of one call here: (retries + 1) x `SOCKET_TIMEOUT_S`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

#: A blocking read must ask for less than this.
SOCKET_TIMEOUT_S = 3.0
_CONNECT_TIMEOUT_S = 2.0
_RETRIES = 2

#: Commands are queued on these in the same words by gateway (asyncio) and the rest (not): so do our modules.
AnyPipeline: TypeAlias = "redis.client.Pipeline | redis.asyncio.client.Pipeline"

#: What a caller survives by waiting: the server is away, did not answer in time, or takes no writes for now.
Down = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
)


def _options(url: str, name: str) -> dict[str, Any]:
    # redis-py refuses the two where they mean nothing: on a socket file.
    tcp = {} if url.startswith("unix://") else {"socket_connect_timeout": _CONNECT_TIMEOUT_S, "socket_keepalive": True}
    return {
        **tcp,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "health_check_interval": 10,
        "client_name": f"detector-{name}",
        "decode_responses": False,
    }


def connect(url: str, name: str) -> redis.Redis:
    """Return a client (thread-safe, lazy) of the server at `url`; `name` shows in CLIENT LIST."""
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), _RETRIES)
    return redis.Redis.from_url(url, retry=retry, **_options(url, name))


def connect_async(url: str, name: str) -> redis.asyncio.Redis:
    """Return an asyncio client (lazy) of the server at `url`; `name` shows in CLIENT LIST."""
    retry = AsyncRetry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), _RETRIES)
    return redis.asyncio.Redis.from_url(url, retry=retry, **_options(url, name))
