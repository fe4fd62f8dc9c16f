"""What a rule is, and how one is judged: it holds, it is broken, or there is nothing to judge it by."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cli.packages.texts import readable

if TYPE_CHECKING:
    from cli.conformance.lab import Lab

Status = Literal["pass", "fail", "not applicable"]
Check = Callable[["Lab"], None]


class Broken(Exception):
    """The worker does not keep the rule: what it did instead."""


class NotApplicable(Exception):
    """Nothing can be said: what was missing for it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the protocol.

    Attributes:
        name: a stable word for scripts.
        text: the rule, as a sentence about the worker.
        ours: not a rule of the older protocol: who knows nothing of it is not judged by it.
        live: it takes a camera and a package to judge.
    """

    name: str
    text: str
    check: Check
    ours: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker did by one rule; `reason` is empty when it holds."""

    rule: Rule
    status: Status
    reason: str = ""


class Book:
    """Rules in the order in which they are judged."""

    def __init__(self, *, live: bool = False) -> None:
        self.rules: list[Rule] = []
        self._live = live

    def rule(self, name: str, text: str, *, ours: bool = False) -> Callable[[Check], Check]:
        """Enter the decorated check as a rule."""

        def enter(check: Check) -> Check:
            self.rules.append(Rule(name, text, check, ours, self._live))
            return check

        return enter


def judge(rule: Rule, lab: Lab) -> Outcome:
    """Return how the worker does by a rule."""
    if rule.live and not lab.live:
        return Outcome(rule, "not applicable", "needs --camera and --model")
    try:
        rule.check(lab)
    except Broken as exc:
        return Outcome(rule, "fail", str(exc))
    except NotApplicable as exc:
        return Outcome(rule, "not applicable", str(exc))
    return Outcome(rule, "pass")


def shown(value: Any) -> str:
    """Return what came over the wire, fit for a sentence and a terminal."""
    return readable(json.dumps(value, ensure_ascii=False), 160)
