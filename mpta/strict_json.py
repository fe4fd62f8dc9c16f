"""JSON of a stranger, bounded: what is not JSON is told with its place, a key that is given twice is remembered."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from mpta.errors import shown

MAX_JSON_BYTES = 1 << 20


class Object(dict[str, Any]):
    """A JSON object; `twice` are the keys that its text gives more than once. The last one counts, as for Python."""

    twice: tuple[str, ...] = ()


class JsonInvalid(ValueError):
    """The text is not the JSON of an object; `str()` ends a sentence that begins with the name of its file."""


def decode(text: bytes) -> Object:
    """Return the object that the text holds.

    Raises:
        JsonInvalid: it does not.
    """
    if len(text) > MAX_JSON_BYTES:
        raise JsonInvalid(f"is larger than {MAX_JSON_BYTES} bytes")
    try:
        document = json.loads(
            text.decode("utf-8-sig"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short,
            object_pairs_hook=_object,
        )
        json.dumps(document, ensure_ascii=False).encode()  # Half a surrogate pair would break every message it is in.
    except UnicodeError as exc:
        raise JsonInvalid("is not UTF-8 text") from exc
    except json.JSONDecodeError as exc:
        raise JsonInvalid(f"is not valid JSON: line {exc.lineno} column {exc.colno}: {exc.msg}") from exc
    except RecursionError as exc:
        raise JsonInvalid("is nested too deeply") from exc
    if not isinstance(document, Object):
        raise JsonInvalid("must hold an object at its top")
    return document


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = Object(pairs)
    if len(found) < len(pairs):
        found.twice = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return found


def _no_constant(name: str) -> None:
    raise JsonInvalid(f"is not valid JSON: {name} is not a JSON number")


def _finite(digits: str) -> float:
    found = float(digits)
    if math.isinf(found):
        raise JsonInvalid(f"is not valid JSON: {shown(digits, 40)} is larger than any number")
    return found


def _short(digits: str) -> int:
    if len(digits) > 400:
        raise JsonInvalid(f"is not valid JSON: a number has {len(digits)} digits")
    return int(digits)
