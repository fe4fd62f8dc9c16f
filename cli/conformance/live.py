"""Rules that take a camera and a package: what is detected, when, and for whom."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any

from cli.conformance.lab import LISTED_S, Lab, entry
from cli.conformance.peer import Heard, Message, Peer
from cli.conformance.rules import Book, Broken, NotApplicable, shown

BOOK = Book(live=True)
rule = BOOK.rule

#: A package may have to be fetched and loaded first.
_FIRST_S = 90.0
_ONLINE_S = 20.0
#: A detection that is seen on both displays, or with the new session, has come by then.
_SOON_S = 30.0
_FRESH_S = 10.0
#: Two machines' clocks.
_AHEAD_S = 2.0
#: A session that is set takes so long at most to count.
_BOUND_S = 1.0
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@contextmanager
def _watched(lab: Lab) -> Iterator[tuple[Peer, str, Peer, str]]:
    """One camera on two displays of two connections, both of which were sent something."""
    one, two = lab.name("one"), lab.name("two")
    with lab.peer() as first, lab.peer() as second, lab.subscribed(first, one), lab.subscribed(second, two):
        yield first, one, second, two


@rule("online.camera", f"says within {_ONLINE_S:g} s that a camera which gives pictures is online")
def _(lab: Lab) -> None:
    name = lab.name("seen")
    with lab.peer() as peer, lab.subscribed(peer, name):
        if lab.until(peer, lambda m: _is_online(m, name), _ONLINE_S) is None:
            raise Broken(f"online was not true within {_ONLINE_S:g} s")


@rule("detection.both_displays", f"sends imageDetection to each of two displays of one camera, within {_FIRST_S:g} s")
def _(lab: Lab) -> None:
    with _watched(lab) as (first, one, second, two):
        if _detection(first, one, within_s=_FIRST_S) is None:
            raise Broken(f"no imageDetection within {_FIRST_S:g} s")
        if _detection(second, two) is None:
            raise Broken(f"the second display was sent none within {_SOON_S:g} s after the first")


@rule("detection.form", "sends flat detections with class and confidence, and the model as it was subscribed")
def _(lab: Lab) -> None:
    for message in _seen(lab):
        data = message.get("data")
        if not isinstance(data, dict) or (data.get("modelId"), data.get("modelName")) != (101, "protocol-test"):
            raise Broken(f"data: expected modelId 101, modelName protocol-test and detection, got {shown(data)}")
        detection = data.get("detection")
        if not isinstance(detection, dict) or not isinstance(detection.get("class"), str):
            raise Broken(f"detection: expected an object with class, got {shown(detection)}")
        sure = detection.get("confidence")
        if not isinstance(sure, int | float) or not 0 <= sure <= 1:
            raise Broken(f"confidence: expected 0 to 1, got {shown(sure)}")
        if nested := [key for key, value in detection.items() if isinstance(value, dict | list)]:
            raise Broken(f"detection is not flat: {shown(nested)}")


@rule("detection.timestamp", "writes when a frame was captured as ISO 8601 in UTC with milliseconds")
def _(lab: Lab) -> None:
    for message in _seen(lab):
        if _captured_s(message) is None:
            raise Broken(f"timestamp: expected such as 2025-07-14T12:34:56.789Z, got {shown(message.get('timestamp'))}")


@rule("detection.fresh", f"sends detections of frames that are younger than {_FRESH_S:g} s, and of no future ones")
def _(lab: Lab) -> None:
    wall_s = time.time() - time.monotonic()
    ages_s = [heard.at_s + wall_s - captured for heard, captured in _timed(lab)]
    oldest, youngest = max(ages_s), min(ages_s)
    if oldest > _FRESH_S or youngest < -_AHEAD_S:
        age = oldest if oldest > _FRESH_S else youngest
        raise Broken(f"one was {age:.1f} s old by this machine's clock; if both clocks are right, that is too much")


@rule("detection.order", "sends the detections of a subscription in the order of capture")
def _(lab: Lab) -> None:
    by_name: dict[str, list[float]] = {}
    for heard, captured in _timed(lab):
        by_name.setdefault(str((heard.message or {}).get("subscriptionIdentifier")), []).append(captured)
    for times in by_name.values():
        for earlier, later in pairwise(times):
            if later < earlier:
                raise Broken(f"a frame came {earlier - later:.3f} s after a newer one")


@rule("detection.id", "marks each detection with a detectionId of its own", ours=True)
def _(lab: Lab) -> None:
    found = [message.get("detectionId") for message in _seen(lab)]
    if not any(found):
        raise NotApplicable("there are no detectionIds")
    if len(set(map(str, found))) != len(found):
        raise Broken("one detectionId was used twice")


@rule("session.bound", "binds a display's session to what is captured from then on, and no more once it is cleared")
def _(lab: Lab) -> None:
    name = lab.name("bound")
    display = name.split(";")[0]
    with lab.peer() as peer, lab.subscribed(peer, name):
        if _detection(peer, name, within_s=_FIRST_S) is None:
            raise NotApplicable("no detection came")
        if "sessionId" in (_detection(peer, name) or {}):
            raise Broken("a display without a session has a sessionId")
        for session in (9001, "nine", None):
            peer.send({"type": "setSessionId", "payload": {"displayIdentifier": display, "sessionId": session}})
            after_s = time.time() + _BOUND_S
            found = _detection(peer, name, captured_after_s=after_s)
            if found is None:
                raise NotApplicable(f"no detection within {_SOON_S:g} s after setSessionId")
            got = found.get("sessionId", None)
            if got != session or type(got) is not type(session) or (session is None and "sessionId" in found):
                raise Broken(f"sessionId: expected {shown(session) if session else 'none'}, got {shown(got)}")


@rule("owner.results", "sends the results of a subscription to the connection that subscribed last, and to no other")
def _(lab: Lab) -> None:
    name = lab.name("taken")
    with lab.peer() as first, lab.peer() as second, lab.subscribed(second, name):
        if _detection(second, name, within_s=_FIRST_S) is None:
            raise NotApplicable("no detection came")
        lab.subscribe(first, name)
        taken = _detection(first, name)
        if taken is None:
            raise Broken(f"the connection that subscribed last was sent none within {_SOON_S:g} s")
        since = second.mark()
        if _detection(first, name) is None:
            raise NotApplicable("too few detections came")
        if any(second.messages("imageDetection", since, lambda m: m.get("subscriptionIdentifier") == name)):
            raise Broken("the connection before it still is sent results")


@rule("http.image", "serves a subscription's newest picture as image/jpeg, and 404 when it has ended")
def _(lab: Lab) -> None:
    name = lab.name("pictured")
    with lab.peer() as peer:
        with lab.subscribed(peer, name):
            if lab.until(peer, lambda m: _is_online(m, name), _ONLINE_S) is None:
                raise NotApplicable("the camera does not come online")
            answer = lab.image(name)
            if answer.status_code != 200 or answer.headers.get("content-type") != "image/jpeg":
                raise Broken(f"answered by {answer.status_code}, {shown(answer.headers.get('content-type'))}")
            if not answer.content.startswith(b"\xff\xd8"):
                raise Broken("the picture is no JPEG")
        until_s = time.monotonic() + LISTED_S
        while (status := lab.image(name).status_code) != 404:
            if time.monotonic() > until_s:
                raise Broken(f"answered by {status} {LISTED_S:g} s after unsubscribe")
            time.sleep(0.25)


def _detection(
    peer: Peer, name: str, *, within_s: float = _SOON_S, captured_after_s: float | None = None
) -> Message | None:
    """Return the next `imageDetection` of a subscription, of a frame that was captured after a Unix time."""

    def fits(message: Message) -> bool:
        if message.get("subscriptionIdentifier") != name:
            return False
        # Without a time that can be read, the time of arrival has to do.
        captured_s = _captured_s(message) or time.time()
        return captured_after_s is None or captured_s > captured_after_s

    found = peer.expect("imageDetection", peer.mark(), within_s, fits)
    return found.message if found else None


def _all(lab: Lab) -> Iterator[Heard]:
    return (heard for peer in lab.peers for heard in peer.messages("imageDetection"))


def _seen(lab: Lab) -> list[Message]:
    """Return every detection that came so far, by any connection."""
    found = [heard.message for heard in _all(lab) if heard.message]
    if not found:
        raise NotApplicable("no detection came")
    return found


def _timed(lab: Lab) -> list[tuple[Heard, float]]:
    """Return every detection that came so far, by connection, and its capture as Unix time in s."""
    timed = [(heard, captured) for heard in _all(lab) if (captured := _captured_s(heard.message or {})) is not None]
    if not timed:
        raise NotApplicable("no detection came whose timestamp can be read")
    return timed


def _captured_s(message: Message) -> float | None:
    text: Any = message.get("timestamp")
    if not isinstance(text, str) or _TIMESTAMP.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _is_online(report: Message, name: str) -> bool:
    return (entry(report, name) or {}).get("online") is True
