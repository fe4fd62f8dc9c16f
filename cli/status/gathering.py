"""What the servers know of the cluster, read in a handful of round trips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis

from contract import camera_states, clients, frames, nodes, problems, results, subscriptions
from contract.camera_states import CameraState
from contract.errors import DetectorError, RecordInvalid
from contract.keys import Cam, Keys, PipelineId
from contract.nodes import Node
from contract.problems import Code, Problem
from contract.results import Entry
from contract.settings import Settings
from contract.subscriptions import Wanted

#: Rates and ages are those of the results of the last so many ms, of so many at most.
_RECENT_MS, _MOST, _AT_ONCE = 5_000, 20_000, 1_000
#: So many of the newest problems are looked at.
_PROBLEMS = 500
#: A pipeline that fails is told of every ten seconds: what is older than this is over.
_FAILING_MS = 30_000


class Unreachable(DetectorError):
    """There is no server to ask."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Results of one subscription: how many per second, and the median of seconds from capture to the stream."""

    per_second: float
    age_s: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known at one moment.

    Attributes:
        fresh: the cameras that have a fresh frame.
        holders: which daemon reads a camera.
        rates: by subscription; those without results of late are missing.
        model_problems: what was told last of a subscription's package, if that may still be true.
        overloaded: subscription -> how many times more is asked for than is done, as gateways say.
        results: in the stream. patch_failures: patches that a CMS could not apply.
    """

    at_ms: int
    wanted: Wanted
    living: Sequence[Node]
    cameras: Mapping[Cam, CameraState]
    fresh: frozenset[Cam]
    holders: Mapping[Cam, str]
    versions: Mapping[PipelineId, str]
    rates: Mapping[str, Rate] = field(default_factory=dict)
    model_problems: Mapping[str, Problem] = field(default_factory=dict)
    overloaded: Mapping[str, float] = field(default_factory=dict)
    results: int = 0
    patch_failures: int = 0


def gather(settings: Settings) -> Cluster:
    """Return what the servers that `settings` name know now.

    Raises:
        Unreachable: one of them does not answer.
    """
    keys = Keys(settings.key_prefix)
    with clients.connect(settings.state, "status") as state, clients.connect(settings.frames, "status") as server:
        try:
            return _gather(state, server, keys)
        except clients.Down:
            hint = "is DETECTOR_STATE_URL right?" if settings.state_url else "does `detector up` run in this folder?"
            raise Unreachable(f"the servers cannot be reached; {hint} Otherwise set DETECTOR_STATE_URL") from None


def _gather(state: Redis, frames_server: Redis, keys: Keys) -> Cluster:
    wanted, living = subscriptions.read(state, keys), nodes.read(state, keys)
    cams = sorted(wanted.cameras)
    pipe = state.pipeline(transaction=False)
    pipe.time()
    pipe.xlen(keys.detections)
    pipe.xlen(keys.patch_failures)
    pipe.xrevrange(keys.problems, count=_PROBLEMS)
    for cam in cams:
        pipe.hget(keys.lease(cam), "owner")
    (seconds, micros), kept, failures, told, *owners = pipe.execute()
    at_ms = int(seconds) * 1000 + int(micros) // 1000
    return Cluster(
        at_ms=at_ms,
        wanted=wanted,
        living=living,
        cameras=camera_states.of(living),
        fresh=frames.fresh(frames_server, keys, cams),
        holders={cam: owner.decode() for cam, owner in zip(cams, owners, strict=True) if owner},
        versions=nodes.versions(living),
        rates=_rates(state, keys, at_ms),
        model_problems=_model_problems(keys, told, at_ms),
        overloaded={name: factor for node in living for name, factor in node.facts.get("overloaded", {}).items()},
        results=kept,
        patch_failures=failures,
    )


def _rates(state: Redis, keys: Keys, at_ms: int) -> dict[str, Rate]:
    """Read the stream from its end back for as long as it is recent, but not for ever."""
    ages: defaultdict[str, list[float]] = defaultdict(list)
    newest, oldest_ms, seen = "+", at_ms - _RECENT_MS, 0
    while seen < _MOST:
        page = cast("list[tuple[bytes, Any]]", state.xrevrange(keys.detections, newest, str(oldest_ms), _AT_ONCE))
        for raw, fields in page:
            added_ms = results.entry_id(raw)[0]
            if (entry := _entry(keys, fields)) is not None:
                ages[entry.subscription].append((added_ms - entry.captured_ms) / 1000)
        seen += len(page)
        if len(page) < _AT_ONCE:
            break
        newest = f"({page[-1][0].decode()}"
        if seen >= _MOST:
            oldest_ms = results.entry_id(page[-1][0])[0]
    passed_s = max(at_ms - oldest_ms, 1) / 1000
    return {name: Rate(round(len(each) / passed_s, 1), sorted(each)[len(each) // 2]) for name, each in ages.items()}


def _entry(keys: Keys, fields: Mapping[bytes, bytes]) -> Entry | None:
    try:
        return results.decode(keys, fields)
    except RecordInvalid:
        return None


def _model_problems(keys: Keys, told: Sequence[tuple[bytes, Any]], at_ms: int) -> dict[str, Problem]:
    """Return the newest of each subscription; `told` is newest first."""
    found: dict[str, Problem] = {}
    for raw, fields in told:
        problem, age_ms = problems.decode(keys, fields), at_ms - results.entry_id(raw)[0]
        current = problem.code in {Code.MODEL_UNAVAILABLE, Code.MODEL_INVALID} or (
            problem.code in {Code.MODEL_FAILED, Code.BAD_CROP} and age_ms < _FAILING_MS
        )
        if current:
            found.setdefault(problem.subscription, problem)
    return found
