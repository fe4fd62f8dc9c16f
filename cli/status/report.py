"""A cluster's state as data, for machines and for the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cli.status.gathering import Cluster
from cli.status.judging import Trouble
from contract.subscriptions import CameraPlan
from tasks.fetching import name_of

Report = dict[str, Any]


def report(cluster: Cluster, found: list[Trouble]) -> Report:
    """Return everything, of simple types; lists are in a stable order."""
    return {
        "at": datetime.fromtimestamp(cluster.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "well": not found,
        "subscriptions": len(cluster.wanted.subscriptions),
        "results_per_second": round(sum(rate.per_second for rate in cluster.rates.values()), 1),
        "results_kept": cluster.results,
        "patch_failures": cluster.patch_failures,
        "nodes": _nodes(cluster),
        "cameras": [_camera(cluster, plan) for plan in sorted(cluster.wanted.cameras.values(), key=_name)],
        "pipelines": _pipelines(cluster),
        "troubles": [{"about": each.about, "code": str(each.code), "text": each.text} for each in found],
    }


def _name(plan: CameraPlan) -> str:
    return min(subscription.id for subscription in plan.subscriptions)


def _nodes(cluster: Cluster) -> list[Report]:
    return [
        {
            "id": node.id,
            "role": node.role,
            "host": node.host,
            "sign_age_s": node.age_ms / 1000,
            "idle_s": round(node.idle_s, 1),
            "per_second": node.per_second,
            "cpu": node.cpu,
            "memory": node.memory,
            "gpu": node.gpu,
            "gpu_memory": node.gpu_memory,
            "clock_ahead_s": node.skew_ms / 1000,
        }
        for node in sorted(cluster.living, key=lambda node: (node.role, node.host, node.id))
    ]


def _camera(cluster: Cluster, plan: CameraPlan) -> Report:
    camera = cluster.cameras.get(plan.cam)
    away = camera is not None and camera.is_away
    return {
        "cam": plan.cam,
        "online": plan.cam in cluster.fresh and not away,
        "state": camera.state if camera else None,
        "for_s": round(camera.for_s, 1) if camera else None,
        "fps": camera.fps if camera else None,
        "code": camera.code if camera else None,
        "held_by": cluster.holders.get(plan.cam),
        "subscriptions": [
            {
                "id": each.id,
                "pipeline": each.pipeline,
                "requested_fps": each.fps,
                "achieved_fps": rate.per_second if (rate := cluster.rates.get(each.id)) else 0.0,
                "age_s": round(rate.age_s, 3) if rate else None,
            }
            for each in sorted(plan.subscriptions, key=lambda each: each.id)
        ],
    }


def _pipelines(cluster: Cluster) -> list[Report]:
    """Return the packages that are wanted, and which workers hold them."""
    rows = [
        {
            "id": pipeline,
            "name": name_of(url),
            "version": cluster.versions.get(pipeline),
            "workers": sorted(n.id for n in cluster.living if pipeline in n.facts.get("versions", {})),
            "subscriptions": sum(each.pipeline == pipeline for each in cluster.wanted.subscriptions.values()),
        }
        for pipeline, url in cluster.wanted.pipelines.items()
    ]
    return sorted(rows, key=lambda row: (row["name"], row["id"]))
