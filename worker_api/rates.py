"""Compares, second by second, what every subscription of ours gets with what it asks for and its camera gives."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.asyncio import Redis

from contract import work
from contract.keys import Keys
from contract.subscriptions import Subscription
from worker_api.cluster import View
from worker_api.hub import Hub
from worker_api.messages import Overloaded
from worker_api.meters import Meter

RATES_S = 1.0


class Rates:
    """Keeps meters and their overloads up to date."""

    def __init__(self, redis: Redis, keys: Keys, hub: Hub, view: Callable[[], View]) -> None:
        self._redis, self._keys, self._hub, self._view = redis, keys, hub, view

    async def step(self) -> None:
        """Ask how many frames were published; tell who gets far too few results."""
        metered = self._hub.metered()
        groups = list({meter.group for _, meter in metered})
        if not groups:
            return
        counts = await work.offered(self._redis, self._keys, groups)
        now_s, view = time.monotonic(), self._view()
        for subscription, meter in metered:
            meter.offered(now_s, counts[meter.group])
            self._judge(subscription, meter, now_s, view)

    def _judge(self, subscription: Subscription, meter: Meter, now_s: float, view: View) -> None:
        achieved_fps = meter.achieved_fps(now_s)
        possible = possible_fps(subscription, meter, now_s, view)
        if meter.overload.judge(now_s, possible_fps=possible, achieved_fps=achieved_fps):
            told = Overloaded.of(subscription.id, subscription.fps, meter.offered_fps, achieved_fps)
            self._hub.say(subscription.id, told)


def possible_fps(subscription: Subscription, meter: Meter, now_s: float, view: View) -> float:
    """Return how many results per second there should be: what is asked for, or less if the camera gives less.

    0 where something else explains that they are few: a package that is not here yet, or fails, or a cluster that
    cannot be seen.
    """
    explained = meter.in_trouble(now_s) or not view.fresh(now_s) or meter.pipeline not in view.versions
    return 0.0 if explained else min(subscription.fps, meter.offered_fps)
