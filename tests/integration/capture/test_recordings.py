"""Files, folders and the machine's own cameras: what plays without a network."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import cv2
import pytest

from capture.errors import SourceEnded, SourceLost, SourceRefused
from capture.pictures import Encoded, jpeg_size
from capture.sources import webcam
from capture.sources.synthetic import paint
from capture.sources.webcam import Devices
from contract.problems import Code
from contract.settings import Settings
from tests.integration.capture.conftest import Desk, picture, stream
from tests.integration.capture.sources import number, playing
from tests.integration.capture.test_pictures import clip
from tests.servers import eventually


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Twelve frames in 0.6 s."""
    path = tmp_path / "film.ts"
    path.write_bytes(clip(0.6))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures whose names sort by their numbers, and what is no picture."""
    path = tmp_path / "set"
    path.mkdir()
    for each in (1, 2, 10):
        (path / f"img{each}.JPG").write_bytes(picture(each))
    cv2.imwrite(str(path / "img3.png"), paint(3, 320, 180))
    (path / "notes.txt").write_text("of these pictures")
    (path / "img5.jpg").write_bytes(b"no picture")
    return path


def test_a_file_is_played_again_and_again_or_once(settings: Settings, film: Path) -> None:
    with playing(settings, f"file://{film}#fps=max") as pictures:
        assert [number(each) for each in islice(pictures, 20)] == [*range(12), *range(8)]

    with playing(settings, "film.ts#fps=max&loop=false") as pictures:
        assert [number(next(pictures)) for _ in range(12)] == list(range(12))
        with pytest.raises(SourceEnded):
            next(pictures)


@pytest.mark.parametrize(
    ("options", "shortest_ms", "longest_ms"), [("", 400, 3000), ("fps=max", 0, 400), ("fps=5", 1600, 5000)]
)
def test_a_file_keeps_its_own_pace_unless_told_otherwise(
    settings: Settings, film: Path, options: str, shortest_ms: int, longest_ms: int
) -> None:
    with playing(settings, f"{film}#{options}" if options else str(film)) as pictures:
        first, *_, last = islice(pictures, 10)

    assert shortest_ms <= last.captured_ms - first.captured_ms <= longest_ms


@pytest.mark.usefixtures("daemon")
def test_who_watches_a_recording_is_told_that_it_is_over(desk: Desk, film: Path) -> None:
    url = f"file://{film}#loop=false"
    wanted = desk.subscribe("d;1", stream(url))

    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNREACHABLE])
    assert "the recording is over" in desk.problems()[-1].text
    before = desk.frame(wanted.source.cam)
    assert before is not None

    desk.subscribe("d;1", stream(url))
    eventually(lambda: desk.newer_than(before.seq, wanted.source.cam))


def test_a_folder_plays_in_the_order_of_its_names(settings: Settings, folder: Path) -> None:
    with playing(settings, f"file://{folder}/") as pictures:
        got = list(islice(pictures, 5))

    assert [number(each) for each in got] == [1, 2, 3, 10, 1]
    assert isinstance(got[0], Encoded)
    assert got[0].jpeg == (folder / "img1.JPG").read_bytes()
    assert isinstance(got[2], Encoded)
    assert jpeg_size(got[2].jpeg) == (320, 180)


@pytest.mark.usefixtures("folder")
def test_a_folder_is_played_once_where_its_address_says_so(settings: Settings) -> None:
    with playing(settings, "set#loop=false") as pictures:
        assert [number(next(pictures)) for _ in range(4)] == [1, 2, 3, 10]
        with pytest.raises(SourceEnded):
            next(pictures)


def test_a_folder_gives_as_many_pictures_as_are_wanted(settings: Settings, folder: Path) -> None:
    wanted = [10.0]
    with playing(settings, str(folder), wanted_fps=lambda: wanted[0]) as pictures:
        first, *_, last = islice(pictures, 6)
        assert 450 <= last.captured_ms - first.captured_ms <= 3000

        wanted[0] = 0.8
        shown = (each for each in pictures if isinstance(each, Encoded))
        new, again = next(each for each in shown if not each.unchanged), next(shown)
        newer = next(each for each in shown if not each.unchanged)

    # A picture that stays for longer is still one of a camera that lives.
    assert again == Encoded(again.captured_ms, new.jpeg, unchanged=True)
    assert 1100 <= newer.captured_ms - new.captured_ms <= 4000


def test_a_picture_that_leads_out_of_the_allowed_folders_is_left_out(
    settings: Settings, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.jpg"
    secret.write_bytes(picture(99))
    (folder / "img0.jpg").symlink_to(secret)

    with playing(settings, str(folder)) as pictures:
        assert [number(each) for each in islice(pictures, 4)] == [1, 2, 3, 10]


def test_a_folder_without_pictures_is_refused(settings: Settings, tmp_path: Path) -> None:
    with playing(settings, str(tmp_path)) as pictures, pytest.raises(SourceRefused, match="holds no picture"):
        next(pictures)


def test_a_webcam_is_read_only_where_the_operator_allows_it(settings: Settings) -> None:
    with playing(settings, "webcam://0") as pictures, pytest.raises(SourceRefused, match="DETECTOR_WEBCAMS") as caught:
        next(pictures)
    assert caught.value.code == Code.URL_NOT_ALLOWED


def test_a_machine_without_a_webcam_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(webcam.DEVICES, sys.platform, Devices("mpegts", f"{tmp_path}/video{{}}", r"\d{1,2}"))
    allowed = settings.model_copy(update={"webcams": True})

    with playing(allowed, "webcam://0") as pictures, pytest.raises(SourceLost, match="no webcam 0; plug one in"):
        next(pictures)


@pytest.mark.parametrize("name", ["", "front", "../mem", "0/../../mem"])
def test_a_webcam_is_named_by_its_number(settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    allowed = settings.model_copy(update={"webcams": True})

    with playing(allowed, f"webcam://{name}") as pictures, pytest.raises(SourceRefused, match="named like webcam://0"):
        next(pictures)


def test_a_webcam_gives_pictures(settings: Settings, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A film stands in for the device: no machine that runs tests has one.
    film.rename(film.with_name("video0"))
    monkeypatch.setitem(webcam.DEVICES, sys.platform, Devices("mpegts", f"{film.parent}/video{{}}", r"\d{1,2}"))
    allowed = settings.model_copy(update={"webcams": True})

    with playing(allowed, "webcam://0") as pictures:
        got = list(islice(pictures, 3))

    assert [number(each) for each in got] == [0, 1, 2]
    assert abs(time.time() * 1000 - got[0].captured_ms) < 2000
