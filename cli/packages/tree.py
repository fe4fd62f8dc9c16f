"""The tree of a package for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cli.packages.facts import NodeFacts, PackageFacts


def drawn(facts: PackageFacts) -> RenderableType:
    """Return what is known of a package as a tree; only `Text` holds its words, so that none of them is markup."""
    head = Text.assemble((facts.name, "bold"), "  ", (facts.summary, "dim"))
    tree = Tree(_node(facts.root), guide_style="cyan")
    _grow(tree, facts.root)
    odd = [Text(f"warning  {warning}", style="yellow") for warning in facts.warnings]
    return Group(head, Text(), tree, *([Text(), *odd] if odd else []))


def _grow(tree: Tree, facts: NodeFacts) -> None:
    for branch in facts.branches:
        _grow(tree.add(_node(branch)), branch)


def _node(facts: NodeFacts) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for what, text in facts.rows():
        table.add_row(Text(what), Text(text, style="green" if what == "field" else ""))
    return Group(Text.assemble((facts.name, "bold cyan"), "  ", (facts.task, "cyan")), table)
