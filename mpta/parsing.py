"""Bytes of `pipeline.json` to a `Manifest`: all faults at once, each with its path in the file."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast, get_args

from mpta import templates
from mpta.actions import REACHING, read_actions, read_target
from mpta.errors import shown
from mpta.keys import Keys, Notes
from mpta.manifest import DEFAULT_MIN_CONFIDENCE, Manifest, Node, Read, Report, Resize, Tracker
from mpta.strict_json import JsonInvalid, decode

MAX_DEPTH = 16
MAX_NODES = 256
#: Fields of one node.
MAX_FIELDS = 64

#: What a detection holds anyway: a field of that name would overwrite it.
RESERVED_FIELDS = frozenset({"class", "confidence", "id", "box", "objects"})


def parse(text: bytes) -> tuple[Manifest | None, tuple[str, ...], tuple[str, ...]]:
    """Return the manifest (None when there are faults), the faults and the warnings."""
    notes = Notes()
    try:
        document = decode(text)
    except JsonInvalid as exc:
        return None, (f"pipeline.json {exc}",), ()
    top = Keys(document, "", notes)
    redis = read_target(top)
    root: Node | None = None
    child = top.child("pipeline", required=True)
    if child is not None:
        known = templates.CONTEXT_NAMES | _field_names(child.content, MAX_DEPTH)
        root = _Nodes(notes, known, has_redis=redis is not None).read(child, depth=1)
    top.finish()
    if root is None or notes.faults:
        return None, tuple(notes.faults), tuple(notes.warnings)
    _compare_nodes(root, notes)
    manifest = Manifest(root=root, redis=redis, disabled=tuple(notes.disabled))
    return manifest, (), tuple(notes.all_warnings())


def _field_names(node: dict[str, Any], depth: int) -> frozenset[str]:
    """Return the field names of a subtree that is not checked yet: an action may use those of any node."""
    fields, branches = node.get("fields"), node.get("branches")
    found = {name for name in fields if isinstance(name, str)} if isinstance(fields, dict) else set()
    for branch in branches if isinstance(branches, list) and depth else ():
        if isinstance(branch, dict):
            found |= _field_names(branch, depth - 1)
    return frozenset(found)


class _Nodes:
    """Reads the tree of nodes; counts them, so that a package cannot ask for a million."""

    def __init__(self, notes: Notes, known_names: frozenset[str], *, has_redis: bool) -> None:
        self._notes = notes
        self._known_names = known_names
        self._has_redis = has_redis
        self._count = 0
        self._too_many = False

    def read(self, keys: Keys, depth: int) -> Node | None:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_NODES:
            if not self._too_many:
                self._notes.fault(keys.path, f"more than {MAX_NODES} nodes or {MAX_DEPTH} levels of branches")
            self._too_many = True
            return None
        actions = read_actions(keys, self._known_names, has_redis=self._has_redis)
        node = Node(
            path=keys.path,
            model_id=keys.text("modelId", required=True) or "",
            model_file=keys.text("modelFile", required=True) or "",
            min_confidence=self._min_confidence(keys),
            trigger_classes=self._trigger_classes(keys),
            crop=keys.flag("crop"),
            actions=actions,
            fields=MappingProxyType(self._fields(keys)),
            read=cast("Read | None", keys.choice("read", get_args(Read))),
            classes=keys.names("classes"),
            min_result_confidence=keys.fraction("minResultConfidence") or 0.0,
            resize=cast("Resize | None", keys.choice("resize", get_args(Resize))),
            tracker=cast("Tracker | None", keys.choice("tracker", get_args(Tracker))),
            report=cast("Report", keys.choice("report", get_args(Report)) or "best"),
            branches=tuple(
                node for child in keys.children("branches") if (node := self.read(child, depth + 1)) is not None
            ),
            extras=MappingProxyType(keys.finish()),
        )
        if depth > 1:
            self._root_only(node)
        return node

    def _min_confidence(self, keys: Keys) -> float:
        given = keys.fraction("minConfidence")
        if given is None and "minConfidence" not in keys.content:
            self._notes.warn(keys.at("minConfidence"), f"not given, {DEFAULT_MIN_CONFIDENCE} is used")
        return DEFAULT_MIN_CONFIDENCE if given is None else given

    def _trigger_classes(self, keys: Keys) -> frozenset[str]:
        if "triggerClasses" not in keys.content:
            self._notes.warn(keys.at("triggerClasses"), "not given, every class counts")
        return keys.names("triggerClasses") or frozenset()

    def _fields(self, keys: Keys) -> dict[str, str]:
        fields = keys.texts("fields")
        if len(fields) > MAX_FIELDS:
            self._notes.fault(keys.at("fields"), f"more than {MAX_FIELDS} of them")
            return {}
        for name, template in fields.items():
            if name in RESERVED_FIELDS:
                self._notes.fault(keys.at("fields"), f"'{name}' is a name that every detection already has")
            if text := templates.reaching(template, templates.NODE_NAMES):
                self._notes.fault(f"{keys.at('fields')}.{shown(name)}", REACHING.format(shown(text)))
            for unknown in sorted(templates.names(template) - templates.NODE_NAMES):
                self._notes.warn(keys.at("fields"), f"'{shown(name)}' uses {{{shown(unknown)}}}, which is always null")
        return fields

    def _root_only(self, node: Node) -> None:
        if node.tracker not in (None, "none"):
            self._notes.warn(f"{node.path}.tracker", "only the root is tracked, ignored")
        if node.report != "best":
            self._notes.warn(f"{node.path}.report", "only the root reports, ignored")


def _compare_nodes(root: Node, notes: Notes) -> None:
    """Warn about names that two nodes share; what needs their models is checked by `mpta.checks`."""
    ids: set[str] = set()
    for node in root.walk():
        if node.model_id in ids:
            notes.warn(f"{node.path}.modelId", f"'{shown(node.model_id)}' names another node already")
        ids.add(node.model_id)
