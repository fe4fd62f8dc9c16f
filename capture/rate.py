"""Which of a camera's pictures are published, and for which of its groups."""

from __future__ import annotations

from capture.pacing import Pacer
from contract.keys import Group, PipelineId
from contract.subscriptions import CameraPlan

#: The image of a camera that runs is never older, whatever is wanted of it.
OLDEST_IMAGE_S = 1.0


_FLOOR_FPS = 2 / OLDEST_IMAGE_S


def longest_gap_s(fps: float) -> float:
    """Return the time between two pictures that will do for a camera of which `fps` a second are wanted."""
    return min(1 / fps, OLDEST_IMAGE_S)


class Rate:
    """Chooses among one camera's pictures. Used by the reader's thread alone."""

    def __init__(self) -> None:
        self._camera = Pacer(_FLOOR_FPS)
        self._groups: dict[Group, Pacer] = {}

    def due(self, plan: CameraPlan, now_s: float) -> frozenset[tuple[PipelineId, Group]] | None:
        """Return the groups that the picture of `now_s` is for; None: it is not published at all.

        Two pictures a second are published whoever wants them, so that an image is never older than one second; of a
        camera that gives only as many as are needed (`longest_gap_s`), all.
        """
        self._follow(plan)
        if not self._camera.due(now_s):
            return None
        return frozenset((group.pipeline, group.group) for group in plan.groups if self._groups[group.group].due(now_s))

    def _follow(self, plan: CameraPlan) -> None:
        self._camera.fps = max(_FLOOR_FPS, plan.fps)
        if self._groups.keys() != {group.group for group in plan.groups}:
            self._groups = {g.group: self._groups.get(g.group) or Pacer(g.fps) for g in plan.groups}
        for group in plan.groups:
            self._groups[group.group].fps = group.fps
