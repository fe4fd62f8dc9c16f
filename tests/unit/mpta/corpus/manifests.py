"""Bad `pipeline.json`s in packages that are sound otherwise."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.mpta.corpus.building import Build, Refusals, manifest_of, package
from tests.unit.mpta.toys import node

_REDIS = {"host": "localhost", "port": 6379}
_OBJECTS = b'{"pipeline": [' + b"{}," * 300_000 + b"{}]}"
_MADE_OF = "give the .pt or .onnx that it was made of"
_PLACEHOLDER = "a placeholder is a name, or a name, a colon and a short format"


def _text(text: bytes) -> Build:
    return lambda: package(pipeline_json=text)


def _root(model_id: str = "detect", /, **keys: Any) -> Build:
    return lambda: manifest_of(node(model_id, **keys))


def _without(key: str) -> Build:
    return lambda: manifest_of({name: value for name, value in node("detect").items() if name != key})


def _redis(**keys: Any) -> Build:
    return lambda: manifest_of(node("detect"), redis={**_REDIS, **keys})


def _message(message: Any, kind: str = "redis_publish", **keys: Any) -> Build:
    action = {"type": kind, "channel": "c", "message": message, **keys}
    return lambda: manifest_of(node("detect", actions=[action]), redis=_REDIS)


def _deep(levels: int) -> dict[str, Any]:
    return node("detect", branches=[_deep(levels - 1)]) if levels else node("detect")


def _model(path: str) -> Build:
    return _root(modelFile=path)


MANIFESTS: Refusals = {
    "pipeline.json is larger than 1048576 bytes": {"2 MB of blanks": _text(b" " * (2 << 20))},
    "pipeline.json is not UTF-8 text": {
        "Latin": _text(b'{"pipeline": "\xe9"}'),
        "UTF-16": _text('{"pipeline": {}}'.encode("utf-16")),
        "half a surrogate pair": _text(b'{"pipeline": "\\ud800"}'),
    },
    "pipeline.json is not valid JSON: line 2 column 14: Expecting value": {
        "no value": _text(b'{"pipeline": {\n  "modelId": }}')
    },
    "pipeline.json is not valid JSON: line 1 column 1: Expecting value": {
        "empty": _text(b""),
        "a word": _text(b"pipeline"),
    },
    "pipeline.json is not valid JSON: line 1 column 18: Extra data": {"two objects": _text(b'{"pipeline": {}} {}')},
    "pipeline.json is not valid JSON: line 1 column 15: Invalid control character at": {
        "raw tab": _text(b'{"pipeline": "\t"}')
    },
    "pipeline.json is not valid JSON: NaN is not a JSON number": {
        "NaN": _text(b'{"pipeline": {"minConfidence": NaN}}')
    },
    "pipeline.json is not valid JSON: -Infinity is not a JSON number": {"-Infinity": _text(b"[-Infinity]")},
    "pipeline.json is not valid JSON: 1e999 is larger than any number": {"1e999": _text(b'{"pipeline": 1e999}')},
    "pipeline.json is not valid JSON: a number has 5000 digits": {"5000 digits": _text(b'{"a": ' + b"9" * 5000 + b"}")},
    "pipeline.json is nested too deeply": {
        "lists": _text(b"[" * 100_000),
        "objects": _text(b'{"a":' * 100_000),
    },
    "pipeline.json must hold an object at its top": {
        "a list": _text(b"[]"),
        "null": _text(b"null"),
        "a number": _text(b"1"),
    },
    "pipeline: is missing": {"no pipeline": _text(b"{}"), "other case": _text(b'{"Pipeline": {}}')},
    "pipeline: must be a value, not null": {"null pipeline": _text(b'{"pipeline": null}')},
    "pipeline: must be an object, not a list": {
        "list of nodes": _text(b'{"pipeline": []}'),
        "300,000 objects": _text(_OBJECTS),
    },
    "pipeline.modelId: is missing": {"no modelId": _without("modelId")},
    "pipeline.modelFile: is missing": {"no modelFile": _without("modelFile")},
    "pipeline.modelId: must be a string, not 7": {"number for modelId": _root(modelId=7)},
    "pipeline.modelId: must not be empty": {"empty modelId": _root(modelId="")},
    "pipeline.modelFile: must be a string, not an object": {"object for modelFile": _root(modelFile={})},
    "pipeline.minConfidence: must be a number from 0 to 1, not a string": {"text": _root(minConfidence="0.5")},
    "pipeline.minConfidence: must be a number from 0 to 1, not 50": {"percent": _root(minConfidence=50)},
    "pipeline.minConfidence: must be a number from 0 to 1, not true": {"true": _root(minConfidence=True)},
    "pipeline.minResultConfidence: must be a number from 0 to 1, not a huge number": {
        "10^300": _root(minResultConfidence=10**300)
    },
    "pipeline.triggerClasses: must be a list of strings, not a string": {"one class": _root(triggerClasses="car")},
    "pipeline.classes: must be a list of strings, not a list": {"list of numbers": _root(classes=[1, 2])},
    "pipeline.crop: must be true or false, not 1": {"1 for true": _root(crop=1)},
    "pipeline.read: must be 'left-to-right' or 'top-to-bottom', not a string": {"read": _root(read="sideways")},
    "pipeline.resize: must be 'stretch' or 'letterbox', not a string": {"resize": _root(resize="crop")},
    "pipeline.tracker: must be 'bytetrack' or 'botsort' or 'none', not a string": {"tracker": _root(tracker="sort")},
    "pipeline.report: must be 'best' or 'all', not a list": {"report": _root(report=["all"])},
    "pipeline.fields: must be an object whose values are strings, not an object": {
        "field of a number": _root(fields={"a": 1})
    },
    "pipeline.fields: 'class' is a name that every detection already has": {
        "field class": _root(fields={"class": "{text}"})
    },
    "pipeline.fields: more than 64 of them": {"1000 fields": _root(fields={f"f{i}": "{class}" for i in range(1000)})},
    "pipeline.branches: must be a list of objects, not an object": {"one branch": _root(branches=node("detect"))},
    "pipeline.branches[1]: must be an object, not null": {"null branch": _root(branches=[node("detect"), None])},
    "pipeline" + ".branches[0]" * 16 + ": more than 256 nodes or 16 levels of branches": {
        "40 levels": lambda: manifest_of(_deep(40))
    },
    "pipeline.branches[255]: more than 256 nodes or 16 levels of branches": {
        "5000 branches": _root(branches=[node("detect") for _ in range(5000)]),
    },
    "; ".join(f"pipeline.branches[{i}]: must be an object, not 7" for i in range(20)) + "; and 81 more": {
        "100,000 faults": _root(branches=[7] * 100_000)
    },
    "pipeline.actions: must be a list of objects, not a string": {"action as text": _root(actions="redis_publish")},
    "pipeline.actions: more than 64 actions": {"1000 actions": _root(actions=[{"type": "email"}] * 1000)},
    "pipeline.actions[0].type: is missing": {"no type": _root(actions=[{}])},
    "pipeline.actions[0].message: must be a string, not an object": {"message as JSON": _message({"class": "{class}"})},
    "pipeline.actions[0].key: is missing": {"no key": _message("", "redis_save_image")},
    "pipeline.actions[0].quality: must be a whole number from 1 to 100, not 0": {
        "quality": _message("", "redis_save_image", key="k", quality=0)
    },
    "pipeline.actions[0].expire_seconds: must be a whole number from 0 to 2147483648, not -1": {
        "expires in the past": _message("", "redis_save_image", key="k", expire_seconds=-1)
    },
    "pipeline.actions[0].format: must be 'jpeg' or 'png', not a string": {
        "format": _message("", "redis_save_image", key="k", format="exe")
    },
    f"pipeline.actions[0].message: has {{confidence:>999999999}}; {_PLACEHOLDER}": {
        "width of a gigabyte": _message("{confidence:>999999999}")
    },
    f"pipeline.actions[0].message: has {{confidence:.999999f}}; {_PLACEHOLDER}": {
        "a million digits": _message("{confidence:.999999f}")
    },
    f"pipeline.actions[0].message: has {{class:{{id}}}}; {_PLACEHOLDER}": {"spec in a spec": _message("{class:{id}}")},
    f"pipeline.actions[0].message: has {{class.__class__.__mro__}}; {_PLACEHOLDER}": {
        "attribute": _message("{class.__class__.__mro__}")
    },
    f"pipeline.actions[0].message: has {{id[0]}}; {_PLACEHOLDER}": {"index": _message('{"id": "{id[0]}"}')},
    f"pipeline.actions[0].message: has {{text!r:>999}}; {_PLACEHOLDER}": {
        "conversion and width": _message("{text!r:>999}")
    },
    f"pipeline.fields.brand: has {{class.__init__}}; {_PLACEHOLDER}": {
        "attribute in a field": _root(fields={"brand": "{class.__init__}"})
    },
    "redis: must be an object, not a string": {"redis as URL": lambda: manifest_of(node("detect"), redis="redis://h")},
    "redis.host: is missing; redis.port: is missing": {"empty redis": lambda: manifest_of(node("detect"), redis={})},
    "redis.port: must be a whole number from 1 to 65535, not 65536": {"port": _redis(port=65536)},
    "redis.db: must be a whole number from 0 to 2147483648, not -1": {"db": _redis(db=-1)},
    "pipeline.modelFile: 'gone.pt' is not in the package": {
        "absent": _model("gone.pt"),
        "dot and absent": _model("./gone.pt"),
    },
    "pipeline.modelFile: '../a.pt' leaves the package": {"parent": _model("../a.pt")},
    "pipeline.modelFile: '/etc/passwd' has an absolute path": {"absolute": _model("/etc/passwd")},
    "pipeline.modelFile: 'C:/a.pt' has an absolute path": {"drive": _model("C:/a.pt")},
    r"pipeline.modelFile: 'a\\b.pt' has a backslash in its name": {"backslash": _model("a\\b.pt")},
    "pipeline.modelFile: 'https://evil.example/a.pt' has a name that not every system can store": {
        "URL": _model("https://evil.example/a.pt")
    },
    r"pipeline.modelFile: '\U0001f4a5\x00.pt' has a control character in its name": {"NUL": _model("\U0001f4a5\0.pt")},
    f"pipeline.modelFile: 'a.engine' is a compiled TensorRT engine, which is a program; {_MADE_OF}": {
        "engine": _model("a.engine")
    },
    f"pipeline.modelFile: 'a.torchscript' is a TorchScript program; {_MADE_OF}": {
        "TorchScript": _model("a.torchscript")
    },
    "pipeline.modelFile: 'yolov8n' is not a .pt or .onnx file": {"no suffix": _model("yolov8n")},
    "pipeline.modelFile: 'model.py' is not a .pt or .onnx file": {
        "script": lambda: package(
            pipeline_json=json.dumps({"pipeline": node("a", modelFile="model.py")}).encode(), model_py=b"1/0"
        )
    },
    "pipeline.modelFile: 'folder.pt' is a folder": {
        "folder": lambda: package(
            pipeline_json=json.dumps({"pipeline": node("a", modelFile="folder.pt")}).encode(),
            **{"folder_pt/a_txt": b""},
        )
    },
    "pipeline.modelFile: 'detect.pt' is empty": {"empty": lambda: package(detect_pt=b"")},
    "; ".join(f"pipeline.branches[{i}].modelFile: '{i}.pt' is not in the package" for i in range(2)): {
        "two absent": _root(branches=[node("0"), node("1")])
    },
}
