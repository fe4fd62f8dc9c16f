"""What a camera's link does to a picture: H.264 and JPEG round trips."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def through_jpeg(image: Image, quality: int) -> Image:
    """Return the image (H, W, 3) BGR after JPEG of this quality, 1 to 100."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def through_h264(images: Sequence[Image], crf: int) -> Image:
    """Return the last of consecutive images (H, W, 3) BGR after H.264 with the settings of a live camera.

    Args:
        images: consecutive frames; the first is a key frame, the others are predicted from it.
        crf: x264's constant rate factor: 18 looks perfect, 35 is a poor link.
    """
    file = io.BytesIO()
    height, width = images[0].shape[:2]
    with av.open(file, "w", format="mp4") as sink:
        stream = sink.add_stream(
            "libx264", rate=10, options={"crf": str(crf), "preset": "ultrafast", "tune": "zerolatency"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in images:
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        sink.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as source:
        source.streams.video[0].codec_context.thread_count = 1
        last = list(source.decode(video=0))[-1]
    return np.asarray(last.to_ndarray(format="bgr24"), np.uint8)


def as_camera_sends(images: Sequence[Image], random: np.random.Generator) -> Image:
    """Return the last image as a worker gets it: a live link (half the time), then the JPEG that capture stores."""
    image = images[-1]
    if random.random() < 0.5:
        image = through_h264(images, int(random.integers(20, 31)))
    else:
        image = through_jpeg(image, int(random.integers(70, 93)))
    return through_jpeg(image, int(random.integers(80, 96)))
