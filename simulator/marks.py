"""What identifies a vehicle: brand badges, number plates and paint, as small pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Bgr = tuple[int, int, int]

#: Invented makes. Each has a badge of its own shape and colour, and a grille of its own pattern.
BRANDS = ("Arkona", "Brontis", "Kestro", "Molvane", "Sundra", "Veltro")

PAINTS: dict[str, Bgr] = {
    "white": (232, 234, 236),
    "silver": (176, 178, 180),
    "grey": (98, 102, 106),
    "black": (40, 38, 38),
    "red": (44, 40, 178),
    "blue": (168, 92, 36),
    "green": (74, 112, 42),
    "yellow": (48, 186, 232),
    "orange": (38, 116, 230),
    "beige": (168, 196, 210),
}

#: Letters and digits of a plate; I, O and Q are left out because they read as 1 and 0.
PLATE_CHARACTERS = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"

#: Metres; wider than a European plate, so that a 960 pixel picture holds it.
PLATE_SIZE_M = (0.76, 0.215)
BADGE_SIZE_M = 0.36

_BADGE_PX = 96
_PLATE_PX = (304, 86)
_WHITE, _BLACK, _CHROME = (250, 250, 250), (18, 18, 18), (205, 208, 212)


def random_plate(random: np.random.Generator) -> str:
    """Return six or seven characters of `PLATE_CHARACTERS`."""
    length = int(random.integers(6, 8))
    return "".join(PLATE_CHARACTERS[i] for i in random.integers(0, len(PLATE_CHARACTERS), length))


@functools.lru_cache(maxsize=256)
def plate_picture(text: str) -> tuple[Image, tuple[tuple[float, float, float, float], ...]]:
    """Return a plate (86, 304, 3) BGR and each character's box as fractions x1 y1 x2 y2 of it."""
    width, height = _PLATE_PX
    yellow = sum(map(ord, text)) % 3 == 0
    plate = np.full((height, width, 3), (92, 214, 244) if yellow else (240, 240, 238), np.uint8)
    cv2.rectangle(plate, (0, 0), (width - 1, height - 1), (30, 30, 30), 4)
    cell = (width - 24) / 7
    left = (width - cell * len(text)) / 2
    boxes = []
    for i, character in enumerate(text):
        glyph, (gw, gh) = _glyph(character)
        x, y = round(left + cell * (i + 0.5) - gw / 2), round((height - gh) / 2)
        area = plate[y : y + gh, x : x + gw]
        np.minimum(area, glyph[..., None], out=area)
        boxes.append((x / width, y / height, (x + gw) / width, (y + gh) / height))
    return plate, tuple(boxes)


@functools.cache
def _glyph(character: str) -> tuple[Image, tuple[int, int]]:
    """Return one character, dark on white, (58, w) grey, tight on its ink."""
    big = np.full((240, 240), 255, np.uint8)
    cv2.putText(big, character, (40, 190), cv2.FONT_HERSHEY_SIMPLEX, 5.0, (20,), 17, cv2.LINE_AA)
    rows, columns = np.nonzero(big < 128)
    ink = big[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    width = 16 if character == "1" else 33
    return cv2.resize(ink, (width, 58), interpolation=cv2.INTER_AREA).astype(np.uint8), (width, 58)


@functools.cache
def badge(brand: str) -> tuple[Image, Image]:
    """Return a brand's badge (96, 96, 3) BGR and its mask (96, 96), 255 where the badge is."""
    picture = np.zeros((_BADGE_PX, _BADGE_PX, 3), np.uint8)
    mask = np.zeros((_BADGE_PX, _BADGE_PX), np.uint8)
    _DRAW[brand](picture, mask)
    return picture, mask


def _fill(picture: Image, points: list[tuple[int, int]], colour: Bgr) -> None:
    cv2.fillPoly(picture, [np.array(points, np.int32)], colour, cv2.LINE_AA)


def _plaque(picture: Image, mask: Image, outline: list[tuple[int, int]], colour: Bgr) -> None:
    """Draw a chrome-rimmed plaque of this outline."""
    polygon = np.array(outline, np.int32)
    cv2.fillPoly(mask, [polygon], (255,))
    cv2.fillPoly(picture, [polygon], _CHROME)
    inner = ((polygon - 48) * 0.86 + 48).astype(np.int32)
    cv2.fillPoly(picture, [inner], colour, cv2.LINE_AA)


def _circle(radius: int) -> list[tuple[int, int]]:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return [(round(48 + radius * float(np.cos(a))), round(48 + radius * float(np.sin(a)))) for a in angles]


def _arkona(picture: Image, mask: Image) -> None:
    _plaque(picture, mask, _circle(46), (30, 24, 200))
    _fill(picture, [(48, 16), (76, 74), (60, 74), (48, 46), (36, 74), (20, 74)], _WHITE)


def _brontis(picture: Image, mask: Image) -> None:
    _plaque(picture, mask, [(4, 4), (92, 4), (92, 52), (48, 94), (4, 52)], (190, 74, 10))
    _fill(picture, [(40, 14), (56, 14), (56, 78), (40, 78)], _WHITE)
    _fill(picture, [(16, 26), (80, 26), (80, 42), (16, 42)], _WHITE)


def _kestro(picture: Image, mask: Image) -> None:
    _plaque(picture, mask, [(48, 1), (95, 48), (48, 95), (1, 48)], (10, 205, 250))
    _fill(picture, [(22, 48), (44, 26), (54, 34), (40, 48), (54, 62), (44, 70)], _BLACK)
    _fill(picture, [(46, 48), (66, 28), (76, 38), (66, 48), (76, 58), (66, 68)], _BLACK)


def _molvane(picture: Image, mask: Image) -> None:
    _plaque(picture, mask, [(24, 4), (72, 4), (95, 48), (72, 92), (24, 92), (1, 48)], (60, 130, 20))
    _fill(picture, [(18, 72), (26, 24), (48, 50), (70, 24), (78, 72), (64, 72), (62, 48), (48, 66), (34, 48)], _WHITE)


def _sundra(picture: Image, mask: Image) -> None:
    _plaque(picture, mask, [(2, 18), (94, 18), (94, 78), (2, 78)], _BLACK)
    cv2.ellipse(picture, (48, 72), (22, 22), 0, 180, 360, (20, 140, 255), -1, cv2.LINE_AA)
    for x1, y1, x2, y2 in ((48, 46, 48, 26), (28, 52, 14, 34), (68, 52, 82, 34), (24, 66, 8, 58), (72, 66, 88, 58)):
        cv2.line(picture, (x1, y1), (x2, y2), (20, 140, 255), 7, cv2.LINE_AA)


def _veltro(picture: Image, mask: Image) -> None:
    cv2.circle(mask, (48, 48), 46, (255,), -1)
    cv2.circle(picture, (48, 48), 46, (150, 40, 110), -1)
    cv2.circle(picture, (48, 48), 39, _CHROME, 9, cv2.LINE_AA)
    _fill(picture, [(16, 22), (34, 22), (48, 58), (62, 22), (80, 22), (56, 82), (40, 82)], _WHITE)


_DRAW: dict[str, Callable[[Image, Image], None]] = {
    "Arkona": _arkona,
    "Brontis": _brontis,
    "Kestro": _kestro,
    "Molvane": _molvane,
    "Sundra": _sundra,
    "Veltro": _veltro,
}
