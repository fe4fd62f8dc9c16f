"""The CMS protocol as an AsyncAPI 3.0 document, made of the message models: for code generators and readers.

It describes this gateway: what it *receives* comes from a CMS, what it *sends* goes to one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from inspect import getdoc
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from worker_api.messages import Incoming, Outgoing, examples
from worker_api.version import VERSION

_SCHEMA = "#/components/schemas/{model}"
_CHANNEL = "#/channels/cms"
#: Kind of a question -> kind of its answer.
_ANSWERS = {
    "requestState": "stateReport",
    "patchSession": "patchSessionResult",
    "setSubscriptions": "subscriptionsSet",
}
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "Needed where the gateway has tokens set. A browser, which cannot set headers, offers the "
    "subprotocols `detector` and `bearer.TOKEN` instead.",
}


def from_cms() -> dict[str, type[BaseModel]]:
    """Return the models of what a CMS may send, by kind."""
    return {_kind(model): model for model in get_args(get_args(Incoming)[0])}


def to_cms() -> dict[str, type[BaseModel]]:
    """Return the models of what a CMS may be sent, by kind."""
    return {_kind(model): model for model in get_args(Outgoing)}


def _kind(model: type[BaseModel]) -> str:
    """Return the message's type, and behind a dot its code when it has one of its own."""
    code = model.model_fields.get("code")
    name: str = model.model_fields["type"].default
    return f"{name}.{code.default.value}" if code and not code.is_required() else name


class _Schemas(GenerateJsonSchema):
    """Leaves out what only repeats: titles made of names, and that nothing is the default of what may be absent."""

    def field_title_should_be_set(self, _: object) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        return made if made.get("default") is not None else {k: v for k, v in made.items() if k != "default"}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        made = super().tagged_union_schema(schema)  # What a code of ours tells apart, `oneOf` cannot.
        return {"anyOf": made["oneOf"]}


@functools.cache
def document() -> dict[str, Any]:
    """Return the document, which is the same for every gateway of this version."""
    received, sent = from_cms(), to_cms()
    payloads, schemas = _payloads([*received.values(), *sent.values()])
    messages, operations = {}, {}
    for kind, model in received.items():
        messages[f"fromCms.{kind}"] = _message(kind, model, payloads[model], examples.FROM_CMS[kind])
        operations[f"receive.{kind}"] = _operation("receive", f"fromCms.{kind}", model, _ANSWERS.get(kind))
    for kind, model in sent.items():
        messages[f"toCms.{kind}"] = _message(kind, model, payloads[model], examples.TO_CMS[kind])
        operations[f"send.{kind}"] = _operation("send", f"toCms.{kind}", model)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "detector: the CMS protocol",
            "version": VERSION,
            "description": "One WebSocket between a CMS, which dials in, and a gateway. Each message is one JSON "
            "object in a text frame. Fields that are not known are to be ignored, in both directions.",
            "license": {"name": "AGPL-3.0-or-later"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "localhost:8000",
                "protocol": "ws",
                "description": "Any gateway of a cluster will do; wss where it has a certificate.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {
            "cms": {
                "address": "/",
                "description": "A state report follows the opening at once, and then every 2 s.",
                "servers": [{"$ref": "#/servers/gateway"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas, "securitySchemes": {"token": _TOKEN}},
    }


def _payloads(models: Sequence[type[BaseModel]]) -> tuple[dict[object, Any], dict[str, Any]]:
    """Return each model's schema, which is a reference, and what the references lead to, by name."""
    refs, shared = models_json_schema(
        [(model, "validation") for model in models], ref_template=_SCHEMA, schema_generator=_Schemas
    )
    schemas: dict[str, Any] = shared["$defs"]
    for name in list(schemas):
        schemas[name] = _lifted(schemas[name], schemas, top=True)
    return {model: ref for (model, _), ref in refs.items()}, dict(sorted(schemas.items()))


def _lifted(schema: Any, schemas: dict[str, Any], *, top: bool = False) -> Any:
    """Return `schema` with references in place of the models inside it, which join `schemas`."""
    if isinstance(schema, list):
        return [_lifted(each, schemas) for each in schema]
    if not isinstance(schema, dict):
        return schema
    lifted = {key: _lifted(value, schemas) for key, value in schema.items()}
    if top or not isinstance(schema.get("title"), str) or schema.get("type") != "object":
        return lifted
    schemas[schema["title"]] = lifted
    return {"$ref": _SCHEMA.format(model=schema["title"])}


def _message(kind: str, model: type[BaseModel], payload: Any, example: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": kind,
        "summary": getdoc(model),
        "payload": payload,
        "examples": [{"name": kind, "payload": example}],
    }


def _operation(action: str, name: str, model: type[BaseModel], answer: str | None = None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": _CHANNEL},
        "summary": getdoc(model),
        "messages": [{"$ref": f"{_CHANNEL}/messages/{name}"}],
    }
    if answer:
        operation["reply"] = {
            "channel": {"$ref": _CHANNEL},
            "messages": [{"$ref": f"{_CHANNEL}/messages/toCms.{answer}"}],
        }
    return operation
