"""What all messages have in common, and the kinds of their fields."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictInt,
    StrictStr,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_I32 = 2**31 - 1

#: Long enough for any name that people give, short enough for a key, a log line and a metric.
Name = Annotated[StrictStr, Field(max_length=256)]
Url = Annotated[StrictStr, Field(max_length=4096)]
Pixel = Annotated[int, Field(ge=-_I32, le=_I32)]
#: Passed through as given: 7 stays a number, "7" a text, and true is neither.
Id = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)] | Name


def _fixed_are_required(schema: dict[str, Any]) -> None:
    """Say in the schema that what has one value only is always there: it has a default for our own use alone."""
    fixed = [name for name, field in schema.get("properties", {}).items() if "const" in field]
    for name in fixed:
        schema["properties"][name].pop("default", None)
    if fixed:
        schema["required"] = [*fixed, *(name for name in schema.get("required", ()) if name not in fixed)]


class Message(BaseModel):
    """A message, or a part of one."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, allow_inf_nan=False, json_schema_extra=_fixed_are_required, validate_by_name=True
    )

    def text(self) -> str:
        """Return the message as it is sent."""
        return self.model_dump_json(by_alias=True)


class JudgedAs:
    """Annotates a field that is taken as it comes and judged apart: what it has to be for that."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of the model."""
        return handler(self._model.__pydantic_core_schema__)
