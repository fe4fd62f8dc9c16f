"""What follows from failures in a row."""

from __future__ import annotations

from capture.attempts import Attempts
from capture.errors import SourceEnded, SourceLost, SourceRefused
from capture.pacing import LONGEST_WAIT_S
from contract.problems import Code

GONE = SourceLost(Code.CAMERA_UNREACHABLE, "nobody there")
SILENT = SourceLost(Code.CAMERA_STALLED, "silent")
REFUSED = SourceRefused(Code.CAMERA_UNAUTHORIZED, "wrong password")


def test_a_camera_is_given_up_after_the_last_retry() -> None:
    attempts = Attempts(0.5, max_retries=2)

    waits = [attempts.failed(GONE) for _ in range(3)]

    assert None not in waits[:2]
    assert waits[2] is None


def test_a_picture_and_a_new_wish_begin_the_count_anew() -> None:
    attempts = Attempts(0.5, max_retries=1)
    attempts.failed(GONE)
    attempts.played()
    assert attempts.failed(GONE) is not None

    attempts.forget()

    assert attempts.failed(GONE) is not None


def test_who_refuses_is_asked_seldom_from_the_first_time_on() -> None:
    assert Attempts(0.5, max_retries=-1).failed(REFUSED) == LONGEST_WAIT_S


def test_only_a_running_camera_may_be_away_for_a_moment() -> None:
    attempts = Attempts(0.5, max_retries=-1)
    attempts.failed(GONE)
    first = attempts.trouble(GONE)
    attempts.played()
    attempts.failed(GONE)

    assert first is not None
    assert attempts.trouble(GONE) is None


def test_silence_and_refusal_are_told_at_once() -> None:
    attempts = Attempts(0.5, max_retries=-1)
    attempts.played()

    for failure in (SILENT, REFUSED):
        attempts.failed(failure)
        trouble = attempts.trouble(failure)
        assert trouble is not None
        assert trouble.code is failure.code


def test_a_new_reader_goes_on_with_the_waits_of_the_former() -> None:
    attempts = Attempts(0.5, max_retries=-1)
    attempts.resume(20)

    wait_s = attempts.failed(GONE)

    assert wait_s is not None
    assert wait_s >= LONGEST_WAIT_S / 2


def test_a_camera_that_is_given_up_at_once_is_told_of() -> None:
    attempts = Attempts(0.5, max_retries=0)
    attempts.played()

    assert attempts.failed(GONE) is None
    assert attempts.trouble(GONE) is not None


def test_a_recording_that_is_over_is_not_tried_again() -> None:
    attempts = Attempts(0.5, max_retries=-1)
    attempts.played()

    assert attempts.failed(SourceEnded()) is None
    assert attempts.trouble(SourceEnded()) is not None
