"""What of a cluster a person must act on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cli.status.gathering import Cluster
from contract import nodes
from contract.nodes import Role
from contract.problems import Code
from tasks.fetching import name_of

#: Clocks that are further apart make results late, or ages wrong.
_SKEW_MS = 1_000


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that does not go as it should.

    Attributes:
        about: which process, subscription or package.
        code: a stable word; those of the protocol where it has one.
    """

    about: str
    code: str
    text: str


def troubles(cluster: Cluster) -> list[Trouble]:
    """Return all of them, those that explain others first."""
    return [*_of_roles(cluster), *_of_nodes(cluster), *_of_cameras(cluster), *_of_subscriptions(cluster)]


def _of_roles(cluster: Cluster) -> Iterator[Trouble]:
    busy: dict[Role, bool] = {
        "gateway": False,
        "capture": bool(cluster.wanted.subscriptions),
        "worker": bool(cluster.fresh),
    }
    for role, has_work in busy.items():
        members = [node for node in cluster.living if node.role == role]
        if not members:
            yield Trouble(role, "missing", f"no {role} process is alive")
        elif has_work and all(node.idle_s > nodes.STALLED_S for node in members):
            yield Trouble(role, "stalled", f"no {role} process has made progress for {nodes.STALLED_S:.0f} s")


def _of_nodes(cluster: Cluster) -> Iterator[Trouble]:
    for node in cluster.living:
        if abs(node.skew_ms) > _SKEW_MS:
            way = "ahead of" if node.skew_ms > 0 else "behind"
            text = f"its host's clock is {abs(node.skew_ms) / 1000:.1f} s {way} the state server's; synchronize them"
            yield Trouble(node.id, "clock", text)


def _of_cameras(cluster: Cluster) -> Iterator[Trouble]:
    for cam, plan in cluster.wanted.cameras.items():
        names, camera = ", ".join(sorted(each.id for each in plan.subscriptions)), cluster.cameras.get(cam)
        if camera is None:
            if cam not in cluster.holders and any(node.role == "capture" for node in cluster.living):
                yield Trouble(names, "camera_unattended", "no capture process holds the camera; are there enough?")
        elif camera.code is not None:
            yield Trouble(names, camera.code, camera.reason or camera.state)


def _of_subscriptions(cluster: Cluster) -> Iterator[Trouble]:
    for name, subscription in sorted(cluster.wanted.subscriptions.items()):
        problem, held = cluster.model_problems.get(name), subscription.pipeline in cluster.versions
        if problem is not None and not (held and problem.code == Code.MODEL_UNAVAILABLE):
            yield Trouble(name, problem.code, problem.text)
        elif not held and subscription.source.cam in cluster.fresh and _has_worker(cluster):
            text = f"no worker holds {name_of(subscription.model_url)} yet, and the camera gives frames"
            yield Trouble(name, Code.MODEL_UNAVAILABLE, text)
        if (factor := cluster.overloaded.get(name)) is not None:
            text = f"{factor:.1f} times as much is asked for as is done; add workers or a GPU, or ask for a lower fps"
            yield Trouble(name, Code.OVERLOADED, text)


def _has_worker(cluster: Cluster) -> bool:
    return any(node.role == "worker" for node in cluster.living)
