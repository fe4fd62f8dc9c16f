"""Rules that can be judged without a camera that works."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

from cli.conformance.lab import ANSWER_S, LISTED_S, NOBODY, SECRET, Lab, entry
from cli.conformance.peer import Message, Peer
from cli.conformance.rules import Book, Broken, NotApplicable, shown
from contract.problems import Code

BOOK = Book()
rule = BOOK.rule

#: Heartbeats are each 2 s; this allows for what a network and a busy machine do to them.
_BEATS = 4  # are waited for
_MEAN_S = (1.7, 2.3)
_LONGEST_S = 3.0
_AT_ONCE_S = 1.5
_USAGES = {"cpuUsage": False, "memoryUsage": False, "gpuUsage": True, "gpuMemoryUsage": True}


@rule("heartbeat.at_once", f"sends a stateReport as soon as the connection is open (within {_AT_ONCE_S:g} s)")
def _(lab: Lab) -> None:
    first = lab.idle.expect("stateReport", 0, LISTED_S)
    if first is None:
        raise Broken(f"no stateReport within {LISTED_S:g} s")
    if first.at_s - lab.idle.opened_s > _AT_ONCE_S:
        raise Broken(f"the first came after {first.at_s - lab.idle.opened_s:.1f} s")


@rule("state.requested", "answers requestState with a stateReport at once, not with the next heartbeat")
def _(lab: Lab) -> None:
    with lab.peer() as peer:
        # Right after a heartbeat the next is 2 s away.
        peer.expect("stateReport", 0, LISTED_S)
        asked = lab.answer(peer, {"type": "requestState"}, "stateReport", _AT_ONCE_S)
    if asked is None:
        raise Broken(f"no stateReport within {_AT_ONCE_S:g} s")


@rule("state.fields", "reports four usages in percent, those of a GPU null without one, and a list of subscriptions")
def _(lab: Lab) -> None:
    heard = lab.idle.expect("stateReport", 0, LISTED_S)
    if heard is None or heard.message is None:
        raise NotApplicable("no stateReport came")
    report = heard.message
    for name, may_be_null in _USAGES.items():
        value = report.get(name, "missing")
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
        if not fits and not (value is None and may_be_null):
            raise Broken(f"{name}: expected 0 to 100{' or null' if may_be_null else ''}, got {shown(value)}")
    if not isinstance(report.get("cameraConnections"), list):
        raise Broken(f"cameraConnections: expected a list, got {shown(report.get('cameraConnections'))}")


@rule(
    "subscribe.listed", "lists a subscription with its modelId and modelName as they were given, and online as a truth"
)
def _(lab: Lab) -> None:
    first, second = lab.name("listed"), lab.name("text")
    with lab.peer() as peer, lab.subscribed(peer, first), lab.subscribed(peer, second, modelId="101"):
        found = lab.listed(peer, first, modelId=101, modelName="protocol-test")
        lab.listed(peer, second, modelId="101")
    if not isinstance(found.get("online"), bool):
        raise Broken(f"online: expected true or false, got {shown(found.get('online'))}")


@rule("subscribe.crop", "reports crop fields when a crop is set, and only then")
def _(lab: Lab) -> None:
    crop = {"cropX1": 10, "cropY1": 20, "cropX2": 210, "cropY2": 120}
    plain, cropped = lab.name("plain"), lab.name("cropped")
    with lab.peer() as peer, lab.subscribed(peer, plain), lab.subscribed(peer, cropped, **crop):
        lab.listed(peer, cropped, **crop)
        found = lab.listed(peer, plain)
    if more := crop.keys() & found.keys():
        raise Broken(f"a subscription without crop has {', '.join(sorted(more))}")


@rule("subscribe.unknown_fields", "takes a subscription that has fields it does not know")
def _(lab: Lab) -> None:
    name = lab.name("newer")
    with lab.peer() as peer, lab.subscribed(peer, name, fieldOfTheFuture={"a": [1]}):
        lab.listed(peer, name)


@rule("subscribe.replaces", "replaces a subscription that is subscribed again, in place", ours=True)
def _(lab: Lab) -> None:
    name = lab.name("again")
    with lab.peer() as peer, lab.subscribed(peer, name):
        lab.listed(peer, name, modelId=101)
        since = peer.mark()
        lab.subscribe(peer, name, modelId=102)
        try:
            lab.listed(peer, name, since, modelId=102)
        except Broken:
            raise NotApplicable("the first goes on, as with the older worker") from None
        report = lab.answer(peer, {"type": "requestState"}, "stateReport")
    listed = (report.message or {}).get("cameraConnections") if report else None
    entries = listed if isinstance(listed, list) else []
    if sum(isinstance(each, dict) and each.get("subscriptionIdentifier") == name for each in entries) != 1:
        raise Broken("the subscription is listed more than once")


@rule("online.dark_camera", "says that a camera which gives no picture is not online")
def _(lab: Lab) -> None:
    name = lab.name("dark")
    with lab.peer() as peer, lab.subscribed(peer, name, rtspUrl=f"rtsp://{NOBODY}/dark", snapshotUrl=None):
        found = lab.until(peer, lambda m: entry(m, name) is not None)
        if found is None:
            raise NotApplicable("the worker does not list a subscription whose camera cannot be opened")
        # Long enough for a worker that says so until it knows better.
        since = peer.mark()
        if lab.until(peer, lambda m: _online(m, name) is False, since=since) is None:
            raise Broken(f"online stays {shown(_online(found.message or {}, name))}: nothing listens at {NOBODY}")


@rule("unsubscribe.ends", "ends a subscription when any connection asks for it")
def _(lab: Lab) -> None:
    name = lab.name("ended")
    with lab.peer() as peer, lab.peer() as other, lab.subscribed(peer, name):
        lab.listed(peer, name)
        other.send({"type": "unsubscribe", "payload": {"subscriptionIdentifier": name}})
        since = peer.mark()
        if lab.until(peer, lambda m: entry(m, name) is None, since=since) is None:
            raise Broken(f"still listed {LISTED_S:g} s later")


@rule("unsubscribe.unknown", "takes an unsubscribe of what it does not know for done: no error, nothing else ends")
def _(lab: Lab) -> None:
    unknown = {"type": "unsubscribe", "payload": {"subscriptionIdentifier": lab.name("nobody")}}
    with lab.peer() as peer:
        told = lab.errors(peer, unknown)
        lab.alive(peer, "an unknown unsubscribe")
    if told:
        raise Broken(f"answered by {shown(told[0])}")


@rule("session.accepted", "takes setSessionId with a number, a text and null, without an answer")
def _(lab: Lab) -> None:
    with lab.peer() as peer:
        for session in (12345, "a text", None):
            payload = {"displayIdentifier": lab.name("d").split(";")[0], "sessionId": session}
            if told := lab.errors(peer, {"type": "setSessionId", "payload": payload}):
                raise Broken(f"{shown(session)} is answered by {shown(told[0])}")
        lab.alive(peer, "setSessionId")


@rule("patch.acknowledged", "answers a patchSession of a CMS with one patchSessionResult that names its session")
def _(lab: Lab) -> None:
    question = {"type": "patchSession", "sessionId": 4711, "data": {"currentCar": {"carBrand": "Honda"}}}
    with lab.peer() as peer:
        answer = lab.answer(peer, question, "patchSessionResult")
    if answer is None or answer.message is None:
        raise Broken(f"no patchSessionResult within {ANSWER_S:g} s")
    payload = answer.message.get("payload")
    told = payload if isinstance(payload, dict) else {}
    if (told.get("sessionId"), told.get("success")) != (4711, True) or not isinstance(told.get("message"), str):
        raise Broken(f"payload: expected sessionId 4711, success true and a message, got {shown(payload)}")


@rule("patch.result_taken", "takes a patchSessionResult, good or bad, without an answer")
def _(lab: Lab) -> None:
    with lab.peer() as peer:
        for success in (True, False):
            payload = {"sessionId": 4711, "success": success, "message": "of the protocol test"}
            if told := lab.errors(peer, {"type": "patchSessionResult", "payload": payload}):
                raise Broken(f"answered by {shown(told[0])}")
        lab.alive(peer, "patchSessionResult")


@rule("set.applied", "applies setSubscriptions: says what was added, unchanged, removed and refused", ours=True)
def _(lab: Lab) -> None:
    one, two = lab.name("set", "one"), lab.name("set", "two")
    with lab.peer() as peer:
        first = _set(lab, peer, [lab.wish(one), lab.wish(two)])
        second = _set(lab, peer, [lab.wish(one), {"subscriptionIdentifier": "without;anything"}])
        last = _set(lab, peer, [])
    expected: list[tuple[Message, dict[str, Any]]] = [
        (first, {"added": [one, two], "replaced": [], "unchanged": [], "removed": [], "refused": []}),
        (second, {"added": [], "replaced": [], "unchanged": [one], "removed": [two]}),
        (last, {"added": [], "replaced": [], "unchanged": [], "removed": [one], "refused": []}),
    ]
    for told, values in expected:
        for key, value in values.items():
            if told.get(key) != value:
                raise Broken(f"{key}: expected {shown(value)}, got {shown(told.get(key))}")
    refused = second.get("refused")
    codes = [each.get("code") for each in refused if isinstance(each, dict)] if isinstance(refused, list) else None
    if codes != ["bad_field"]:
        raise Broken(f"refused: expected one bad_field, got {shown(refused)}")


@rule("owner.reported", "lists a subscription to the connection that subscribed last, and to no other", ours=True)
def _(lab: Lab) -> None:
    name = lab.name("owned")
    with lab.peer() as first, lab.peer() as second, lab.subscribed(second, name):
        lab.listed(second, name)
        since = second.mark()
        lab.subscribe(first, name)
        lab.listed(first, name)
        if lab.until(second, lambda m: entry(m, name) is None, since=since) is None:
            raise NotApplicable("all connections are told of all subscriptions, as with the older worker")


@rule("http.no_image", "answers 404 with a detail when there is no picture of a subscription")
def _(lab: Lab) -> None:
    answer = lab.image(lab.name("nobody"))
    if answer.status_code != 404:
        raise Broken(f"answered by {answer.status_code}")
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("detail"), str):
        raise Broken(f'expected {{"detail": …}}, got {shown(answer.text[:80])}')


@rule("http.health", "answers GET /health with 200", ours=True)
def _(lab: Lab) -> None:
    status = lab.get("/health").status_code
    if status == 404:
        raise NotApplicable("there is no such path")
    if status != 200:
        raise Broken(f"answered by {status}")


#: Judged when all others were: they say what they have seen by then.
LAST = Book()


@LAST.rule("heartbeat.rhythm", "sends a stateReport each 2 s, whatever else goes on")
def _(lab: Lab) -> None:
    beats = lab.idle
    until_s = beats.opened_s + _BEATS * _MEAN_S[1]
    while len(list(beats.messages("stateReport"))) < 2 or time.monotonic() < until_s:
        if beats.expect("stateReport", beats.mark(), 2 * _LONGEST_S) is None:
            raise Broken(f"no stateReport for {2 * _LONGEST_S:g} s")
    times_s = [heard.at_s for heard in beats.messages("stateReport")]
    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
    mean_s = sum(gaps_s) / len(gaps_s)
    if not _MEAN_S[0] <= mean_s <= _MEAN_S[1] or max(gaps_s) > _LONGEST_S:
        raise Broken(f"one each {mean_s:.1f} s, the longest after {max(gaps_s):.1f} s ({len(gaps_s)} seen)")


@LAST.rule("wire.json", "sends JSON objects with a type, in text frames, and nothing else")
def _(lab: Lab) -> None:
    for heard in (heard for peer in lab.peers for heard in peer.heard):
        if heard.message is None:
            raise Broken(f"sent {shown(heard.raw[:80] if isinstance(heard.raw, str) else 'a binary frame')}")


@LAST.rule("wire.no_secrets", "tells neither passwords nor stack traces")
def _(lab: Lab) -> None:
    with lab.peer() as peer:
        name, url = lab.name("secret"), f"rtsp://user:{SECRET}@{NOBODY}/cam"
        with lab.subscribed(peer, name, rtspUrl=url):
            lab.errors(peer, {"type": "subscribe", "payload": {"subscriptionIdentifier": "no id", "rtspUrl": url}})
            lab.errors(peer, json.dumps({"type": "subscribe", "payload": {"rtspUrl": url}})[:-3])
    for heard in (heard for peer in lab.peers for heard in peer.heard):
        raw = heard.raw if isinstance(heard.raw, str) else heard.raw.decode(errors="replace")
        for word in (SECRET, "Traceback (most recent"):
            if word in raw:
                raise Broken(f"a message holds {'a password' if word == SECRET else 'a stack trace'}")


@LAST.rule("error.form", "sends errors with a code of the protocol and a sentence", ours=True)
def _(lab: Lab) -> None:
    errors = [heard.message for peer in lab.peers for heard in peer.messages("error") if heard.message]
    if not errors:
        raise NotApplicable("no error was sent")
    for error in errors:
        if error.get("code") not in list(Code) or not isinstance(error.get("error"), str) or not error["error"]:
            raise Broken(f"sent {shown(error)}")


def _set(lab: Lab, peer: Peer, wishes: list[Message]) -> Message:
    question = {"type": "setSubscriptions", "payload": {"subscriptions": wishes}}
    answer = lab.answer(peer, question, "subscriptionsSet")
    if answer is None or answer.message is None:
        raise NotApplicable("setSubscriptions is not known")
    payload = answer.message.get("payload")
    if not isinstance(payload, dict):
        raise Broken(f"payload: expected an object, got {shown(payload)}")
    return payload


def _online(report: Message, name: str) -> Any:
    return (entry(report, name) or {}).get("online")
