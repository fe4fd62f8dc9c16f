"""Pictures of every kind of camera arrive, the newest, at the wanted rate, and untouched where they can be."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from capture.sources.synthetic import number_of, paint
from contract.keys import PipelineId
from contract.leases import SEQ_PER_FENCE
from tests.integration.capture.conftest import Desk, picture, snapshot, stream
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.capture.rtsp_camera import FPS, RtspCamera
from tests.servers import eventually

pytestmark = pytest.mark.usefixtures("daemon")


def test_a_snapshots_bytes_arrive_untouched(desk: Desk, http_camera: HttpCamera, woken: list[PipelineId]) -> None:
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg")))

    frame = eventually(lambda: desk.frame(wanted.source.cam))

    assert frame.jpeg == http_camera.pictures[0]
    assert (frame.width, frame.height) == (320, 180)
    assert abs(time.time() * 1000 - frame.captured_ms) < 2000
    assert eventually(lambda: desk.seen(wanted)) == frame.seq
    assert eventually(lambda: woken)[0] == wanted.pipeline


def test_an_unchanged_snapshot_stays_fresh_and_is_not_news(desk: Desk, http_camera: HttpCamera) -> None:
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg"), 50))
    first = eventually(lambda: desk.frame(wanted.source.cam))
    fetched = http_camera.requests

    desk.redis.pexpire(desk.keys.frame(wanted.source.cam), 2000)
    eventually(lambda: http_camera.requests > fetched + 5)

    again = desk.frame(wanted.source.cam)
    assert again == first
    assert http_camera.connections == 1
    assert desk.seen(wanted) == first.seq
    eventually(lambda: int(str(desk.redis.pttl(desk.keys.frame(wanted.source.cam)))) > 9000)


def test_a_display_that_joins_an_unchanged_snapshot_gets_its_picture(desk: Desk, http_camera: HttpCamera) -> None:
    source = snapshot(http_camera.url("/snapshot.jpg"), 50)
    first = desk.subscribe("d;1", source)
    seq = eventually(lambda: desk.seen(first))

    late = desk.subscribe("d;2", source, crop=(0, 0, 100, 100))
    assert eventually(lambda: desk.seen(late)) > seq

    # The same group as the first: its display has never been told of this picture.
    same = desk.subscribe("e;1", source)
    assert same.group == first.group
    known = desk.seen(late)
    eventually(lambda: desk.seen(same) > known)


def test_a_frames_server_that_lost_an_unchanged_snapshot_gets_it_again(desk: Desk, http_camera: HttpCamera) -> None:
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg"), 50))
    first = eventually(lambda: desk.frame(wanted.source.cam))

    desk.redis.delete(desk.keys.frame(wanted.source.cam))

    again = eventually(lambda: desk.frame(wanted.source.cam))
    assert (again.seq, again.jpeg) == (first.seq, first.jpeg)


@pytest.mark.parametrize("with_lengths", [True, False])
def test_an_mjpeg_cameras_bytes_arrive_untouched(desk: Desk, http_camera: HttpCamera, with_lengths: bool) -> None:
    http_camera.pictures = [picture(number) for number in range(8)]
    http_camera.with_lengths = with_lengths
    wanted = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")))

    first = eventually(lambda: desk.frame(wanted.source.cam))
    later = eventually(lambda: desk.newer_than(first.seq + 3, wanted.source.cam))

    assert first.jpeg in http_camera.pictures
    assert later.jpeg in http_camera.pictures


def test_an_rtsp_camera_gives_its_newest_frame(desk: Desk, rtsp_camera: RtspCamera) -> None:
    wanted = desk.subscribe("d;1", stream(rtsp_camera.url))

    eventually(lambda: desk.frame(wanted.source.cam))
    behind, late_ms = [], []
    for _ in range(20):
        time.sleep(0.05)
        frame = desk.frame(wanted.source.cam)
        assert frame is not None
        assert (frame.width, frame.height) == (640, 360)
        image = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        behind.append((rtsp_camera.sent - number_of(image)) % 100)
        late_ms.append(frame.captured_ms - rtsp_camera.sent_ms[number_of(image)])

    # Published at 10 of 25 frames a second: three frames old at most, and a little for a busy machine.
    assert sorted(behind)[len(behind) // 2] <= 4, behind
    # The timestamp says when it came, and not when the next one let FFmpeg's parser go on.
    assert abs(sorted(late_ms)[len(late_ms) // 2]) < 30, late_ms


def test_frames_are_published_at_the_wanted_rate_and_groups_marked_at_their_own(
    desk: Desk, rtsp_camera: RtspCamera
) -> None:
    fast = desk.subscribe("d;1", stream(rtsp_camera.url), fps=8.0)
    slow = desk.subscribe("d;2", stream(rtsp_camera.url), fps=2.0, crop=(0, 0, 64, 64))
    eventually(lambda: desk.frame(fast.source.cam))

    published, marked = set(), set()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        published.add(desk.seen(fast))
        marked.add(desk.seen(slow))
        time.sleep(0.01)

    assert 8 * 2 - 5 <= len(published) <= 8 * 2 + 2 < FPS * 2
    assert 2 * 2 - 2 <= len(marked) <= 2 * 2 + 2
    assert rtsp_camera.connections == 1


def test_a_picture_is_published_twice_a_second_though_detections_are_wanted_less_often(desk: Desk) -> None:
    wanted = desk.subscribe("d;1", stream("synthetic://320x180@10"), fps=0.1)
    first = eventually(lambda: desk.frame(wanted.source.cam))

    second = eventually(lambda: desk.newer_than(first.seq, wanted.source.cam), within_s=3)

    assert 350 <= second.captured_ms - first.captured_ms <= 800
    assert desk.seen(wanted) == first.seq


def test_two_subscriptions_share_one_connection(desk: Desk, http_camera: HttpCamera) -> None:
    http_camera.pictures = [picture(number) for number in range(8)]
    one = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")))
    other = desk.subscribe("e;1", stream(http_camera.url("/video.mjpeg")), model_url="models/other.mpta")

    eventually(lambda: desk.seen(one) and desk.seen(other))

    assert http_camera.connections == 1


def test_a_changed_wish_takes_effect_without_a_new_connection(desk: Desk, http_camera: HttpCamera) -> None:
    http_camera.pictures = [picture(number) for number in range(8)]
    desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")))
    changed = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")), crop=(0, 0, 50, 50), fps=5.0)

    eventually(lambda: desk.seen(changed))

    assert http_camera.connections == 1


@pytest.mark.parametrize("path", ["/video.mjpeg", "/snapshot.jpg"])
def test_a_camera_that_nobody_wants_is_left_within_a_second(desk: Desk, http_camera: HttpCamera, path: str) -> None:
    source = stream(http_camera.url(path)) if "mjpeg" in path else snapshot(http_camera.url(path))
    wanted = desk.subscribe("d;1", source)
    eventually(lambda: desk.frame(wanted.source.cam))

    desk.unsubscribe("d;1")

    http_camera.wait_until_left(within_s=1.0)
    eventually(lambda: not desk.redis.exists(desk.keys.lease(wanted.source.cam)), within_s=1.0)


def test_an_rtsp_camera_that_nobody_wants_is_left_within_a_second(desk: Desk, rtsp_camera: RtspCamera) -> None:
    wanted = desk.subscribe("d;1", stream(rtsp_camera.url))
    eventually(lambda: desk.frame(wanted.source.cam))

    desk.unsubscribe("d;1")

    eventually(lambda: rtsp_camera.open == 0, within_s=1.0)


def test_all_is_given_back_when_the_daemon_stops(desk: Desk, http_camera: HttpCamera, daemon: threading.Event) -> None:
    wanted = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")))
    eventually(lambda: desk.frame(wanted.source.cam))

    daemon.set()

    http_camera.wait_until_left(within_s=2.0)
    eventually(lambda: not desk.redis.exists(desk.keys.lease(wanted.source.cam)))
    eventually(lambda: desk.redis.zcard(desk.keys.nodes) == 0)


def clip(seconds: float) -> bytes:
    """Return an MPEG-TS recording of a numbered test pattern at 20 frames/s."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as muxer:
        track = muxer.add_stream("mpeg4", rate=20)
        track.width, track.height, track.pix_fmt = 320, 180, "yuv420p"
        for number in range(int(20 * seconds)):
            frame = av.VideoFrame.from_ndarray(paint(number, 320, 180), format="bgr24")
            frame.pts = number
            muxer.mux(track.encode(frame))
        muxer.mux(track.encode())
    return out.getvalue()


@pytest.mark.parametrize("where", ["file", "http"])
def test_a_recording_plays_at_its_own_pace_and_again(
    desk: Desk, http_camera: HttpCamera, tmp_path: Path, where: str
) -> None:
    http_camera.clip = clip(0.8)
    (tmp_path / "clip.ts").write_bytes(http_camera.clip)
    url = "clip.ts" if where == "file" else http_camera.url("/clip.ts")
    wanted = desk.subscribe("d;1", stream(url), fps=60.0)
    first = eventually(lambda: desk.frame(wanted.source.cam))

    later = eventually(lambda: desk.newer_than(first.seq + 20, wanted.source.cam), every_s=0.002)

    # One frame each 50 ms, and the pause between the end and the beginning.
    assert 800 <= later.captured_ms - first.captured_ms <= 2500


def test_a_lease_that_was_lost_and_taken_again_costs_no_connection(desk: Desk, http_camera: HttpCamera) -> None:
    http_camera.pictures = [picture(number) for number in range(8)]
    wanted = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")))
    first = eventually(lambda: desk.frame(wanted.source.cam))

    desk.redis.delete(desk.keys.lease(wanted.source.cam))

    eventually(lambda: desk.newer_than(first.seq + SEQ_PER_FENCE // 2, wanted.source.cam))
    assert http_camera.connections == 1


def test_a_camera_that_says_whether_its_picture_has_changed_is_asked_for_that_alone(
    desk: Desk, http_camera: HttpCamera
) -> None:
    http_camera.tagged = True
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg"), 50))
    first = eventually(lambda: desk.frame(wanted.source.cam))

    desk.redis.pexpire(desk.keys.frame(wanted.source.cam), 2000)
    eventually(lambda: http_camera.unmodified > 5)

    assert desk.frame(wanted.source.cam) == first
    assert desk.seen(wanted) == first.seq
    eventually(lambda: int(str(desk.redis.pttl(desk.keys.frame(wanted.source.cam)))) > 9000)
    http_camera.pictures = [picture(2)]
    later = eventually(lambda: desk.newer_than(first.seq, wanted.source.cam))
    assert later.jpeg == http_camera.pictures[0]
    eventually(lambda: desk.seen(wanted) == later.seq)
