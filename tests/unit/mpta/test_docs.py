"""docs/mpta.md: what it shows is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mpta import Publish, SaveImage, parse, templates

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "mpta.md").read_text()
EXAMPLE = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0]


def test_the_example_package_has_neither_faults_nor_warnings_and_its_actions_run() -> None:
    manifest, faults, warnings = parse(EXAMPLE.encode())

    assert (faults, warnings) == ((), ())
    assert manifest is not None
    assert manifest.disabled == ()
    save, publish = manifest.root.actions
    assert isinstance(save, SaveImage)
    assert isinstance(publish, Publish)
    context = {"class": "car", "confidence": 0.9, "carBrand": None, "image_key": "pump:1:2", "camera": "1", "uuid": "2"}
    assert templates.render(save.key, context) == "pump:1:2"
    assert json.loads(templates.render(publish.message, context)) == {
        "event": "new_detection",
        "class": "car",
        "confidence": 0.9,
        "brand": "null",
        "image_key": "pump:1:2",
    }


def test_every_key_of_a_node_and_every_name_of_a_template_is_in_it() -> None:
    node = json.loads(EXAMPLE)["pipeline"] | {"read": 1, "classes": 1, "minResultConfidence": 1, "resize": 1}
    keys = {*node, "tracker", "report", "crop", "fields"}

    assert [key for key in sorted(keys) if f"| `{key}` |" not in TEXT] == []
    assert [name for name in sorted(templates.CONTEXT_NAMES) if f"`{name}`" not in TEXT] == []


def test_every_picture_and_place_that_it_names_exists() -> None:
    places = re.findall(r"\]\(([^)]+)\)", TEXT)
    headings = {
        re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.+)$", TEXT, re.M)
    }

    assert [p for p in places if not ((p.startswith("#") and p[1:] in headings) or (DOCS / p).is_file())] == []
