"""How large a JPEG or PNG picture is, from its header: a stranger's file of a few KB can decode to gigabytes."""

from __future__ import annotations

#: Larger than any camera's picture; 150 MB decoded.
MAX_PIXELS = 50_000_000

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_JPEG = b"\xff\xd8"
#: Start-of-frame markers: all of C0..CF but DHT (C4), JPG (C8) and DAC (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, RST0..RST7, SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def picture_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels, or None: not such a picture, or its size is not within these first bytes."""
    if head.startswith(_PNG):
        return _number(head, 16, 4), _number(head, 20, 4)
    return _jpeg_size(head) if head.startswith(_JPEG) else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = len(_JPEG)
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _SOF:
            return _number(head, at + 7, 2), _number(head, at + 5, 2)
        if marker == 0xFF:  # Fill bytes may stand before any marker.
            at += 1
        else:
            at += 2 if marker in _BARE else 2 + _number(head, at + 2, 2)
    return None


def _number(head: bytes, at: int, length: int) -> int:
    return int.from_bytes(head[at : at + length], "big")
