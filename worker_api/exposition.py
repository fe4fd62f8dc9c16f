"""The Prometheus text format (version 0.0.4), and what of the cluster is written in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from contract.subscriptions import Subscription
from worker_api.cluster import View

#: A server of metrics must not drown in labels: so many processes and cameras at most.
NODES, CAMERAS = 256, 1000

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        samples: labels and value, each set of labels once.
    """

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        """Yield its lines; none when there are no samples."""
        samples = list(self.samples)
        if samples:
            yield f"# HELP {self.name} {_escaped(self.about)}"
            yield f"# TYPE {self.name} {self.kind}"
        for labels, value in samples:
            spelled = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{spelled}}} {value}" if spelled else f"{self.name} {value}"


def text(families: Iterable[Family]) -> str:
    """Return what `GET /metrics` answers."""
    return "\n".join(line for family in families for line in family.lines()) + "\n"


def of_cluster(view: View, wanted: Iterable[Subscription]) -> Iterator[Family]:
    """Yield what is known of processes and of the cameras that are wanted, these by the hash that logs name too."""
    nodes = [({"node": n.id, "role": n.role, "host": n.host}, n) for n in view.living[:NODES]]
    for name, about, values in (
        ("cpu_percent", "Use of the host's CPU.", [(each, n.cpu) for each, n in nodes]),
        ("memory_percent", "Use of the host's memory.", [(each, n.memory) for each, n in nodes]),
        ("gpu_percent", "Use of the GPU.", [(each, n.gpu) for each, n in nodes if n.gpu is not None]),
        (
            "gpu_memory_percent",
            "Use of the GPU's memory.",
            [(each, n.gpu_memory) for each, n in nodes if n.gpu_memory is not None],
        ),
        ("idle_seconds", "Time since the process last did something useful.", [(each, n.idle_s) for each, n in nodes]),
        (
            "per_second",
            "Frames published (capture) or inferred (worker), results relayed (gateway) per second.",
            [(each, n.per_second) for each, n in nodes],
        ),
    ):
        yield Family(f"detector_node_{name}", "gauge", about, values)
    watched = Counter(subscription.source.cam for subscription in wanted)
    cams = sorted(watched)[:CAMERAS]
    known = [({"cam": cam}, view.cameras[cam]) for cam in cams if cam in view.cameras]
    yield Family(
        "detector_camera_subscriptions", "gauge", "Who wants the camera.", [({"cam": c}, watched[c]) for c in cams]
    )
    online = [({"cam": cam}, int(cam in view.online)) for cam in cams]
    yield Family("detector_camera_online", "gauge", "1 when the camera's newest frame is fresh.", online)
    yield Family(
        "detector_camera_fps", "gauge", "Pictures of the camera per second.", [(each, c.fps) for each, c in known]
    )
    troubled = [(each, int(camera.code is not None)) for each, camera in known]
    yield Family("detector_camera_trouble", "gauge", "1 when something is wrong with the camera.", troubled)


def _escaped(about: str) -> str:
    return about.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(label: str) -> str:
    return _escaped(label).replace('"', r"\"")
