"""How a batch of frames runs through the tree: every node once per batch, over the crops of all its events."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mpta import templates
from mpta.looking import Answer, Looker, View
from mpta.manifest import Node
from mpta.model import Model
from mpta.records import Event, Value


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node ready to run, with those below it."""

    looker: Looker
    branches: tuple[Step, ...]

    @property
    def node(self) -> Node:
        return self.looker.node


@dataclass(slots=True, eq=False)
class Happening:
    """One object of one frame on its way through the tree.

    Attributes:
        root: what the root saw of it; its track id is the id of all its nodes.
        fields: what the nodes contributed so far.
    """

    root: Answer
    fields: dict[str, Value] = field(default_factory=dict)
    acting: list[tuple[Node, Answer]] = field(default_factory=list)


def plan(node: Node, model_of: Callable[[Node], Model], *, is_root: bool = True) -> Step:
    """Return the tree of a node with its models."""
    branches = tuple(plan(branch, model_of, is_root=False) for branch in node.branches)
    return Step(Looker(node, model_of(node), is_root=is_root), branches)


class Tree:
    """The tree without its root's look: what happens to an object that the root has seen."""

    def __init__(self, root: Step, field_names: Sequence[str]) -> None:
        """Store the tree; with `field_names` all branches contribute, without, the first that answers decides."""
        self._root = root
        self._contribute = bool(field_names)
        self._nothing: dict[str, Value] = dict.fromkeys(field_names)

    def descend(self, happenings: Sequence[Happening]) -> list[Answer]:
        """Run all branches for all happenings; return for each what the detection's class and confidence are."""
        for happening in happenings:
            self._add_fields(self._root.node, happening, happening.root)
        return self._below(self._root, [(happening, happening.root) for happening in happenings])

    def events(self, happening: Happening) -> list[Event]:
        """Return the actions to run, children before parents, each with all fields of the happening."""
        name = str(uuid.uuid4()) if happening.acting else ""
        return [
            Event(
                uuid=name,
                model_id=node.model_id,
                actions=node.actions,
                context={**self._nothing, **happening.fields, **_context(happening, answer)},
                image=answer.view.image,
            )
            for node, answer in happening.acting
        ]

    def _below(self, step: Step, parents: Sequence[tuple[Happening, Answer]]) -> list[Answer]:
        """Run a step's branches, then note its actions; return what decides: the parent, or who spoke for it."""
        decided = [answer for _, answer in parents]
        undecided = list(range(len(parents)))
        for branch in step.branches:
            triggered = [i for i in undecided if _triggers(branch.node, parents[i][1])]
            found = self._look(branch, [(parents[i][0], parents[i][1]) for i in triggered])
            for i, answer in zip(triggered, found, strict=True):
                if answer is not None and not self._contribute:
                    decided[i] = answer
                    undecided.remove(i)
        if step.node.actions:
            for happening, answer in parents:
                happening.acting.append((step.node, answer))
        return decided

    def _look(self, branch: Step, parents: Sequence[tuple[Happening, Answer]]) -> list[Answer | None]:
        """Return what a branch and those below it say of each parent, None where the branch saw nothing."""
        found: list[Answer | None] = [None] * len(parents)
        views = [_view(branch.node, answer) for _, answer in parents]
        shown = [(i, view) for i, view in enumerate(views) if view is not None]
        if not shown:
            return found
        # Without `crop` all objects of a frame share one view.
        distinct = list({id(view): view for _, view in shown}.values())
        raw = dict(zip(map(id, distinct), branch.looker.raw(distinct), strict=True))
        spoken: list[tuple[int, Answer]] = []
        for i, view in shown:
            answers = branch.looker.answers(raw[id(view)], view)
            if answers:
                spoken.append((i, answers[0]))
                self._add_fields(branch.node, parents[i][0], answers[0])
        decided = self._below(branch, [(parents[i][0], answer) for i, answer in spoken])
        for (i, _), answer in zip(spoken, decided, strict=True):
            found[i] = answer
        return found

    def _add_fields(self, node: Node, happening: Happening, answer: Answer) -> None:
        if node.fields:
            context = _context(happening, answer)
            happening.fields |= {name: templates.value(text, context) for name, text in node.fields.items()}


def _triggers(branch: Node, parent: Answer) -> bool:
    wanted = branch.trigger_classes
    return parent.confidence >= branch.min_confidence and (not wanted or parent.label in wanted)


def _view(branch: Node, parent: Answer) -> View | None:
    return parent.view.inside(parent.box) if branch.crop else parent.view


def _context(happening: Happening, answer: Answer) -> Mapping[str, Value]:
    x1, y1, x2, y2 = answer.box
    return {
        "class": answer.label,
        "confidence": answer.confidence,
        "id": happening.root.track,
        "text": answer.text,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
    }
