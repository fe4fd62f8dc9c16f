"""The two functions of the older engine, for scripts that were written for it: one changed import, the same results.

    node = load_pipeline_from_zip("forecourt.mpta", ".mptacache")
    detection, box = run_pipeline(frame, node, return_bbox=True)

As there, nothing is raised: what fails is logged and gives None. Actions are run at once, in the calling thread.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, overload
from urllib.parse import unquote, urlparse

from mpta import templates
from mpta.errors import MptaError, shown
from mpta.images import encoded
from mpta.manifest import Publish, RedisTarget
from mpta.pipeline import Pipeline, load
from mpta.records import Box, Detection, Event, Frame, Image

log = logging.getLogger(__name__)

_TIMEOUT_S = 3.0
#: What a stranger's model and a frame that is none can end in.
_FAULTS = (MptaError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class PipelineNode(dict[str, Any]):
    """A node with the keys that it had in the older engine, and what runs it.

    `redis_client` may be exchanged for any client with `set` and `publish`; None: no actions.
    """

    __slots__ = ("pipeline", "tracks")

    def __init__(self, pipeline: Pipeline, redis_client: Any, branches: Sequence[PipelineNode] = ()) -> None:
        """Store the pipeline whose root this node is."""
        node, model = pipeline.manifest.root, pipeline.models[pipeline.manifest.root.path]
        super().__init__(
            modelId=node.model_id,
            modelFile=node.model_file,
            triggerClasses=sorted(node.trigger_classes),
            triggerClassIndices=[i for i, name in enumerate(model.names) if name in node.trigger_classes],
            crop=node.crop,
            minConfidence=node.min_confidence,
            actions=list(node.actions),
            model=model,
            branches=list(branches),
            redis_client=redis_client,
        )
        self.pipeline = pipeline
        self.tracks = b""


def load_pipeline_from_zip(zip_source: str, target_dir: str) -> PipelineNode | None:
    """Return the root node of a package with its models in memory, or None; the log says why.

    Args:
        zip_source: a `.mpta` file: a path or a `file://` address. Nothing is fetched from the network.
        target_dir: folder that its content is unpacked to; made where it is missing.
    """
    address = urlparse(zip_source)
    if address.scheme not in ("", "file"):
        log.error("'%s' is no local file; download it first", shown(address.scheme + "://..."))
        return None
    path = Path(unquote(address.path) if address.scheme == "file" else zip_source)
    try:
        pipeline = load(path, cache_dir=Path(target_dir))
    except MptaError as exc:
        log.error("%s", exc)
        return None
    except OSError as exc:
        log.error("'%s' cannot be read: %s", shown(path.name), exc.strerror)
        return None
    for warning in pipeline.warnings:
        log.warning("%s: %s", shown(path.name), warning)
    return _node(pipeline, _connected(pipeline.manifest.redis))


@overload
def run_pipeline(frame: Image, node: PipelineNode, return_bbox: Literal[False] = False) -> Detection | None: ...
@overload
def run_pipeline(
    frame: Image, node: PipelineNode, return_bbox: Literal[True]
) -> tuple[Detection | None, Box | None]: ...
def run_pipeline(
    frame: Image, node: PipelineNode, return_bbox: bool = False
) -> Detection | tuple[Detection | None, Box | None] | None:
    """Run a node and its branches on a frame, then the actions; objects are followed from call to call.

    Args:
        frame: uint8, shape (height, width, 3), blue-green-red.
        node: what `load_pipeline_from_zip` returned, or one of its `branches`.
        return_bbox: return the box x1 y1 x2 y2, too.

    Returns:
        `class`, `confidence`, `id` and the package's fields: of the branch that answered, else of the node. None where
        nothing was seen or something failed. With `return_bbox` that and the box of the node's own best detection,
        None of a classifier.
    """
    found: Detection | None = None
    box: Box | None = None
    try:
        result = node.pipeline.run([Frame(image=frame, tracks=node.tracks)])[0]
    except _FAULTS as exc:
        log.error("node '%s': %s", shown(str(node["modelId"])), exc)
        return (None, None) if return_bbox else None
    node.tracks = result.tracks
    if result.detection is not None:
        own = result.objects[0] if result.objects else {}
        is_own = all(result.detection[key] == own.get(key) for key in ("class", "confidence"))
        found = {**result.detection, "id": own["id"] if is_own else None}
        box = (own["box"][0], own["box"][1], own["box"][2], own["box"][3]) if own else None
        _act(result.events, node["redis_client"])
    return (found, box) if return_bbox else found


def _node(pipeline: Pipeline, redis_client: Any) -> PipelineNode:
    """Return a node for the root, and below it one for each branch that could be run by itself."""
    branches = [
        _node(Pipeline(replace(pipeline.manifest, root=branch), lambda node: pipeline.models[node.path]), redis_client)
        for branch in pipeline.manifest.root.branches
    ]
    return PipelineNode(pipeline, redis_client, branches)


def _connected(target: RedisTarget | None) -> Any:
    """Return a client of the package's Redis, or None where it names none or it does not answer."""
    if target is None:
        return None
    try:
        redis: Any = importlib.import_module("redis")  # Only for actions, and only here: the library needs none.
    except ModuleNotFoundError:
        log.error("actions are off: the package redis is not installed")
        return None
    client = redis.Redis(
        host=target.host,
        port=target.port,
        db=target.db,
        username=target.username,
        password=target.password,
        ssl=target.tls,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=None,  # Its default waits seconds for a server that is away, here between two frames.
    )
    try:
        client.ping()
    except redis.RedisError as exc:
        log.error("actions are off: %s:%d: %s", shown(target.host), target.port, type(exc).__name__)
        return None
    return client


def _act(events: Sequence[Event], client: Any) -> None:
    """Run the actions of events in order; one that fails is logged, and the next is run."""
    if client is None:
        return
    now_s = time.time()
    moment = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    image_keys: dict[str, str] = {}  # By event: what its last picture was saved as.
    for event in events:
        for action in event.actions:
            context = {
                **event.context,
                "timestamp_ms": int(now_s * 1000),
                "timestamp": moment,
                "uuid": event.uuid,
                "image_key": image_keys.get(event.uuid, ""),
            }
            try:
                if isinstance(action, Publish):
                    client.publish(templates.render(action.channel, context), templates.render(action.message, context))
                else:
                    image_keys[event.uuid] = ""
                    key = templates.render(action.key, context)
                    client.set(key, encoded(event.image, action), ex=action.expire_seconds)
                    image_keys[event.uuid] = key
            except Exception as exc:  # noqa: BLE001 the client is the caller's, and so are its errors
                log.error("an action of node '%s' failed: %s", shown(event.model_id), type(exc).__name__)
