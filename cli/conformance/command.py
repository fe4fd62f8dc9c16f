"""`detector protocol-test`: judge a worker by every rule, and say how it did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import typer
from rich.console import Console
from rich.text import Text

from cli.conformance import basics, live, malformed
from cli.conformance.lab import Lab, Target
from cli.conformance.rules import Outcome, Rule, judge

RULES: tuple[Rule, ...] = (*basics.BOOK.rules, *malformed.BOOK.rules, *live.BOOK.rules, *basics.LAST.rules)

_SIGNS = {"pass": ("pass", "green"), "fail": ("FAIL", "bold red"), "not applicable": ("n/a ", "dim")}


def run(target: Target, *, as_json: bool) -> int:
    """Print how the worker does by each rule, as soon as that is known; return 1 when one is broken.

    Raises:
        Unreachable: there is no worker at this address.
    """
    outcomes = []
    console = Console(highlight=False, soft_wrap=True)
    for outcome in outcomes_of(target):
        outcomes.append(outcome)
        if not as_json:
            console.print(_line(outcome))
    counts = Counter(outcome.status for outcome in outcomes)
    if as_json:
        typer.echo(json.dumps({"worker": target.url, "failed": counts["fail"], "rules": [*map(_record, outcomes)]}))
    else:
        said = f"{counts['pass']} rules hold, {counts['fail']} are broken, {counts['not applicable']} do not apply."
        console.print(Text(f"\n{said} (ours): not in the older protocol.", style="bold"))
    return 1 if counts["fail"] else 0


def outcomes_of(target: Target) -> Iterator[Outcome]:
    """Yield how the worker does by each rule.

    Raises:
        Unreachable: there is no worker at this address, or not any more.
    """
    with closing(Lab(target)) as lab:
        for rule in RULES:
            yield judge(rule, lab)


def _line(outcome: Outcome) -> Text:
    sign, style = _SIGNS[outcome.status]
    rule = outcome.rule
    line = Text.assemble((sign, style), "  ", (rule.name, "bold"), (" (ours)" if rule.ours else "", "dim"))
    line.append(f"  {rule.text}" if outcome.status == "pass" else f"  {outcome.reason}; the rule: {rule.text}")
    return line


def _record(outcome: Outcome) -> dict[str, object]:
    rule = outcome.rule
    return {
        "rule": rule.name,
        "text": rule.text,
        "ours": rule.ours,
        "status": outcome.status,
        "reason": outcome.reason or None,
    }
