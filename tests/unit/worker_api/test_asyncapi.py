"""The AsyncAPI document: what it says is what the code does."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from pydantic import BaseModel

from cli import asyncapi as command
from contract.problems import Code
from contract.settings import Settings
from contract.subscriptions import Source, Subscription
from tasks import messages as workers
from worker_api import asyncapi
from worker_api.messages import ImageDetection, examples, heartbeat, incoming, outgoing
from worker_api.protocol import parse, wish_of

COMMITTED = Path(__file__).parents[3] / "docs" / "asyncapi.json"
PAGE = COMMITTED.with_name("protocol.md").read_text(encoding="utf-8")
DOCUMENT = asyncapi.document()
MESSAGES = DOCUMENT["components"]["messages"]

#: What AsyncAPI 3.0 asks of the objects that the document has: required fields, and those that may be there.
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "document": ({"asyncapi", "info"}, {"defaultContentType", "servers", "channels", "operations", "components"}),
    "info": ({"title", "version"}, {"description", "license"}),
    "server": ({"host", "protocol"}, {"description", "security"}),
    "channel": (set(), {"address", "description", "servers", "messages", "bindings"}),
    "operation": ({"action", "channel"}, {"summary", "messages", "reply"}),
    "message": (set(), {"name", "summary", "payload", "examples"}),
    "security": ({"type", "scheme"}, {"description"}),
}


def shaped(kind: str, content: dict[str, Any]) -> None:
    required, others = SHAPES[kind]
    assert required <= content.keys() <= required | others, kind


def inside(content: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in the document, itself first."""
    if isinstance(content, dict):
        yield content
    for each in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from inside(each)


def resolved(reference: str) -> Any:
    content: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        content = content[step]
    return content


def judge(payload: object, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(payload)


def test_the_committed_document_is_what_gateways_serve() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == command.text(), "renew it: detector asyncapi > docs/asyncapi.json"


def test_it_has_the_form_of_asyncapi_3() -> None:
    shaped("document", DOCUMENT)
    shaped("info", DOCUMENT["info"])
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for kind, contents in {
        "server": DOCUMENT["servers"],
        "channel": DOCUMENT["channels"],
        "operation": DOCUMENT["operations"],
        "message": MESSAGES,
        "security": DOCUMENT["components"]["securitySchemes"],
    }.items():
        assert contents
        for content in contents.values():
            shaped(kind, content)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = {each["$ref"] for each in inside(DOCUMENT) if "$ref" in each}

    for reference in references:
        assert resolved(reference)
    assert {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]} <= references
    assert {f"#/channels/cms/messages/{name}" for name in MESSAGES} <= references


def test_every_message_of_the_code_is_in_the_document_and_no_other() -> None:
    models = {
        model
        for module in (incoming, heartbeat, outgoing)
        for _, model in inspect.getmembers(module, inspect.isclass)
        if issubclass(model, BaseModel) and "type" in model.model_fields
    }

    assert {*asyncapi.from_cms().values(), *asyncapi.to_cms().values()} == models
    documented = {f"fromCms.{kind}" for kind in asyncapi.from_cms()} | {f"toCms.{kind}" for kind in asyncapi.to_cms()}
    assert documented == MESSAGES.keys()
    assert examples.FROM_CMS.keys() == asyncapi.from_cms().keys()
    assert examples.TO_CMS.keys() == asyncapi.to_cms().keys()
    assert DOCUMENT["components"]["schemas"]["Code"]["enum"] == list(Code)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_an_example_is_what_its_schema_says(name: str) -> None:
    [example] = MESSAGES[name]["examples"]

    judge(example["payload"], MESSAGES[name]["payload"])

    with pytest.raises(jsonschema.ValidationError):
        judge({**example["payload"], "type": "else"}, MESSAGES[name]["payload"])


@pytest.mark.parametrize("kind", sorted(examples.FROM_CMS))
def test_the_gateway_takes_the_examples_of_what_it_receives(kind: str) -> None:
    message = parse(json.dumps(examples.FROM_CMS[kind]))

    assert message.type == kind
    if isinstance(message, incoming.Subscribe):
        assert wish_of(message.payload, Settings()).warning is None


@pytest.mark.parametrize("kind", sorted(examples.TO_CMS))
def test_a_message_that_is_sent_reads_as_its_example(kind: str) -> None:
    model = asyncapi.to_cms()[kind].model_validate(examples.TO_CMS[kind])

    assert json.loads(model.model_dump_json(by_alias=True, exclude_unset=True)) == examples.TO_CMS[kind]


@pytest.mark.parametrize("session", [None, 5, "five"])
@pytest.mark.parametrize("detection", [None, {"class": "car", "confidence": 0.5, "carBrand": "Honda"}])
def test_what_workers_write_is_the_image_detection_of_the_document(
    session: int | str | None, detection: dict[str, Any] | None
) -> None:
    camera = Subscription(
        id="d1;c1",
        display="d1",
        camera="c1",
        source=Source(url="rtsp://camera/one", kind="stream"),
        model_url="http://models/m.mpta",
        model_id=1,
        model_name="one",
    )
    body = orjson.loads(workers.entry(camera, 7, 1_752_496_496_789, session, detection).body)

    judge(body, MESSAGES["toCms.imageDetection"]["payload"])
    assert body.keys() <= ImageDetection.model_fields.keys()
    assert body["data"].keys() == outgoing.DetectionData.model_fields.keys()


def test_every_field_says_what_it_is() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, content in schema.get("properties", {}).items():
            assert "const" in content or "$ref" in content or content.get("description"), f"{name}.{field}"


def test_the_page_names_every_message_field_and_code() -> None:
    words = set(re.findall(r"`([A-Za-z0-9_]+)`", PAGE))
    fields = {name for schema in DOCUMENT["components"]["schemas"].values() for name in schema.get("properties", {})}

    kinds = {name.split(".")[1] for name in MESSAGES}
    assert (fields | kinds | set(Code)) - {"type", "payload"} <= words


def test_the_conversation_on_the_page_is_what_the_document_says() -> None:
    block = PAGE.partition("```text\n")[2].partition("```")[0]
    spoken = [line.split("  {", 1) for line in block.splitlines()]

    assert len(spoken) > 10
    for who, text in spoken:
        message = json.loads("{" + text)
        side = "fromCms" if "CMS" in who else "toCms"
        judge(message, MESSAGES[f"{side}.{message['type']}"]["payload"])


def test_settings_on_the_page_exist() -> None:
    named = set(re.findall(r"DETECTOR_([A-Z_]+)", PAGE))

    assert {name.lower() for name in named} <= Settings.model_fields.keys()
