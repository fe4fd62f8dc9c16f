"""Options of an address, behind its last `#`: `rtsp://camera/live#transport=udp`, `clip.mp4#fps=5&loop=false`.

They are ours: no camera sees them. A `#` that belongs to the name of a file is written `%23` in a `file://` URL.
"""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError

from capture.errors import SourceRefused
from contract.problems import Code

_OPTIONS = re.compile(r"#(\w+=[\w.-]*(?:&\w+=[\w.-]*)*)\Z")


class Options(BaseModel):
    """What the addresses of one kind of source may say; each field is an option."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_O = TypeVar("_O", bound=Options)


def split_options(url: str, model: type[_O]) -> tuple[str, _O]:
    """Return (`url` without its options, the options).

    Raises:
        SourceRefused: there is no such option, or not with this value.
    """
    match = _OPTIONS.search(url)
    try:
        given = model.model_validate(dict(parse_qsl(match[1], keep_blank_values=True)) if match else {})
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False)[0]
        known = ", ".join(f"{name} ({field.description})" for name, field in model.model_fields.items())
        text = f"option {fault['loc'][0]} of the address: {fault['msg'][:1].lower()}{fault['msg'][1:]}; known: {known}"
        raise SourceRefused(Code.CAMERA_UNSUPPORTED, text) from exc
    return url[: match.start()] if match else url, given
