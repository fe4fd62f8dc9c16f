"""The tree of a package as one picture (SVG), and as a page that holds it and needs nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from cli.packages.facts import NodeFacts, PackageFacts

#: Pixels. A letter is about `_LETTER` wide at the size of the rows, wider than most fonts have it.
_WIDTH, _GAP_X, _GAP_Y, _MARGIN = 344, 96, 22, 24
_HEAD, _ROW, _PAD, _LABEL, _LETTER = 40, 19, 14, 66, 6.5
_TOP = 62
#: Hue of a node by what its model does.
_COLOURS = {"detect": "#2f7dd1", "classify": "#1a936f", "segment": "#8e5bd0", "pose": "#d1722f", "obb": "#c2417c"}
_UNKNOWN = "#64748b"

_STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; font-size: 12px; }
.page { fill: #f6f8fb; } .card { fill: #ffffff; stroke: #c4d0de; } .row { fill: #16202e; }
.edge { fill: none; stroke: #c4d0de; stroke-width: 2px; } .what, .when, .summary { fill: #66758a; }
.title { font-weight: 600; font-size: 19px; fill: #16202e; } .name { font-weight: 600; font-size: 14px; fill: #ffffff; }
.task { fill: #ffffff; } .when { font-size: 11px; paint-order: stroke; stroke: #f6f8fb; stroke-width: 4px; }
@media (prefers-color-scheme: dark) {
  .page { fill: #10161f; } .card { fill: #1a2430; stroke: #37475a; } .row, .title { fill: #e6edf5; }
  .edge { stroke: #37475a; } .when { stroke: #10161f; } .what, .when, .summary { fill: #93a3b8; }
}
"""


@dataclass(frozen=True, slots=True)
class _Card:
    """A node with its place; `parent` is the index of its parent's card."""

    facts: NodeFacts
    lines: list[tuple[str, str]]
    left: float
    top: float
    height: float
    parent: int | None

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def svg(facts: PackageFacts) -> str:
    """Return the picture, a whole SVG document without a script."""
    cards = _placed(facts.root)
    width = max(max(card.left for card in cards) + _WIDTH + _MARGIN, 760.0)
    height = max(card.top + card.height for card in cards) + _MARGIN
    edges = [_edge(cards[card.parent], card) for card in cards if card.parent is not None]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="package" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(facts.name)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>',
            f'<text class="title" x="{_MARGIN}" y="32">{escape(facts.name)}</text>',
            f'<text class="summary" x="{_MARGIN}" y="50">{escape(facts.summary)}</text>',
            *edges,
            *(_drawn(card) for card in cards),
            "</svg>\n",
        ]
    )


def page(facts: PackageFacts) -> str:
    """Return one HTML file with the picture and the warnings; it loads nothing."""
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in facts.warnings)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{escape(facts.name)}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; background: #f6f8fb; color: #16202e; font: 14px/1.5 system-ui, sans-serif; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #10161f; color: #e6edf5; }} }}
main {{ overflow-x: auto; }} ul {{ margin: 1em 1.5em; padding-left: 1em; color: #b7791f; }}
</style>
<main>{svg(facts)}</main>
{f"<ul>{warnings}</ul>" if warnings else ""}
</html>
"""


def _placed(root: NodeFacts) -> list[_Card]:
    """Return the cards: columns by depth, leaves one below the other, a parent beside the middle of its branches."""
    cards: list[_Card] = []
    free = float(_TOP)

    def place(facts: NodeFacts, depth: int, parent: int | None) -> int:
        nonlocal free
        lines = list(_lines(facts))
        height = float(_HEAD + _PAD + _ROW * (len(lines) - 1) + _PAD)
        here, began = len(cards), free
        left = _MARGIN + depth * (_WIDTH + _GAP_X)
        cards.append(_Card(facts, lines, left, began, height, parent))
        below = [place(branch, depth + 1, here) for branch in facts.branches]
        middle = (cards[below[0]].middle + cards[below[-1]].middle) / 2 if below else began + height / 2
        top = max(began, middle - height / 2)
        cards[here] = _Card(facts, lines, left, top, height, parent)
        free = max(free, top + height + _GAP_Y)
        return here

    place(root, 0, None)
    return cards


def _lines(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    """Yield the rows of a card, long ones folded; the edge says what a branch runs on."""
    fit = int((_WIDTH - 2 * _PAD - _LABEL) / _LETTER)
    for what, text in facts.rows():
        if what == "runs on":
            continue
        folded = textwrap.wrap(text, fit, max_lines=3, placeholder=" …") or [""]
        yield what, folded[0]
        yield from (("", more) for more in folded[1:])


def _drawn(card: _Card) -> str:
    task = card.facts.task
    colour = _COLOURS.get(task, _UNKNOWN)
    x, y, right = card.left, card.top, card.left + _WIDTH
    name = card.facts.name if len(card.facts.name) <= 34 else f"{card.facts.name[:33]}…"
    parts = [
        f"<g><title>{escape(card.facts.node.path)}</title>",
        f'<rect class="card" x="{x:.1f}" y="{y:.1f}" width="{_WIDTH}" height="{card.height:.1f}" rx="10"/>',
        f'<path fill="{colour}" d="M{x:.1f} {y + _HEAD - 6:.1f} v-{_HEAD - 16} q0 -10 10 -10 h{_WIDTH - 20} '
        f'q10 0 10 10 v{_HEAD - 16} z"/>',
        f'<text class="name" x="{x + _PAD:.1f}" y="{y + 22:.1f}">{escape(name)}</text>',
        f'<text class="task" x="{right - _PAD:.1f}" y="{y + 22:.1f}" text-anchor="end">{escape(task)}</text>',
    ]
    for number, (what, text) in enumerate(card.lines):
        at = y + _HEAD + _PAD + _ROW * number
        parts.append(f'<text class="what" x="{x + _PAD:.1f}" y="{at:.1f}">{escape(what)}</text>')
        parts.append(f'<text class="row" x="{x + _PAD + _LABEL:.1f}" y="{at:.1f}">{escape(text)}</text>')
    return "".join([*parts, "</g>"])


def _edge(parent: _Card, card: _Card) -> str:
    x1, y1, x2, y2 = parent.left + _WIDTH, parent.middle, card.left, card.middle
    bend = (x1 + x2) / 2
    curve = f'<path class="edge" d="M{x1:.1f} {y1:.1f} C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"/>'
    return curve + _trigger(card)


def _trigger(card: _Card) -> str:
    """Return what the branch runs on, above the end of its edge, as far as it has room there."""
    text = card.facts.trigger
    fit = int((_GAP_X - 10) / 5.2)
    lines = textwrap.wrap(text, fit, max_lines=3, placeholder="…")
    return "".join(
        f'<text class="when" x="{card.left - 6:.1f}" y="{card.middle - 8 - 14 * (len(lines) - 1 - number):.1f}" '
        f'text-anchor="end">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
