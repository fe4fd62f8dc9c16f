"""The tree of a package in Graphviz' language: `dot -Tsvg`."""

from __future__ import annotations

from collections.abc import Iterator

from cli.packages.facts import NodeFacts, PackageFacts


def graph(facts: PackageFacts) -> str:
    """Return the tree as a digraph, a line each for node and edge."""
    head = [
        "digraph package {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fillcolor="#eef4fb", color="#4477aa", fontname="sans-serif"];',
        '  edge [color="#4477aa", fontname="sans-serif", fontsize=10];',
        f"  label={_quoted(facts.name)};",
    ]
    return "\n".join([*head, *_lines(facts.root, "n"), "}", ""])


def _lines(facts: NodeFacts, key: str) -> Iterator[str]:
    rows = (f"{what}: {text}" for what, text in facts.rows())
    yield f"  {key} [label={_quoted(f'{facts.name}  {facts.task}'.rstrip(), '', *rows)}];"
    for number, branch in enumerate(facts.branches):
        below = f"{key}_{number}"
        yield f"  {key} -> {below} [label={_quoted(branch.trigger)}];"
        yield from _lines(branch, below)


def _quoted(*lines: str) -> str:
    """Return lines as one quoted text; `\\l` ends a line of those that stand to the left."""
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return f'"{escaped[0]}"' if len(escaped) == 1 else '"' + "".join(f"{line}\\l" for line in escaped) + '"'
