"""A multipart body is cut into its parts, however it is spelled and wherever it is torn."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sources.mjpeg import Multipart

PARTS = [b"\xff\xd8one\xff\xd9", b"\xff\xd8two\r\n\r\n--not-it\xff\xd9", b"\xff\xd8three\xff\xd9"]


def body(*, lengths: bool, newline: bytes = b"\r\n") -> bytes:
    cut = b""
    for part in PARTS:
        length = b"Content-Length: %d" % len(part) + newline if lengths else b""
        cut += b"--cut" + newline + b"Content-Type: image/jpeg" + newline + length + newline + part + newline
    return cut + b"--cut--" + newline


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("boundary", [b"cut", b"--cut", b'"cut"'])
def test_parts_come_out_whole(lengths: bool, newline: bytes, boundary: bytes) -> None:
    assert list(Multipart(boundary).feed(body(lengths=lengths, newline=newline))) == PARTS


@given(tears=st.lists(st.integers(0, 200)), lengths=st.booleans())
def test_it_does_not_matter_where_the_body_is_torn(tears: list[int], lengths: bool) -> None:
    whole, multipart = body(lengths=lengths), Multipart(b"cut")
    edges = [0, *sorted(tears), len(whole)]

    parts = [part for begin, end in itertools.pairwise(edges) for part in multipart.feed(whole[begin:end])]

    assert parts == PARTS
