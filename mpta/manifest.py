"""`pipeline.json` as typed records. `mpta.parsing` makes them; keys and defaults are those of the format's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

Resize: TypeAlias = Literal["stretch", "letterbox"]
Tracker: TypeAlias = Literal["bytetrack", "botsort", "none"]
Read: TypeAlias = Literal["left-to-right", "top-to-bottom"]
Report: TypeAlias = Literal["best", "all"]

DEFAULT_MIN_CONFIDENCE = 0.25
DEFAULT_QUALITY = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveImage:
    """`redis_save_image`: store the image that the node looked at under `key` (template).

    Attributes:
        quality: JPEG quality, 1-100.
    """

    key: str
    expire_seconds: int | None = None
    quality: int = DEFAULT_QUALITY
    format: Literal["jpeg", "png"] = "jpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """`redis_publish`: publish `message` on `channel`, both templates."""

    channel: str
    message: str


Action: TypeAlias = SaveImage | Publish


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTarget:
    """The Redis that the package's actions talk to. It is not ours.

    Attributes:
        password: as it stood in the package, in clear text.
        password_variable: environment variable that holds the password instead. Whether a package may have it is for
            whoever runs the actions to decide.
    """

    host: str
    port: int
    password: str | None = field(default=None, repr=False)
    password_variable: str | None = None
    db: int = 0
    tls: bool = False
    username: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One model of the tree.

    Attributes:
        path: where it stands in pipeline.json, such as `pipeline.branches[0]`.
        resize: None: what suits the model's task.
        tracker: None: `bytetrack` for a root detector, none for others.
        classes: None: all of the model's.
        actions: those that can run; the others are in `Manifest.disabled`.
        extras: keys that we do not know, as they stood.
    """

    path: str
    model_id: str
    model_file: str
    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    trigger_classes: frozenset[str] = frozenset()
    crop: bool = False
    branches: tuple[Node, ...] = ()
    actions: tuple[Action, ...] = ()
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    read: Read | None = None
    classes: frozenset[str] | None = None
    min_result_confidence: float = 0.0
    resize: Resize | None = None
    tracker: Tracker | None = None
    report: Report = "best"
    extras: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first, in list order."""
        yield self
        for branch in self.branches:
            yield from branch.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole `pipeline.json`.

    Attributes:
        root: the node at the top of the tree.
        redis: where actions go; None when the package names none.
        disabled: one sentence for each action that will not run.
    """

    root: Node
    redis: RedisTarget | None = None
    disabled: tuple[str, ...] = ()

    @property
    def field_names(self) -> frozenset[str]:
        """Names of all fields that any node may contribute."""
        return frozenset(name for node in self.root.walk() for name in node.fields)
