"""A tree run without batches: one model call per node and object, as the older engine called its models."""

from __future__ import annotations

from collections.abc import Mapping

from mpta import Frame, Pipeline, Value, templates
from mpta.looking import Answer, View
from mpta.records import Detection
from mpta.tracking import track
from mpta.tree import Step, plan


class OneByOne:
    """The pipeline's models, called for one image at a time; `report: all` of a package with fields."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Take over the pipeline's models."""
        self._root = plan(pipeline.manifest.root, lambda node: pipeline.models[node.path])

    def run(self, frame: Frame) -> list[Detection]:
        """Return the frame's objects, as `Result.objects` has them."""
        looker, view = self._root.looker, View(frame.image)
        rows = looker.raw([view])[0]
        ids = track(rows, frame.tracks, looker.tracker)[0] if looker.tracker else None
        objects = []
        for answer in looker.answers(rows, view, ids):
            fields = _fields(self._root, answer)
            self._below(self._root, answer, fields)
            own = {"class": answer.label, "confidence": answer.confidence, "id": answer.track}
            objects.append({**own, "box": list(answer.box), **fields})
        return objects

    def _below(self, step: Step, parent: Answer, fields: dict[str, Value]) -> None:
        for branch in step.branches:
            node = branch.node
            if parent.confidence < node.min_confidence or parent.label not in (node.trigger_classes or {parent.label}):
                continue
            view = parent.view.inside(parent.box) if node.crop else parent.view
            answers = branch.looker.answers(branch.looker.raw([view])[0], view) if view is not None else []
            if answers:
                fields |= _fields(branch, answers[0])
                self._below(branch, answers[0], fields)


def _fields(step: Step, answer: Answer) -> dict[str, Value]:
    context: Mapping[str, Value] = {
        "class": answer.label,
        "confidence": answer.confidence,
        "id": answer.track,
        "text": answer.text,
    }
    return {name: templates.value(text, context) for name, text in step.node.fields.items()}
