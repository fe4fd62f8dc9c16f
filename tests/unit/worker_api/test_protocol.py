"""What a message means, as a table: text or payload in, wish or refusal out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract.settings import Settings
from worker_api import messages
from worker_api.protocol import Refused, Wish, parse, wish_of

SETTINGS = Settings(media_dirs=(Path("/srv/media"),), model_dirs=(Path("/srv/models"),), target_fps=4)
PAYLOAD: dict[str, Any] = {
    "subscriptionIdentifier": "d1;c1",
    "rtspUrl": "rtsp://camera/one",
    "modelUrl": "https://models/m.mpta",
    "modelId": 101,
}
CROP = {"cropX1": 1, "cropY1": 2, "cropX2": 3, "cropY2": 4}


def made(**payload: Any) -> Wish:
    return wish_of(PAYLOAD | payload, SETTINGS)


def refused(**payload: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        made(**payload)
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "bad_json", "not JSON"),
        ("{", "bad_json", "not JSON"),
        ('{"type": "requestState", "x": NaN}', "bad_json", "not JSON"),
        ('{"type": "requestState", "x": "\\ud800"}', "bad_json", "not JSON"),
        ("[" * 2000 + "]" * 2000, "bad_json", "not JSON"),
        ("[]", "bad_json", "one JSON object"),
        ("7", "bad_json", "one JSON object"),
        ("{}", "unknown_type", "missing"),
        ('{"type": "subscribed"}', "unknown_type", "'subscribed'"),
        ('{"type": ["subscribe"]}', "unknown_type", "of list"),
        ('{"type": "subscribe"}', "bad_field", "payload: field required"),
        ('{"type": "subscribe", "payload": 7}', "bad_field", "payload: "),
        ('{"type": "unsubscribe", "payload": {}}', "bad_field", "payload.subscriptionIdentifier: field required"),
        ('{"type": "setSubscriptions", "payload": {"subscriptions": {}}}', "bad_field", "payload.subscriptions: "),
        ('{"type": "setSessionId", "payload": {"displayIdentifier": "d"}}', "bad_field", "payload.sessionId: "),
        (
            '{"type": "setSessionId", "payload": {"displayIdentifier": "d", "sessionId": true}}',
            "bad_field",
            "sessionId",
        ),
        ('{"type": "patchSessionResult", "payload": {"sessionId": 1}}', "bad_field", "payload.success: "),
    ],
)
def test_a_bad_message_is_refused_with_what_was_expected(text: str, code: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(text)

    assert caught.value.code == code
    assert says in caught.value.text


def test_a_bad_field_names_the_subscription_when_it_is_known() -> None:
    with pytest.raises(Refused) as caught:
        parse('{"type": "setSessionId", "payload": {"subscriptionIdentifier": "d;c"}}')

    assert caught.value.subscription == "d;c"


@pytest.mark.parametrize("session", [7, "7", None])
def test_a_session_keeps_its_type(session: object) -> None:
    text = json.dumps({"type": "setSessionId", "payload": {"displayIdentifier": "d", "sessionId": session}})

    message = parse(text)

    assert isinstance(message, messages.SetSessionId)
    assert message.payload.sessionId == session
    assert type(message.payload.sessionId) is type(session)


def test_unknown_fields_are_ignored() -> None:
    assert parse('{"type": "requestState", "payload": {"more": 1}}') == messages.RequestState()


def test_what_is_left_out_has_a_default() -> None:
    wanted = made(cropX1=None, priority=None, fps=None, modelName=None, rotate=None, mirror=None).subscription

    assert (wanted.display, wanted.camera) == ("d1", "c1")
    assert (wanted.model_name, wanted.priority, wanted.fps) == ("101", 5, 4.0)
    assert (wanted.crop, wanted.rotate, wanted.mirror) == (None, 0, "none")


@pytest.mark.parametrize(
    ("sources", "url", "interval_ms"),
    [
        ({"rtspUrl": "RTSP://camera/one"}, "RTSP://camera/one", None),
        ({"snapshotUrl": "http://camera/s.jpg", "snapshotInterval": 250}, "http://camera/s.jpg", 250),
        ({"snapshotUrl": "http://camera/s.jpg"}, "rtsp://camera/one", None),
        ({"snapshotUrl": "http://camera/s.jpg", "rtspUrl": None}, "http://camera/s.jpg", 1000),
        ({"snapshotUrl": "http://camera/s.jpg", "rtspUrl": ""}, "http://camera/s.jpg", 1000),
        ({"snapshotUrl": None, "snapshotInterval": 250}, "rtsp://camera/one", None),
        ({"rtspUrl": "synthetic://640x360@25"}, "synthetic://640x360@25", None),
        ({"rtspUrl": "file:///srv/media/a.mp4"}, "file:///srv/media/a.mp4", None),
        ({"rtspUrl": "a/b.mp4"}, "a/b.mp4", None),
    ],
)
def test_the_source_is_chosen_by_the_rule(sources: dict[str, Any], url: str, interval_ms: int | None) -> None:
    source = made(**sources).subscription.source

    assert (source.url, source.interval_ms) == (url, interval_ms)
    assert source.kind == ("snapshot" if interval_ms else "stream")


def test_credentials_leave_the_url() -> None:
    wish = made(rtspUrl="rtsp://me:p%40ss@camera:554/one")

    assert wish.credentials == "me:p%40ss"
    assert wish.subscription.source.url == "rtsp://camera:554/one"


@pytest.mark.parametrize(
    ("payload", "code", "says"),
    [
        ({"subscriptionIdentifier": ""}, "bad_identifier", "displayIdentifier;cameraIdentifier"),
        ({"subscriptionIdentifier": "d1"}, "bad_identifier", "displayIdentifier;cameraIdentifier"),
        ({"subscriptionIdentifier": ";c1"}, "bad_identifier", "displayIdentifier;cameraIdentifier"),
        ({"subscriptionIdentifier": "d1;"}, "bad_identifier", "displayIdentifier;cameraIdentifier"),
        ({"subscriptionIdentifier": "d1;c1;x"}, "bad_identifier", "displayIdentifier;cameraIdentifier"),
        ({"rtspUrl": None}, "no_source", "rtspUrl, snapshotUrl"),
        ({"rtspUrl": "", "snapshotUrl": ""}, "no_source", "rtspUrl, snapshotUrl"),
        ({"rtspUrl": "ftp://camera/"}, "url_not_allowed", "rtspUrl: expected"),
        ({"rtspUrl": "rtsp://"}, "url_not_allowed", "rtspUrl: expected"),
        ({"rtspUrl": "rtsp://camera:port/"}, "url_not_allowed", "rtspUrl: the URL cannot be parsed"),
        ({"rtspUrl": "/etc/passwd"}, "url_not_allowed", "rtspUrl: the path lies outside"),
        ({"rtspUrl": "../models/m.mpta"}, "url_not_allowed", "rtspUrl: the path lies outside"),
        ({"rtspUrl": "file:///srv/media/../../etc/passwd"}, "url_not_allowed", "rtspUrl: the path lies outside"),
        ({"rtspUrl": "a\0b"}, "url_not_allowed", "rtspUrl: expected an address without control characters"),
        ({"modelUrl": "http://h/\r\nx: y"}, "url_not_allowed", "modelUrl: expected an address without control"),
        ({"rtspUrl": "rtsp:///one"}, "url_not_allowed", "rtspUrl: expected a host after rtsp://"),
        ({"rtspUrl": None, "snapshotUrl": "rtsp://camera/"}, "url_not_allowed", "snapshotUrl: expected"),
        ({"modelUrl": "rtsp://camera/"}, "url_not_allowed", "modelUrl: expected"),
        ({"modelUrl": "/srv/media/m.mpta"}, "url_not_allowed", "modelUrl: the path lies outside"),
        (CROP | {"cropX2": 1}, "bad_crop", "x1 < x2"),
        (CROP | {"cropY1": 9}, "bad_crop", "y1 < y2"),
        (CROP | {"cropX1": -9, "cropX2": 0}, "bad_crop", "outside the frame"),
        (CROP | {"cropX1": "left"}, "bad_field", "payload.cropX1: "),
        ({"modelId": None}, "bad_field", "payload.modelId"),
        ({"modelId": True}, "bad_field", "payload.modelId"),
        ({"modelId": 1.5}, "bad_field", "payload.modelId"),
        ({"priority": 11}, "bad_field", "payload.priority: "),
        ({"fps": 0}, "bad_field", "payload.fps: "),
        ({"rotate": 45}, "bad_field", "payload.rotate: "),
        ({"mirror": "z"}, "bad_field", "payload.mirror: "),
        ({"snapshotInterval": 0}, "bad_field", "payload.snapshotInterval: "),
        ({"modelName": "m" * 257}, "bad_field", "payload.modelName: "),
    ],
)
def test_a_bad_subscription_is_refused_by_name(payload: dict[str, Any], code: str, says: str) -> None:
    fault = refused(**payload)

    assert fault.code == code
    assert says in fault.text
    assert fault.subscription == payload.get("subscriptionIdentifier", "d1;c1")
    assert "/srv" not in fault.text


@pytest.mark.parametrize(
    ("field", "setting"),
    [("rtspUrl", "CAMERA_HOSTS"), ("snapshotUrl", "CAMERA_HOSTS"), ("modelUrl", "MODEL_HOSTS")],
)
def test_a_host_that_is_not_listed_is_refused(field: str, setting: str) -> None:
    settings = Settings(camera_hosts=("10.0.0.0/8",), model_hosts=("10.0.0.0/8",))
    good = {"subscriptionIdentifier": "d;c", "modelId": 1, "modelUrl": "http://10.0.0.1/m"}
    given = good | {"rtspUrl": "rtsp://10.0.0.1/"} if field != "snapshotUrl" else good

    assert wish_of({**given, field: "http://me:pw@10.0.0.1/x"}, settings)
    with pytest.raises(Refused) as caught:
        wish_of({**given, field: "http://me:pw@11.0.0.1/x"}, settings)

    assert caught.value.code == "url_not_allowed"
    assert caught.value.text.startswith(f"{field}: the operator does not allow this host")
    assert caught.value.text.endswith(f"DETECTOR_{setting}")


def test_a_crop_over_the_edge_is_left_to_who_knows_the_size() -> None:
    assert made(**CROP | {"cropX1": -5}).subscription.crop == (-5, 2, 3, 4)


def test_half_a_crop_is_the_full_frame_with_a_warning() -> None:
    wish = made(**CROP | {"cropX1": None, "cropY2": None})

    assert wish.subscription.crop is None
    assert wish.warning is not None
    assert (wish.warning.code, wish.warning.subscription) == ("bad_crop", "d1;c1")
    assert wish.warning.text.startswith("cropX1, cropY2: missing")


def test_a_refusal_leaves_out_an_identifier_that_is_not_known() -> None:
    message = json.loads(refused(subscriptionIdentifier=5).message().text())

    assert set(message) == {"type", "code", "error"}
