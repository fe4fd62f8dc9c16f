"""A CMS reaches the webcams of a host only where its operator said so."""

from __future__ import annotations

import pytest

from contract.problems import Code
from contract.settings import Settings
from worker_api.protocol import Refused, wish_of

PAYLOAD = {
    "subscriptionIdentifier": "d;1",
    "rtspUrl": "webcam://0",
    "modelUrl": "models/m.mpta",
    "modelId": 1,
    "modelName": "m",
}


def test_a_webcam_is_refused_by_default() -> None:
    with pytest.raises(Refused, match="expected an address that begins with one of") as caught:
        wish_of(PAYLOAD, Settings())

    assert caught.value.code == Code.URL_NOT_ALLOWED
    assert "webcam" not in caught.value.text


def test_a_webcam_is_taken_where_webcams_are_allowed() -> None:
    wish = wish_of(PAYLOAD, Settings(webcams=True, camera_hosts=("10.0.0.0/8",)))

    assert wish.subscription.source.url == "webcam://0"
