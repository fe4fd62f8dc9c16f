"""Damage of any kind gives a package or a refusal, soon. `make fuzz` runs many times as many examples."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpta import PackageInvalid, open_package, parse, templates
from mpta.checkpoint import check_checkpoint
from mpta.errors import ModelRefused
from mpta.onnx_file import check_onnx
from mpta.pickles import PickleDamaged, intentions
from tests.unit.mpta.corpus.building import SOUND, Entry, checkpoint, deflated, raw_zip
from tests.unit.mpta.corpus.models import onnx_model, onnx_node, tensor
from tests.unit.mpta.toys import node

fuzz = settings(
    max_examples=2 * settings().max_examples,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ACTIONS: list[dict[str, Any]] = [
    {"type": "redis_save_image", "key": "k:{id}", "expire_seconds": 60, "quality": 80, "format": "png"},
    {"type": "redis_publish", "channel": "c", "message": '{"class":"{class}"}'},
]
ROOT = node(
    "detect",
    report="all",
    tracker="botsort",
    actions=ACTIONS,
    fields={"kind": "{class}"},
    branches=[
        node("detect", crop=True, read="left-to-right", classes=["a"], resize="stretch", minResultConfidence=0.5)
    ],
)
RICH = json.dumps({"pipeline": ROOT, "redis": {"host": "h", "port": 6379, "db": 1, "tls": True}}).encode()
_PACKED = {"method": 8}
KEYS = [
    *ROOT,
    "crop",
    "read",
    "classes",
    "resize",
    "minResultConfidence",
    *ACTIONS[0],
    *ACTIONS[1],
    "pipeline",
    "redis",
    "host",
    "port",
    "?",
]
TEXTS = ("{class}", "{id:{id}}", "", "all")
PACKAGE = raw_zip(
    Entry(name=b"pipeline.json", data=RICH, packed=deflated(RICH), local=_PACKED, central=_PACKED),
    Entry(name=b"tests/one.png", data=b"png"),
    entries=SOUND[1:],
)
ONNX = onnx_model(onnx_node("Conv"), onnx_node("QLinearAdd", "com.microsoft"), tensor((2,), location="w"))
PICKLE = pickle.dumps({"model": [1, 2.5, "text", None, True, (1,)], "epoch": -1}, 2)


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Draw the bytes with some of them changed, left out, put elsewhere or cut off."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        count = draw(st.integers(1, 8))
        match draw(st.sampled_from(("change", "insert", "remove", "copy", "cut"))):
            case "change":
                content[at : at + count] = draw(st.binary(min_size=count, max_size=count))
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "remove":
                del content[at : at + count]
            case "copy":
                start = draw(st.integers(0, max(0, len(content) - 1)))
                content[at:at] = content[start : start + draw(st.integers(1, 200))]
            case "cut":
                del content[len(content) - count :]
    return bytes(content)


@contextmanager
def refused(kind: type[Exception]) -> Iterator[None]:
    """Survive a refusal whose sentence may be shown to anyone."""
    try:
        yield
    except kind as exc:
        told = str(exc)
    else:
        return
    assert told.isprintable()
    assert tempfile.gettempdir() not in told


numbers = st.integers(0, 0xFFFF)
long_numbers = st.sampled_from((0, 1, 5, 99, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)) | st.integers(0, 0xFFFFFFFF)
headers = st.fixed_dictionaries(
    {},
    optional={
        "flags": numbers,
        "method": st.sampled_from((0, 8, 12, 99)),
        "crc": long_numbers,
        "packed": long_numbers,
        "plain": long_numbers,
        "name": st.binary(max_size=12),
        "extra": st.binary(max_size=30),
    },
)
entries = st.builds(
    Entry,
    name=st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
    data=st.binary(max_size=40),
    packed=st.none() | st.binary(max_size=40),
    local=headers,
    central=headers,
)
ends = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("disk", "here", "count", "comment_bytes"), numbers),
        **dict.fromkeys(("directory", "offset"), long_numbers),
        "comment": st.binary(max_size=30),
    },
)
lying_zips = st.builds(lambda more, end: raw_zip(*more, **end), st.lists(entries, max_size=3), ends)


@fuzz
@given(damaged(PACKAGE) | lying_zips)
def test_bytes_of_a_zip_give_a_package_or_a_refusal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.mpta"
    path.write_bytes(content)
    cache = tmp_path / "cache"

    with refused(PackageInvalid):
        assert open_package(path, cache_dir=cache).files["pipeline.json"].is_file()

    assert not list(cache.glob(".*"))


def test_the_package_that_is_damaged_is_sound(tmp_path: Path) -> None:
    (tmp_path / "sound.mpta").write_bytes(PACKAGE)

    assert open_package(tmp_path / "sound.mpta").manifest.root.report == "all"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.floats() | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)
manifests = st.fixed_dictionaries({"pipeline": json_values}, optional={"redis": json_values, "other": json_values})


@fuzz
@given(damaged(RICH) | manifests.map(lambda document: json.dumps(document).encode()))
def test_text_of_a_manifest_gives_one_or_its_faults(text: bytes) -> None:
    found, faults, warnings = parse(text)

    assert (found is None) == bool(faults)
    assert all(line.isprintable() for line in (*faults, *warnings))


@fuzz
@given(damaged(ONNX) | st.binary(max_size=200))
def test_bytes_of_an_onnx_model_are_checked_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.onnx"
    path.write_bytes(content)

    with refused(ModelRefused):
        assert check_onnx(path, {"w": 8}) <= {"w"}


@fuzz
@given(damaged(checkpoint(PICKLE, **{"0": bytes(8)})))
def test_bytes_of_a_checkpoint_are_checked_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.pt"
    path.write_bytes(content)

    with refused(ModelRefused):
        check_checkpoint(path)


#: Instructions of a pickle, whole. BYTEARRAY8 is left out: Python's own unpickler allocates what it claims.
BARE = b"N(012tl)]}aesuRboQ\x81\x85\x86\x87\x88\x8f\x90\x91\x92\x93\x94"
WITH_ARGUMENTS = (
    *(b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"p0\n", b"g0\n", b"r\x01\x00\x00\x00", b"j\x01\x00\x00\x00"),
    *(b"cos\nsystem\n", b"cmod\nname\n", b"ios\nsystem\n", b"\x8c\x02os", b"\x8c\x06system", b"Vsystem\n"),
    *(b"S'os'\n", b"U\x02os", b"X\x02\x00\x00\x00os", b"K\x07", b"Pid\n", b"\x82\x01", b"\x80\x04"),
    b"\x95\x04\x00\x00\x00\x00\x00\x00\x00",
)
instructions = st.sampled_from([*(bytes([code]) for code in BARE), *WITH_ARGUMENTS])


class _Watched(pickle._Unpickler):
    """Python's own unpickler, which notes what it is asked for and hands out something harmless."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.reached: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        self.reached.append(f"{module} {name}")
        return type("Harmless", (), {"__init__": lambda *_: None, "__new__": lambda cls, *_, **__: object.__new__(cls)})

    def get_extension(self, code: int) -> None:
        self.reached.append(f"an extension code {code}")
        raise pickle.UnpicklingError

    def persistent_load(self, asked: object) -> None:
        del asked


@fuzz
@given(st.lists(instructions, max_size=24).map(lambda parts: b"".join(parts) + b"."))
def test_the_walk_finds_every_name_that_unpickling_would_reach_for(pickled: bytes) -> None:
    watched = _Watched(pickled)
    with suppress(Exception):  # A random program may end in anything; what it reached for until then counts.
        watched.load()

    try:
        found = intentions(pickled).globals
    except PickleDamaged:
        return
    assert len(found) >= len(watched.reached)
    for name in watched.reached:
        assert {name, "a name that it computes", "an extension code"} & set(found)


CONTEXT = {"class": 'car "é"\\\n', "confidence": 0.9123, "id": 7, "text": None, "image_key": "k", "big": 1 << 62}
PIECES = (
    *("{class}", "{confidence}", "{id:99}", "{confidence:.99f}", "{id:b}", "{nobody}", "{class.x}", "{class[0]}"),
    *("{class!r}", "{id:{id}}", "{id:>999}", "{big:_>99,.99%}", "{{", "}}", "{", "}", '"', ":", ",", "[", "]"),
    *("\\", "0"),
)
pieces = st.sampled_from(PIECES)


@fuzz
@given(st.lists(pieces | st.text(max_size=3), max_size=20).map("".join))
def test_any_template_renders_to_bounded_text(template: str) -> None:
    known = frozenset(CONTEXT)

    rendered = templates.render(template, CONTEXT)

    assert len(rendered) <= 40 * len(template)
    rendered.encode()
    assert (templates.reaching(template, known) or "") in template
    templates.names(template)
    templates.value(template, CONTEXT)


json_templates = st.dictionaries(
    st.text(max_size=4).filter(lambda key: "{" not in key),
    st.sampled_from(("{class}", "a {class} b", "{confidence}", "{id}", 7, None, ["{class}"], {"in": "{class}"})),
    min_size=1,
    max_size=4,
)


@fuzz
@given(json_templates, st.text(max_size=20), st.booleans())
def test_a_message_that_is_json_stays_json_whatever_a_class_is_called(
    message: dict[str, Any], label: str, spaced: bool
) -> None:
    template = json.dumps(message, indent=1 if spaced else None)

    rendered = json.loads(templates.render(template, {"class": label, "confidence": 0.5, "id": 7}))

    text = json.dumps(message).replace("{class}", "\0").replace("{confidence}", "0.5").replace("{id}", "7")
    assert rendered == json.loads(text.replace("\0", json.dumps(label)[1:-1]))
