"""What a package's author should know before the first frame: checks that need the class names of its models."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mpta import templates
from mpta.errors import ModelInvalid, shown
from mpta.looking import counted_classes
from mpta.manifest import Action, Manifest, Node, SaveImage
from mpta.model import Model

#: `refused`: the package does not load. `disabled`: an action that will not run. `warning`: all of it runs.
Severity: TypeAlias = Literal["refused", "disabled", "warning"]
ModelOf: TypeAlias = Callable[[Node], Model]
_DISABLED = ": disabled: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes:
        path: the key in pipeline.json, such as `pipeline.branches[0].triggerClasses`.
        text: what is the matter and what to do.
    """

    severity: Severity
    path: str
    text: str

    def __str__(self) -> str:
        """Return it as one sentence."""
        return f"{self.path}: {self.text}"


def check(manifest: Manifest, models: Mapping[str, Model] | ModelOf) -> tuple[Finding, ...]:
    """Return all that is found in a manifest and its models, parents first.

    `models` are found by `modelId`, or by a function from a node to its model.

    Raises:
        ModelInvalid: a node has no model.
    """
    model_of = by_id(models) if isinstance(models, Mapping) else models
    return (
        *_disabled(manifest),
        *(finding for node in manifest.root.walk() for finding in _node(node, model_of(node), manifest)),
        *_Reach(model_of, first_answer_decides=not manifest.field_names).findings(manifest.root),
        *_null_templates(manifest, model_of),
    )


def by_id(models: Mapping[str, Model]) -> ModelOf:
    """Return a function that finds a node's model by its `modelId`; it raises ModelInvalid where there is none."""

    def model_of(node: Node) -> Model:
        if node.model_id not in models:
            raise ModelInvalid(f"{node.path}: no model '{shown(node.model_id)}' was given")
        return models[node.model_id]

    return model_of


def _disabled(manifest: Manifest) -> Iterator[Finding]:
    for sentence in manifest.disabled:
        path, _, reason = sentence.partition(_DISABLED)
        yield Finding(severity="disabled", path=path, text=f"{reason}, so this action does not run")


def _node(node: Node, model: Model, manifest: Manifest) -> Iterator[Finding]:
    """Yield what is odd about a node with its own model."""
    if node.read is not None and model.task == "classify":
        text = f"'{shown(node.model_id)}' is a classifier, and only boxes can be read; give it a detection model"
        yield Finding(severity="refused", path=f"{node.path}.read", text=text)
    lists = {"classes": node.classes or frozenset()}
    if node is manifest.root and model.task != "classify":
        lists["triggerClasses"] = node.trigger_classes
    for key, given in lists.items():
        if given and not given & set(model.names):
            text = f"the model knows none of these classes, so all count; it has {_listed(model.names)}"
            yield _warning(f"{node.path}.{key}", text)
        else:
            yield from _unknown(f"{node.path}.{key}", given, node, model)


def _unknown(path: str, given: frozenset[str], node: Node, model: Model) -> Iterator[Finding]:
    for name in sorted(given - set(model.names)):
        near = difflib.get_close_matches(name, model.names, n=1)
        remedy = f"did you mean '{shown(near[0])}'?" if near else f"it has {_listed(model.names)}"
        yield _warning(path, f"'{shown(name)}' is no class of '{shown(node.model_id)}'; {remedy}")


class _Reach:
    """Which branches can fire, and on which classes of their parent. A reading parent may answer any text."""

    def __init__(self, model_of: ModelOf, *, first_answer_decides: bool) -> None:
        self._model_of = model_of
        self._first_answer_decides = first_answer_decides
        self._found: list[Finding] = []

    def findings(self, root: Node) -> list[Finding]:
        """Return what is odd about the branches below the root."""
        self._writers(root, is_root=True)
        return self._found

    def _writers(self, node: Node, *, is_root: bool = False) -> dict[str, str]:
        """Note what is odd below a node; return the fields that it or those below it write, each with its writer."""
        model = self._model_of(node)
        possible = None if node.read is not None else counted_classes(node, model, is_root=is_root)
        least = 0.0 if model.task == "classify" else node.min_confidence
        own = dict.fromkeys(node.fields, node.path)
        beside: list[tuple[frozenset[str] | None, dict[str, str]]] = [(None, own)]
        answered: dict[str, float] = {}  # Class to the confidence from which an earlier branch always answers it.
        for branch in node.branches:
            if possible is not None:
                self._found += _unknown(f"{branch.path}.triggerClasses", branch.trigger_classes, node, model)
            firing = _firing(branch, possible)
            if self._never_runs(branch, firing, answered, least):
                continue
            written = self._writers(branch)
            for others, earlier in beside:
                if others is None or firing is None or others & firing:
                    self._found += _replaced(written, earlier)
            beside.append((firing, written))
            if self._always_answers(branch):
                answered |= {name: min(branch.min_confidence, answered.get(name, 1.0)) for name in firing or ()}
        return {name: path for _, fields in beside for name, path in fields.items()}

    def _never_runs(
        self, branch: Node, firing: frozenset[str] | None, answered: Mapping[str, float], least: float
    ) -> bool:
        """Note a branch that cannot run; `least` is the least confidence that its parent answers with."""
        if firing is None:
            return False
        if not firing:
            text = "no class that its parent answers with is among them, so it never runs; name one that is"
            self._found.append(_warning(f"{branch.path}.triggerClasses", text))
            return True
        if all(answered.get(name, 2.0) <= max(branch.min_confidence, least) for name in firing):
            text = "never runs, because a branch before it always answers; move it up, or give the nodes 'fields'"
            self._found.append(_warning(branch.path, text))
            return True
        return False

    def _always_answers(self, branch: Node) -> bool:
        classifies = self._model_of(branch).task == "classify"
        return self._first_answer_decides and classifies and not branch.classes and branch.min_result_confidence == 0


def _replaced(written: Mapping[str, str], earlier: Mapping[str, str]) -> list[Finding]:
    return [
        _warning(f"{path}.fields", f"'{shown(name)}' replaces that of {earlier[name]}; rename one of them")
        for name, path in written.items()
        if name in earlier
    ]


def _firing(branch: Node, possible: frozenset[str] | None) -> frozenset[str] | None:
    """Return the parent's classes that trigger a branch; None: there is no list of them."""
    if possible is None:
        return branch.trigger_classes or None
    return branch.trigger_classes & possible if branch.trigger_classes else possible


def _null_templates(manifest: Manifest, model_of: ModelOf) -> Iterator[Finding]:
    """Yield each template whose placeholder never has a value, in the order in which nodes act."""
    root = manifest.root
    tracked = root.tracker != "none" and model_of(root).task != "classify"
    saved = False
    for node in _children_first(root):
        nulls = {} if tracked else {"id": "the root tracks nothing"}
        if node.read is None:
            nulls["text"] = "only a node with 'read' has it"
        for name, template in node.fields.items():
            yield from _null(f"{node.path}.fields.{shown(name)}", template, nulls)
        for action in node.actions:
            empty = {} if saved else {"image_key": "no redis_save_image runs before it"}
            for template in _templates(action):
                yield from _null(f"{node.path}.actions", template, nulls | empty)
            saved = saved or isinstance(action, SaveImage)


def _null(path: str, template: str, nulls: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(templates.names(template) & set(nulls)):
        yield _warning(path, f"{{{name}}} never has a value here: {nulls[name]}")


def _templates(action: Action) -> tuple[str, ...]:
    return (action.key,) if isinstance(action, SaveImage) else (action.channel, action.message)


def _children_first(node: Node) -> Iterator[Node]:
    for branch in node.branches:
        yield from _children_first(branch)
    yield node


def _warning(path: str, text: str) -> Finding:
    return Finding(severity="warning", path=path, text=text)


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(shown(name, 40) for name in names[:most]) + (", ..." if len(names) > most else "")
