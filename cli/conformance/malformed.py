"""Rules about messages that make no sense: each is told of once, and harms nobody."""

from __future__ import annotations

from collections.abc import Callable

from cli.conformance.lab import Lab
from cli.conformance.rules import Book, Broken, Check, NotApplicable, shown

BOOK = Book()
_LARGE = 2**17

Provocation = Callable[[Lab], object]


def _subscribe(lab: Lab, **fields: object) -> object:
    return {"type": "subscribe", "payload": lab.wish(lab.name("bad"), **fields)}


#: Name -> (what it is, the code that it is answered with, the message).
_CASES: dict[str, tuple[str, str, Provocation]] = {
    "not_json": ("text that is not JSON", "bad_json", lambda _: "{nonsense"),
    "not_object": ("JSON that is no object", "bad_json", lambda _: "[1, 2]"),
    "binary": ("a binary frame", "bad_json", lambda _: b"\x00\xff"),
    "unknown_type": ("a type that nobody knows", "unknown_type", lambda _: {"type": "protocolTest"}),
    "no_type": ("no type", "unknown_type", lambda _: {"payload": {}}),
    "no_payload": ("no payload", "bad_field", lambda _: {"type": "unsubscribe"}),
    "wrong_kind": ("a field of the wrong kind", "bad_field", lambda lab: _subscribe(lab, modelUrl=5)),
    "identifier": (
        "an identifier without ;",
        "bad_identifier",
        lambda lab: _subscribe(lab, subscriptionIdentifier="nothing between"),
    ),
    "crop": (
        "a crop inside out",
        "bad_crop",
        lambda lab: _subscribe(lab, cropX1=9, cropY1=9, cropX2=5, cropY2=5),
    ),
    "source": (
        "no camera at all",
        "no_source",
        lambda lab: _subscribe(lab, rtspUrl=None, snapshotUrl=None, snapshotInterval=None),
    ),
    "address": (
        "a camera's address that is none",
        "url_not_allowed",
        lambda lab: _subscribe(lab, rtspUrl="gopher://x"),
    ),
    "size": (f"{_LARGE // 1024} KiB", "message_too_large", lambda _: {"type": "requestState", "padding": "x" * _LARGE}),
}


@BOOK.rule("malformed.survived", "keeps a connection on which messages make no sense, and goes on to answer on it")
def _(lab: Lab) -> None:
    with lab.peer() as peer:
        for what, _, provocation in _CASES.values():
            peer.send(provocation(lab))
            lab.alive(peer, what)


def _told_once(what: str, code: str, provocation: Provocation) -> Check:
    def check(lab: Lab) -> None:
        with lab.peer() as peer:
            told = lab.errors(peer, provocation(lab))
        if not told:
            raise NotApplicable("nothing was said")
        if len(told) > 1:
            raise Broken(f"{what} is answered by {len(told)} errors")
        if told[0].get("code") != code:
            raise Broken(f"{what}: expected code {code}, got {shown(told[0].get('code'))}")

    return check


for _name, (_what, _code, _provocation) in _CASES.items():
    _enter = BOOK.rule(f"malformed.{_name}", f"answers {_what} with one error {_code}", ours=True)
    _enter(_told_once(_what, _code, _provocation))
