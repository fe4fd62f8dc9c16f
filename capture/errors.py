"""What may go wrong with a camera: one error per reaction, each with the code that a CMS is told."""

from __future__ import annotations

from contract.errors import DetectorError, UrlRefused
from contract.problems import Code


class SourceFailed(DetectorError):
    """A camera gives no pictures now. `code` is for the CMS; the text is a sentence without addresses or secrets."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class SourceLost(SourceFailed):
    """The network, the camera or the decoder failed; calling again may work."""


class SourceRefused(SourceFailed):
    """The camera said no, or we cannot read what it sends: a person must act, so it is asked again but seldom."""


class SinglePicture(SourceRefused):
    """What should be a stream is one picture: it must be asked for again and again."""

    def __init__(self) -> None:
        super().__init__(Code.CAMERA_UNSUPPORTED, "the URL gives a single picture; subscribe to it as snapshotUrl")


class SourceEnded(SourceFailed):
    """A recording that is to be played once is over; it is played again when somebody wants it anew."""

    def __init__(self) -> None:
        super().__init__(
            Code.CAMERA_UNREACHABLE, "the recording is over, and was to be played once; subscribe again to repeat it"
        )


def lost(played: bool, text: str) -> SourceLost:
    """Return the error of a camera that stays silent: it stalled when it had `played`, else it was never reached."""
    return SourceLost(Code.CAMERA_STALLED if played else Code.CAMERA_UNREACHABLE, text)


def unauthorized(status: int) -> SourceRefused:
    """Return the error of a camera that wants other credentials (HTTP or RTSP status 401 or 403)."""
    return SourceRefused(
        Code.CAMERA_UNAUTHORIZED,
        f"the camera refuses the user name or password ({status}); correct them in the URL and subscribe again",
    )


def not_allowed(refused: UrlRefused) -> SourceRefused:
    """Return the error of a camera whose host, or where that leads, the operator does not allow."""
    return SourceRefused(Code.URL_NOT_ALLOWED, str(refused))
