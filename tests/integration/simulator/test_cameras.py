"""The cameras as clients meet them: PyAV over RTSP, httpx, and a process that gets a signal."""

from __future__ import annotations

import io
import itertools
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import httpx
import numpy as np
import pytest

from simulator.cameras import Cameras
from simulator.marks import Image
from simulator.scene import Scene

ROOT = Path(__file__).parents[3]
#: Without the last one FFmpeg looks at twenty frames, two seconds, before it hands out the first.
OPTIONS = {"rtsp_transport": "tcp", "fpsprobesize": "0"}


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    with Cameras(truth_dir=tmp_path_factory.mktemp("truth")) as served:
        yield served


def watch(url: str, frames: int) -> list[av.VideoFrame]:
    with av.open(url, "r", options=OPTIONS, timeout=(10, 5)) as container:
        return [frame for frame, _ in zip(container.decode(video=0), range(frames), strict=False)]


def picture(content: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def difference(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_a_client_reads_h264_over_tcp_and_the_frames_show_the_truth(cameras: Cameras) -> None:
    frames = watch(cameras.urls["cam1"], 12)

    image = np.asarray(frames[-1].to_ndarray(format="bgr24"), np.uint8)
    feed, newest = cameras.feeds["cam1"], cameras.feeds["cam1"].truth.at()
    assert newest is not None
    scene = Scene(feed.seed)
    # The client may be some frames behind the newest; exactly one moment must look like what it got.
    moments = range(newest["frame"] - 20, newest["frame"] + 1)
    best = min(moments, key=lambda n: difference(scene.at(n / feed.fps)[0], image))
    assert image.shape == (540, 960, 3)
    assert difference(scene.at(best / feed.fps)[0], image) < 6
    steps = {b.pts - a.pts for a, b in itertools.pairwise(frames) if a.pts and b.pts}
    assert steps == {90_000 // feed.fps}


def test_two_clients_share_one_encode(cameras: Cameras) -> None:
    feed = cameras.feeds["cam2"]
    with av.open(cameras.urls["cam2"], "r", options=OPTIONS, timeout=(10, 5)) as first:
        stream = first.decode(video=0)
        next(stream)
        begins, since = feed.encoded, time.monotonic()

        watch(cameras.urls["cam2"], 10)

        # Two encodes would count twice the frames of the time.
        assert feed.encoded - begins <= (time.monotonic() - since) * feed.fps + 2
        next(stream)


def test_nothing_is_rendered_when_nobody_watches(cameras: Cameras) -> None:
    watch(cameras.urls["cam2"], 2)
    feed = cameras.feeds["cam2"]
    deadline = time.monotonic() + 5
    while feed.watched and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not feed.watched
    before = feed.encoded

    watch(cameras.urls["cam1"], 5)

    assert feed.encoded <= before + 1


def test_a_late_client_starts_with_a_key_frame_at_once(cameras: Cameras) -> None:
    with av.open(cameras.urls["cam1"], "r", options=OPTIONS, timeout=(10, 5)) as first:
        next(first.decode(video=0))
        with av.open(cameras.urls["cam1"], "r", options=OPTIONS, timeout=(10, 5)) as second:
            packet = next(second.demux(video=0))

    assert packet.is_keyframe


def test_an_unknown_path_is_not_found(cameras: Cameras) -> None:
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(f"rtsp://127.0.0.1:{cameras.rtsp_port}/nowhere", 1)

    assert httpx.get(f"{cameras.http_url}/nowhere.jpg").status_code == 404
    assert httpx.get(f"{cameras.http_url}/truth/nowhere").status_code == 404


def ask(client: socket.socket, text: str) -> str:
    client.sendall(text.replace("\n", "\r\n").encode())
    return client.recv(65_536).decode("latin-1")


def test_sessions_are_checked_and_udp_is_refused(cameras: Cameras) -> None:
    url = cameras.urls["cam1"]
    with socket.create_connection(("127.0.0.1", cameras.rtsp_port), timeout=5) as client:
        assert "GET_PARAMETER" in ask(client, f"OPTIONS {url} RTSP/1.0\nCSeq: 1\n\n")
        assert " 461 " in ask(client, f"SETUP {url} RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP;unicast\n\n")
        assert " 454 " in ask(client, f"PLAY {url} RTSP/1.0\nCSeq: 3\nSession: stolen\n\n")
        answer = ask(client, f"SETUP {url} RTSP/1.0\nCSeq: 4\nTransport: RTP/AVP/TCP;interleaved=2-3\n\n")
        session = answer.split("Session: ")[1].split(";")[0]
        assert "interleaved=2-3" in answer
        assert " 200 " in ask(client, f"GET_PARAMETER {url} RTSP/1.0\nCSeq: 5\nSession: {session}\n\n")
        assert " 501 " in ask(client, f"RECORD {url} RTSP/1.0\nCSeq: 6\nSession: {session}\n\n")
        assert " 200 " in ask(client, f"TEARDOWN {url} RTSP/1.0\nCSeq: 7\nSession: {session}\n\n")
        assert client.recv(1) == b""


def test_a_snapshot_shows_the_frame_that_its_headers_name(cameras: Cameras) -> None:
    response = httpx.get(cameras.urls["cam3"])

    feed = cameras.feeds["cam3"]
    number = int(response.headers["X-Frame-Number"])
    expected, truth = Scene(feed.seed).at(number / feed.fps)
    record = httpx.get(f"{cameras.http_url}/truth/cam3", params={"at_ms": response.headers["X-Frame-Ms"]}).json()
    assert response.headers["Content-Type"] == "image/jpeg"
    assert difference(picture(response.content), expected) < 6
    assert record["frame"] == number
    assert [v["plate"] for v in record["vehicles"]] == [v.plate for v in truth]


def test_motion_jpeg_is_a_stream_of_whole_pictures_at_the_camera_s_pace(cameras: Cameras) -> None:
    received, since = io.BytesIO(), time.monotonic()
    with httpx.stream("GET", cameras.urls["cam4"]) as response:
        assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        for chunk in response.iter_bytes():
            received.write(chunk)
            if received.getvalue().count(b"--frame") > 5:
                break

    parts = received.getvalue().split(b"--frame\r\n")[1:6]
    assert [picture(part.split(b"\r\n\r\n", 1)[1]).shape for part in parts] == [(540, 960, 3)] * 5
    assert time.monotonic() - since > 4 / cameras.feeds["cam4"].fps


def test_the_truth_is_written_as_json_lines(cameras: Cameras) -> None:
    httpx.get(cameras.urls["cam3"])

    record = cameras.feeds["cam3"].truth.at()
    files = cameras.feeds["cam3"].truth.file
    assert record is not None
    assert files is not None
    assert f'"frame":{record["frame"]},' in files.read_text()


def test_a_bad_time_is_a_bad_request(cameras: Cameras) -> None:
    assert httpx.get(f"{cameras.http_url}/truth/cam1", params={"at_ms": "soon"}).status_code == 400


def test_the_page_lists_every_camera(cameras: Cameras) -> None:
    page = httpx.get(cameras.http_url).text

    assert all(url in page for url in cameras.urls.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_within_two_seconds_even_with_a_client(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "simulator", "--rtsp-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(4)]
        with av.open(lines[0][2], "r", options=OPTIONS, timeout=(10, 5)) as client:
            next(client.decode(video=0))

            since = time.monotonic()
            process.send_signal(number)
            code = process.wait(timeout=10)

    assert [line[:2] for line in lines] == [["cam1", "rtsp"], ["cam2", "rtsp"], ["cam3", "snapshot"], ["cam4", "mjpeg"]]
    assert code == 0
    assert time.monotonic() - since < 2


def test_a_taken_port_is_one_sentence_and_exit_code_1(cameras: Cameras) -> None:
    command = [sys.executable, "-m", "simulator", "--rtsp-port", str(cameras.rtsp_port), "--http-port", "0"]

    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=20, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("cameras: cannot listen")
    assert len(done.stderr.splitlines()) == 1
