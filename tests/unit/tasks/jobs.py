"""Jobs of actions as frames make them, for tests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import mpta
from contract.sessions import SessionId
from contract.subscriptions import Source, Subscription
from mpta import Image
from mpta.manifest import Action, Publish, SaveImage
from tasks.events import Job

#: Every name that the format gives to an action beside fields.
NAMES = (
    *("class", "confidence", "id", "text", "x1", "y1", "x2", "y2", "timestamp_ms", "timestamp", "uuid", "image_key"),
    *("subscription", "display", "display_id", "camera", "camera_id", "session_id", "model_id", "model_name"),
)
SEEN: dict[str, Any] = {"class": "car", "confidence": 0.9, "id": 7, "text": None, "x1": 1, "y1": 2, "x2": 3, "y2": 4}
PICTURE: Image = np.full((48, 64, 3), 90, np.uint8)


def publish(*names: str, channel: str = "c") -> Publish:
    """Return an action whose message is a JSON object of these names."""
    return Publish(channel=channel, message=json.dumps({name: f"{{{name}}}" for name in names}))


def save(key: str, **options: Any) -> SaveImage:
    """Return an action that saves the picture."""
    return SaveImage(key=key, **options)


def event(*actions: Action, uuid: str = "u", image: Image = PICTURE, **fields: Any) -> mpta.Event:
    """Return what a node asks for."""
    return mpta.Event(uuid=uuid, model_id="m", actions=actions, context={**SEEN, **fields}, image=image)


def viewer(name: str, session: SessionId = None, **fields: Any) -> tuple[Subscription, SessionId]:
    """Return a viewer whose subscription is called `display;camera`."""
    display, camera = name.split(";")
    source = Source(url="rtsp://front/", kind="stream")
    options: dict[str, Any] = {"model_url": "m.mpta", "model_id": 101, "model_name": "Colours"} | fields
    made = Subscription(id=name, display=display, camera=camera, source=source, **options)
    return made, session


def job(*events: mpta.Event, viewers: tuple[tuple[Subscription, SessionId], ...] = (), **options: Any) -> Job:
    """Return the actions of one frame, seen by one viewer unless told otherwise."""
    return Job(events, viewers or (viewer("pump-1;front"),), 1_752_496_496_789, **options)
