"""Text templates of actions and fields: `{name}` and `{name:spec}`, nothing else.

A template comes from a stranger. `str.format` would give it attributes, indices and unbounded widths
(`{a.__class__}`, `{x:>999999999}`), so only `string.Formatter.parse` is used, and it only splits.
"""

from __future__ import annotations

import functools
import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace

#: Names that a field may use: what the node itself saw.
NODE_NAMES = frozenset(("class", "confidence", "id", "text", "x1", "y1", "x2", "y2"))
#: Names that an action may use beside the fields of its package. Some are filled in outside `mpta`.
CONTEXT_NAMES = NODE_NAMES.union(
    ("timestamp_ms", "timestamp", "uuid", "image_key", "subscription", "display", "display_id"),
    ("camera", "camera_id", "session_id", "model_id", "model_name"),
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: At most two digits of width and of precision: a stranger's spec cannot ask for a gigabyte.
_SPEC = re.compile(r"(?:[ 0*_.-]?[<>^=])?[+ -]?#?0?\d{0,2}[,_]?(?:\.\d{1,2})?[bcdeEfFgGnosxX%]?")
_PLACEHOLDER = re.compile(rf"\{{({_NAME.pattern})(?::({_SPEC.pattern}))?\}}")
#: What `str.format` would follow into an object, take from another placeholder, or pad to kilobytes and more.
_REACHING = re.compile(
    rf"\{{({_NAME.pattern})(?:[.\[][^{{}}]*|(?:![^{{}}:]*)?:[^{{}}]*(?:\d{{3}}|\{{[^{{}}]*\}})[^{{}}]*)\}}"
)
_CONVERTING = re.compile(rf"\{{({_NAME.pattern})![^{{}}]*\}}")


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """One value to fill in; `quoted` where it stands inside a string of a template that is JSON."""

    name: str
    spec: str
    quoted: bool = False


def render(template: str, context: Mapping[str, object]) -> str:
    """Return the text with its placeholders filled in; a missing or None value becomes `null`.

    A template that is a valid format string over known names is read as one (`{{` gives `{`). In any other every
    placeholder is replaced and all other braces stand, so JSON can be written as JSON. Inside a string of such JSON a
    value is escaped as JSON wants it: no class name can break the message, or add a key to it.
    """
    parts = _split(template, frozenset(context))
    return "".join(part if isinstance(part, str) else _filled(part, context.get(part.name)) for part in parts)


def value(template: str, context: Mapping[str, object]) -> str | float | int | bool | None:
    """Return what a field holds: the value itself where the template is exactly one placeholder, else the text."""
    parts = _split(template, frozenset(context))
    if len(parts) != 1 or isinstance(parts[0], str):
        return render(template, context)
    found = context.get(parts[0].name)
    if not isinstance(found, str | float | int | bool):
        return None
    if not parts[0].spec:
        return found
    text = _text(found, parts[0].spec)
    try:
        return type(found)(text) if isinstance(found, float | int) and not isinstance(found, bool) else text
    except ValueError:  # `{confidence:.0%}` is asked for as text.
        return text


def names(template: str) -> frozenset[str]:
    """Return the names that the template's placeholders use, known or not."""
    found = frozenset(match[1] for match in _PLACEHOLDER.finditer(template))
    as_format = _as_format(template)
    return found if as_format is None else frozenset(p.name for p in as_format if isinstance(p, _Placeholder))


def reaching(template: str, known_names: frozenset[str]) -> str | None:
    """Return the first placeholder of a known name that reaches beyond its value, such as `{class.__init__}`."""
    return _first(_REACHING, template, known_names)


def converting(template: str, known_names: frozenset[str]) -> str | None:
    """Return the first placeholder of a known name with a conversion, such as `{class!r}`; it stands as it is."""
    return _first(_CONVERTING, template, known_names)


def _first(pattern: re.Pattern[str], template: str, known_names: frozenset[str]) -> str | None:
    if _as_format(template) is not None:  # Harmless as a whole; what looks like a placeholder is escaped.
        return None
    return next((match[0] for match in pattern.finditer(template) if match[1] in known_names), None)


@functools.lru_cache(maxsize=4096)
def _split(template: str, names: frozenset[str]) -> tuple[str | _Placeholder, ...]:
    """Return the template as literal text and placeholders, parsed once per set of names."""
    parts = _as_format(template)
    known = names | CONTEXT_NAMES
    if parts is None or not all(isinstance(part, str) or part.name in known for part in parts):
        parts = _as_text(template)
    return _quoted(parts) if _is_json(parts) else parts


def _is_json(parts: tuple[str | _Placeholder, ...]) -> bool:
    """Return whether the text is JSON once its placeholders hold a digit, which fits inside a string and outside."""
    try:
        json.loads("".join(part if isinstance(part, str) else "0" for part in parts))
    except (ValueError, RecursionError):
        return False
    return True


def _quoted(parts: tuple[str | _Placeholder, ...]) -> tuple[str | _Placeholder, ...]:
    """Mark the placeholders that stand inside a string. Only for parts that are JSON."""
    found: list[str | _Placeholder] = []
    inside = False
    for part in parts:
        if isinstance(part, str):
            found.append(part)
            inside ^= _quotes(part) % 2 == 1
        else:
            found.append(replace(part, quoted=inside))
    return tuple(found)


def _quotes(text: str) -> int:
    """Return how many quotation marks begin or end a string of JSON: those without a backslash before them."""
    return sum(match == '"' for match in re.findall(r'\\.|"', text))


def _as_format(template: str) -> tuple[str | _Placeholder, ...] | None:
    """Return the parts of a valid, harmless format string, or None for any other text."""
    parts: list[str | _Placeholder] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(template):
            if literal:
                parts.append(literal)
            if name is None:
                continue
            if conversion or not _NAME.fullmatch(name) or not _SPEC.fullmatch(spec or ""):
                return None
            parts.append(_Placeholder(name, spec or ""))
    except ValueError:  # A brace without its partner.
        return None
    return tuple(parts)


def _as_text(template: str) -> tuple[str | _Placeholder, ...]:
    parts: list[str | _Placeholder] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        parts += [template[end : match.start()], _Placeholder(match[1], match[2] or "")]
        end = match.end()
    return tuple(part for part in (*parts, template[end:]) if part != "")


def _filled(part: _Placeholder, found: object) -> str:
    # A model can name a class by half a surrogate pair, which no message can carry.
    text = _text(found, part.spec).encode(errors="replace").decode()
    return json.dumps(text, ensure_ascii=False)[1:-1] if part.quoted else text


def _text(found: object, spec: str) -> str:
    """Return one value as text. A spec that does not fit the value is ignored: an action must not fail on it."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str | float | int):
        return "null"
    try:
        return format(found, spec)
    except (ValueError, OverflowError):
        return str(found)
