"""What is wrong with a picture is seen, once it lasts; what only looks odd for a moment is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.inspection import LOOK_S, Flaw, Inspector

Image = NDArray[np.uint8]
Show = Callable[[], Image]

RANDOM = np.random.default_rng(7)
#: Blocks, so that there are edges, in many colours.
SCENE = np.kron(RANDOM.integers(30, 220, (18, 32, 3)), np.ones((20, 20, 1))).astype(np.uint8)


def noisy(image: Image, sigma: float = 3.0) -> Image:
    """Return `image` as a sensor gives it."""
    return np.clip(image + RANDOM.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def live() -> Image:
    return noisy(SCENE)


def black() -> Image:
    return noisy(np.full_like(SCENE, 14), 2)


def covered() -> Image:
    return noisy(np.full_like(SCENE, 90), 2)


def defocused() -> Image:
    return noisy(cv2.GaussianBlur(SCENE, (0, 0), 12).astype(np.uint8))


def grey() -> Image:
    return cv2.cvtColor(cv2.cvtColor(live(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.uint8)


def dusk() -> Image:
    return noisy((SCENE * 0.3 + 10).astype(np.uint8))


def frozen() -> Image:
    return SCENE


def clock() -> Iterator[Image]:
    """Yield a frozen picture on which a clock goes on."""
    for second in count():
        image = SCENE.copy()
        cv2.putText(image, f"12:{second // 60:02}:{second % 60:02}", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,) * 3)
        yield image


class Camera:
    """Shows pictures to an inspector, one per look."""

    def __init__(self, frozen_s: float = 20) -> None:
        self.inspector = Inspector(frozen_s)
        self.now_s = 100.0

    def shows(self, show: Show, seconds: float) -> Flaw | None:
        for _ in range(int(seconds / LOOK_S)):
            self.inspector.look(cv2.imencode(".jpg", show())[1].tobytes(), self.now_s)
            self.now_s += LOOK_S
        return self.inspector.flaw


@pytest.mark.parametrize(
    ("show", "flaw"),
    [
        (black, Flaw.BLACK),
        (covered, Flaw.COVERED),
        (defocused, Flaw.DEFOCUSED),
        (grey, Flaw.COLOUR_LOST),
        (frozen, Flaw.FROZEN),
        (live, None),
        (dusk, None),
    ],
)
def test_a_flaw_is_named_once_it_lasts_and_forgotten_when_it_is_over(show: Show, flaw: Flaw | None) -> None:
    camera = Camera()
    assert camera.shows(live, 15) is None

    assert camera.shows(show, 2) is None
    assert camera.shows(show, 30) is flaw

    assert camera.shows(live, 1) is flaw
    assert camera.shows(live, 10) is None


def test_a_clock_that_goes_on_does_not_hide_that_the_rest_is_frozen() -> None:
    pictures = clock()

    assert Camera().shows(lambda: next(pictures), 40) is Flaw.FROZEN


def test_frozen_pictures_are_nobodys_business_where_a_setting_says_so() -> None:
    assert Camera(frozen_s=0).shows(frozen, 120) is None


def test_a_camera_that_was_never_sharp_is_taken_as_it_is() -> None:
    assert Camera().shows(defocused, 60) is None


def test_a_grey_camera_is_told_to_nobody_and_blinds_nobody() -> None:
    assert (
        [flaw for flaw in Flaw if not flaw.blinds]
        == [flaw for flaw in Flaw if flaw.trouble is None]
        == [Flaw.COLOUR_LOST]
    )


def test_a_picture_is_looked_at_twice_a_second_only() -> None:
    camera = Camera()
    camera.shows(black, 2.5)

    for _ in range(100):
        camera.inspector.look(cv2.imencode(".jpg", live())[1].tobytes(), camera.now_s - LOOK_S / 2)

    assert camera.shows(black, 2) is Flaw.BLACK


def test_bytes_that_are_no_picture_change_nothing() -> None:
    assert Inspector(60).look(b"\xff\xd8\xff nothing", 1.0) is False
