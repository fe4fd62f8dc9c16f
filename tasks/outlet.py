"""The connection to one target of actions: runs jobs there, waits while it is away, and says so once."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

from contract import clients
from contract.backoff import backoff
from mpta.errors import shown
from mpta.manifest import RedisTarget
from tasks.events import ActionFailed, Job, Step, steps

log = logging.getLogger(__name__)

#: Connecting, and each answer.
TIMEOUT_S = 3.0
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.25, 5.0
#: That a server which is there refuses an action is logged at most this often, for each type of action.
_QUIET_S = 600.0

#: What is wrong with a server that does not do its work now, but may later.
_AWAY: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "does not take the user name and password"),
    (BusyLoadingError, "is still loading its data"),
    (OutOfMemoryError, "has no memory left"),
    (ReadOnlyError, "takes no writes"),
    (redis.TimeoutError, "does not answer"),
    (redis.ConnectionError, "cannot be reached"),
)


class Outlet:
    """One target's connection. For one thread."""

    def __init__(
        self,
        target: RedisTarget,
        *,
        give_up_s: float,
        count: Callable[[str, int], None],
        pause: Callable[[float], bool],
    ) -> None:
        """Store them; connects with the first job.

        Args:
            target: the server.
            give_up_s: an action that could not be run for so long is dropped.
            count: told of what was `done`, `failed`, `retried` and `dropped`.
            pause: waits for seconds; returns False when there is to be no further attempt.
        """
        self._where = f"{shown(target.host)}:{target.port}"
        self._give_up_s, self._count, self._pause = give_up_s, count, pause
        self._client = _connect(target)
        self._waits = backoff(_FIRST_RETRY_S, longest_s=_LONGEST_RETRY_S)
        self._away_since_s: float | None = None
        self._said: set[str] = set()
        self._dropped = 0
        self._quiet_until_s: dict[str, float] = {}

    def run(self, job: Job) -> None:
        """Run a job's actions in order; what its time does not suffice for is dropped."""
        left = job.size
        for step in steps(job):
            if not self._settle(step, job.made_at_s + self._give_up_s):
                self._count("dropped", left)
                self._dropped += left
                return
            left -= 1

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _settle(self, step: Step, deadline_s: float) -> bool:
        """Run an action until it is done or refused; return False when it is to be given up."""
        while (left_s := deadline_s - time.monotonic()) > 0:
            try:
                step.run(self._client)
            except clients.Down as exc:
                self._is_away(exc)
                if not self._pause(min(next(self._waits), left_s)):
                    return False
                self._count("retried", 1)
            except (redis.RedisError, ActionFailed) as exc:
                self._is_refused(step, exc)
                self._count("failed", 1)
                return True
            else:
                self._is_back()
                self._count("done", 1)
                return True
        return False

    def _is_away(self, fault: Exception) -> None:
        """Say what is wrong, once per outage."""
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
        why = _why_away(fault)
        if why not in self._said:
            log.warning("actions: %s %s; they are tried again for %g s each", self._where, why, self._give_up_s)
            self._said.add(why)

    def _is_back(self) -> None:
        if self._away_since_s is None:
            return
        away_s = time.monotonic() - self._away_since_s
        log.info("actions: %s is back after %.1f s; %d were dropped", self._where, away_s, self._dropped)
        self._away_since_s, self._dropped = None, 0
        self._said.clear()
        self._waits = backoff(_FIRST_RETRY_S, longest_s=_LONGEST_RETRY_S)

    def _is_refused(self, step: Step, fault: Exception) -> None:
        now_s = time.monotonic()
        if now_s >= self._quiet_until_s.get(step.name, now_s):
            log.warning("actions: %s at %s failed: %s", step.name, self._where, _why_refused(fault))
            self._quiet_until_s[step.name] = now_s + _QUIET_S


def _why_away(fault: Exception) -> str:
    context: BaseException | None = fault
    while context is not None:
        if isinstance(context, ssl.SSLError):
            return "gives no TLS connection that can be trusted"
        context = context.__context__
    return next(words for kind, words in _AWAY if isinstance(fault, kind))


def _why_refused(fault: Exception) -> str:
    """Return what is wrong in our words: a server may repeat in its own what it was sent, be it the password."""
    if isinstance(fault, ActionFailed):
        return str(fault)
    code = str(fault).partition(" ")[0]
    known = type(fault) is redis.ResponseError and code.isascii() and code.isalpha() and code.isupper()
    return f"the server refuses it ({code if known and len(code) <= 16 else type(fault).__name__})"


def _connect(target: RedisTarget) -> redis.Redis:
    """Return a client that tries once, and asks for nothing that an account for SET and PUBLISH alone has not."""
    return redis.Redis(
        host=target.host,
        port=target.port,
        db=target.db,
        username=target.username,
        password=target.password,
        ssl=target.tls,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=1,
        encoding_errors="replace",
        protocol=2,  # HELLO is unknown to servers before 6.0.
    )
