"""MPTA packages: open, check and run a tree of vision models. Frames in, results out; imports no torch until `load`."""

from mpta import templates
from mpta.archive import Limits
from mpta.errors import ModelInvalid, MptaError, PackageInvalid
from mpta.manifest import Action, Manifest, Node, Publish, RedisTarget, SaveImage
from mpta.model import Model, Task
from mpta.package import Package, open_package
from mpta.parsing import parse
from mpta.pipeline import Pipeline, load
from mpta.records import Box, Event, Frame, Image, Result, Value
from mpta.weights import Weights

__all__ = [
    "Action",
    "Box",
    "Event",
    "Frame",
    "Image",
    "Limits",
    "Manifest",
    "Model",
    "ModelInvalid",
    "MptaError",
    "Node",
    "Package",
    "PackageInvalid",
    "Pipeline",
    "Publish",
    "RedisTarget",
    "Result",
    "SaveImage",
    "Task",
    "Value",
    "Weights",
    "load",
    "open_package",
    "parse",
    "templates",
]
