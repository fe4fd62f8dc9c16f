"""Which of a camera's pictures are published, and for which of its groups."""

from __future__ import annotations

from capture.pacing import Pacer
from contract.keys import Group, PipelineId
from contract.subscriptions import CameraPlan


class Rate:
    """Chooses among one camera's pictures. Used by the reader's thread alone."""

    def __init__(self) -> None:
        self._camera = Pacer(2.0)
        self._groups: dict[Group, Pacer] = {}

    def due(self, plan: CameraPlan, now_s: float) -> frozenset[tuple[PipelineId, Group]] | None:
        """Return the groups that the picture of `now_s` is for; None: it is not published at all.

        Two pictures a second are published whoever wants them, so that an image is never older than one.
        """
        self._follow(plan)
        if not self._camera.due(now_s):
            return None
        return frozenset((group.pipeline, group.group) for group in plan.groups if self._groups[group.group].due(now_s))

    def _follow(self, plan: CameraPlan) -> None:
        self._camera.fps = max(2.0, plan.fps)
        if self._groups.keys() != {group.group for group in plan.groups}:
            self._groups = {g.group: self._groups.get(g.group) or Pacer(g.fps) for g in plan.groups}
        for group in plan.groups:
            self._groups[group.group].fps = group.fps
