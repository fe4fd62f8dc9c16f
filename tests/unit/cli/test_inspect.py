"""`detector mpta inspect`: the tree, in a terminal, as a picture, as data."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cli.demo import PACKAGE
from cli.packages import facts, picture
from tests.unit.cli.conftest import Command, change

SVG = "{http://www.w3.org/2000/svg}"


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def hostile(document: dict[str, Any]) -> None:
    document["pipeline"] |= {
        "modelId": '</style><script>alert("1")</script>\x1b[2J[red]&\\N',
        "fields": {'"]; evil [label="': "{class} <b onclick=x>"},
    }


def test_the_tree_has_every_node_with_its_model(mpta_command: Command) -> None:
    done = mpta_command("inspect", PACKAGE, "--json")

    root = json.loads(done.stdout)["pipeline"]
    assert done.exit_code == 0
    assert (root["modelId"], root["task"], root["classes"]) == ("forecourt-vehicle", "detect", ["car", "truck"])
    assert (root["inputWidth"], root["inputHeight"]) == (320, 320)
    assert 100_000 < root["parameters"] < 10_000_000
    assert root["passMs"].keys() == {"1", "8"}
    assert [branch["task"] for branch in root["branches"]] == ["classify", "classify", "detect"]
    assert root["branches"][2]["branches"][0]["fields"]["licensePlateText"] == "{text}"


def test_people_see_it_drawn(mpta_command: Command) -> None:
    done = mpta_command("inspect", PACKAGE, "--no-run")

    assert done.exit_code == 0
    assert "├── forecourt-body" in done.stdout
    assert re.search(r"^ +└── forecourt-reader", done.stdout, re.MULTILINE)
    assert "licensePlateText = {text}" in done.stdout
    assert "left to right" in done.stdout


def test_the_page_is_one_file_with_a_picture_and_loads_nothing(mpta_command: Command, tmp_path: Path) -> None:
    done = mpta_command("inspect", PACKAGE, "--no-run", "--html", tmp_path / "tree.html")

    page = (tmp_path / "tree.html").read_text()
    tags = Tags(page).seen
    assert done.exit_code == 0
    assert "svg" in {tag for tag, _ in tags}
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe"}
    assert not [attributes for _, attributes in tags if attributes.keys() & {"src", "href"}]
    assert "forecourt-reader" in page


def test_no_card_of_the_picture_lies_on_another() -> None:
    drawing = ElementTree.fromstring(picture.svg(facts.gather(PACKAGE, device=None)))
    boxes = [
        tuple(float(card.attrib[key]) for key in ("x", "y", "width", "height"))
        for card in drawing.iter(f"{SVG}rect")
        if card.get("class") == "card"
    ]

    assert len(boxes) == 5
    for i, (x, y, width, height) in enumerate(boxes):
        assert x + width < float(drawing.attrib["width"])
        assert y + height < float(drawing.attrib["height"])
        assert not [b for b in boxes[i + 1 :] if b[0] == x and b[1] < y + height and y < b[1] + b[3]]


def test_a_strangers_words_do_nothing_in_any_picture(mpta_command: Command, folder: Path, tmp_path: Path) -> None:
    page, dot = tmp_path / "tree.html", tmp_path / "tree.dot"
    named = change(folder, hostile).rename(tmp_path / "<script>")
    done = mpta_command("inspect", named, "--no-run", "--html", page, "--dot", dot)

    assert done.exit_code == 0
    assert "\x1b" not in done.stdout + page.read_text() + dot.read_text()
    assert "[red]" in done.stdout
    assert "script" not in {tag for tag, _ in Tags(page.read_text()).seen}
    assert not [attributes for _, attributes in Tags(page.read_text()).seen if "onclick" in attributes]
    lines = [line for line in dot.read_text().splitlines() if line.startswith("  n")]
    strings = r'"(?:[^"\\]|\\.)*"'
    assert lines
    assert [
        line for line in lines[2:] if not re.fullmatch(rf"  n[_\d]*( -> n[_\d]*)? \[label={strings}\];", line)
    ] == []
    assert r"&\\N" in dot.read_text()


def test_programs_get_a_strangers_words_as_they_are(mpta_command: Command, folder: Path) -> None:
    done = mpta_command("inspect", change(folder, hostile), "--no-run", "--json")

    assert json.loads(done.stdout)["pipeline"]["modelId"].endswith("\x1b[2J[red]&\\N")


def test_a_refused_package_is_one_sentence(mpta_command: Command, tmp_path: Path) -> None:
    (tmp_path / "odd.mpta").write_text("odd")

    done = mpta_command("inspect", tmp_path / "odd.mpta")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "detector: odd.mpta: not a zip archive\n"
