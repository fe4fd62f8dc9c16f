"""What is wrong with what a camera shows: black, covered, out of focus, frozen, without colour. Seen at a glance.

A picture is looked at twice a second, in an eighth of its size: JPEG keeps the means of its 8x8 blocks apart, so that
costs half of decoding it (`python -m benchmarks.inspection`). Each flaw must last before it is believed, and so must
its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.attempts import Trouble
from contract.problems import Code

#: Shape (height, width).
Grey: TypeAlias = NDArray[np.uint8]

LOOK_S = 0.5

#: Levels of 0..255. A sensor in the dark gives no more than noise around its black level (16 in video).
_BLACK_MEAN, _BLACK_SPREAD = 24.0, 8.0
#: A hand, a bag or a wall before the lens: hardly a difference in the whole picture.
_UNIFORM_SPREAD = 6.0
#: Sharpness (mean Laplacian over the spread, so that dusk does not count), as a share of what this camera usually has.
_BLURRED = 0.5
#: Mean difference between the colour channels: of a grey picture at most, and of one that has colour to lose at least.
_GREY, _COLOURED = 2.0, 8.0
#: Of a frozen picture less than this changes, by a level or more: room for a clock that goes on (200x20 pixels are
#: 1.7 % of 640x360). The noise of a living sensor changes several times as much, also where nothing moves.
_CLOCK = 0.03
#: Looks at the same picture before it may be frozen: snapshots come seldom.
_FROZEN_LOOKS = 10
#: Looks after which this camera's usual values are known, and the weight of each later one: half of them is older than
#: twelve minutes.
_KNOWN_LOOKS, _WEIGHT = 20, 0.0005
#: A flaw is over when it was not seen for so long.
_OVER_S = 2.0


class Flaw(StrEnum):
    """What a camera's picture may suffer from; the state in which the camera then is."""

    BLACK = "black"
    COVERED = "covered"
    DEFOCUSED = "defocused"
    FROZEN = "frozen"
    COLOUR_LOST = "colour_lost"

    @property
    def blinds(self) -> bool:
        """Whether nothing that is detected in such a picture can be relied on. A camera at night is grey and sees."""
        return self is not Flaw.COLOUR_LOST

    @property
    def trouble(self) -> Trouble | None:
        """What the camera's subscribers must be told: a person must act. None: not of a camera that is merely grey."""
        return Trouble(Code.CAMERA_IMAGE, _TEXTS[self]) if self.blinds else None


_TEXTS: Mapping[Flaw, str] = {
    Flaw.BLACK: "the camera's picture is black; check its lens cover, its exposure and the light",
    Flaw.COVERED: "the camera sees one even surface; check what is before its lens",
    Flaw.DEFOCUSED: "the camera's picture is far less sharp than usual; check its focus and clean its lens",
    Flaw.FROZEN: "the camera sends the same picture again and again; restart it",
}
#: How long each must last, in seconds; of a frozen picture a setting says it.
_LASTS_S: Mapping[Flaw, float] = {Flaw.BLACK: 3.0, Flaw.COVERED: 5.0, Flaw.DEFOCUSED: 15.0, Flaw.COLOUR_LOST: 15.0}


@dataclass(frozen=True, slots=True)
class Measures:
    """One look: mean and spread of the brightness, sharpness per spread, and mean difference of the colour channels."""

    mean: float
    spread: float
    sharpness: float
    colour: float

    def towards(self, other: Measures, weight: float) -> Measures:
        """Return these measures, moved towards `other` by so much of the way."""
        return Measures(*(a + (b - a) * weight for a, b in zip(astuple(self), astuple(other), strict=True)))


class Inspector:
    """Looks at one camera's pictures.

    Args:
        frozen_s: how long a picture must stay the same to be frozen; 0: that is not looked for.

    Attributes:
        flaw: what the picture suffers from, None while it is well.
    """

    def __init__(self, frozen_s: float) -> None:
        self.flaw: Flaw | None = None
        self._frozen_s = frozen_s
        self._next_s = float("-inf")
        self._usual: Measures | None = None
        self._looks = 0
        # The first of the pictures that were all the same, when it came, and how many they are.
        self._still: Grey | None = None
        self._still_since_s, self._still_looks = 0.0, 0
        # What the newest look saw, and since when all of them saw it.
        self._seen: Flaw | None = None
        self._seen_since_s = float("-inf")

    def look(self, jpeg: bytes, now_s: float) -> bool:
        """Look at the picture of `now_s` (any steady clock) if it is time; return whether `flaw` changed."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + LOOK_S
        small = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
        if small is None:
            return False
        grey = cast("Grey", cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        is_still = self._is_still(grey, now_s)
        seen = self._judge(measure(cast("NDArray[np.uint8]", small), grey)) or (Flaw.FROZEN if is_still else None)
        return self._believe(seen, now_s)

    def _judge(self, now: Measures) -> Flaw | None:
        if now.mean < _BLACK_MEAN and now.spread < _BLACK_SPREAD:
            return Flaw.BLACK
        if now.spread < _UNIFORM_SPREAD:
            return Flaw.COVERED
        usual = self._usual
        if usual is not None and self._looks >= _KNOWN_LOOKS:
            if now.sharpness < _BLURRED * usual.sharpness:
                return Flaw.DEFOCUSED
            if now.colour < _GREY and usual.colour > _COLOURED:
                return Flaw.COLOUR_LOST
        self._looks += 1
        self._usual = now if usual is None else usual.towards(now, max(1 / self._looks, _WEIGHT))
        return None

    def _is_still(self, grey: Grey, now_s: float) -> bool:
        still = self._still
        if still is None or still.shape != grey.shape or np.count_nonzero(still != grey) > _CLOCK * grey.size:
            self._still, self._still_since_s, self._still_looks = grey, now_s, 0
        self._still_looks += 1
        return 0 < self._frozen_s <= now_s - self._still_since_s and self._still_looks >= _FROZEN_LOOKS

    def _believe(self, seen: Flaw | None, now_s: float) -> bool:
        if seen is not self._seen:
            self._seen, self._seen_since_s = seen, now_s
        lasts_s = _OVER_S if seen is None else _LASTS_S.get(seen, 0.0)
        if seen is self.flaw or now_s - self._seen_since_s < lasts_s:
            return False
        self.flaw = seen
        return True


def measure(small: NDArray[np.uint8], grey: Grey) -> Measures:
    """Return the measures of a picture (BGR, shape (height, width, 3)) and of the same in grey."""
    mean, deviation = cv2.meanStdDev(grey)
    spread = float(deviation[0, 0])
    edges = float(np.abs(cv2.Laplacian(grey, cv2.CV_16S)).mean())
    blue, green, red = cv2.split(small)
    colour = float(cv2.absdiff(blue, green).mean() + cv2.absdiff(red, green).mean())
    return Measures(float(mean[0, 0]), spread, edges / max(spread, 1.0), colour)
