"""What `detector mpta validate` and `pack` find: every fault and warning, by severity, each with its key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.text import Text

import mpta
from cli.packages.texts import readable
from mpta import checks, golden
from mpta.checks import Finding
from mpta.pipeline import load_models

Load: TypeAlias = Callable[[mpta.Package], mpta.Pipeline]

#: Beside those of `mpta.checks`: `failed`, a golden case that is not as the package says.
Severity: TypeAlias = Literal["refused", "disabled", "failed", "warning"]
_TITLES: dict[Severity, tuple[str, str]] = {
    "refused": ("refused: the package does not load", "bold red"),
    "failed": ("golden cases that fail", "bold red"),
    "disabled": ("disabled: actions that will not run", "bold magenta"),
    "warning": ("warnings: all of it runs", "bold yellow"),
}
#: How a sentence begins that names a key of pipeline.json or a file of the package.
_KEY = re.compile(r"((?:pipeline(?!\.json)|redis|tests/)[^:]*|[A-Za-z_]\w*): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that is wrong or odd: `key` is a path in pipeline.json or a file inside the package, or empty."""

    severity: Severity
    key: str
    text: str


@dataclass(slots=True)
class Findings:
    """All that is known of one package.

    Attributes:
        digest: empty when the package is refused.
        cases: golden cases that were run, with what was not as they say.
    """

    name: str
    found: list[Found] = field(default_factory=list)
    digest: str = ""
    cases: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether there is nothing but warnings."""
        return all(each.severity == "warning" for each in self.found)

    def add(self, severity: Severity, sentences: Iterable[str]) -> None:
        """Note sentences that may begin with a key."""
        for sentence in sentences:
            match = _KEY.match(sentence)
            key = match[1] if match else ""
            found = Found(severity=severity, key=key, text=sentence[match.end() :] if match else sentence)
            if found not in self.found:
                self.found.append(found)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "file": self.name,
            "good": self.good,
            "digest": self.digest or None,
            "findings": [{"severity": e.severity, "key": e.key, "text": e.text} for e in self.found],
            "cases": [
                {"name": name, "passed": not differences, "differences": list(differences)}
                for name, differences in self.cases.items()
            ],
        }


def examine(path: Path, *, models: bool = False, run: bool = False, load: Load | None = None) -> Findings:
    """Return what is wrong or odd about a package.

    Args:
        path: a `.mpta` or a folder.
        models: load the models, and compare the classes that the package names with theirs.
        run: the same, and run the golden cases.
        load: gives an open package its models; `mpta.pipeline.load_models` by default.

    Raises:
        OSError: it cannot be read.
    """
    findings = Findings(readable(path.name))
    try:
        package = mpta.open_package(path)
    except mpta.PackageInvalid as exc:
        findings.add("refused", exc.faults)
        return findings
    findings.digest = package.digest
    findings.add("disabled", package.manifest.disabled)
    findings.add("warning", (each for each in package.warnings if each not in package.manifest.disabled))
    try:
        cases = golden.read_cases(package)
    except mpta.PackageInvalid as exc:
        findings.add("failed", exc.faults)
        cases = ()
    if models or run:
        _with_models(findings, package, cases if run else (), load or load_models)
    return findings


def _with_models(findings: Findings, package: mpta.Package, cases: Sequence[golden.Case], load: Load) -> None:
    try:
        pipeline = load(package)
    except mpta.ModelInvalid as exc:
        findings.add("refused", [str(exc)])
        return
    odd = checks.check(package.manifest, lambda node: pipeline.models[node.path])
    findings.add("warning", (str(each) for each in odd if _is_warning(each)))
    for case in cases:
        differences = golden.differences(case, pipeline.run)
        findings.cases[case.name] = differences
        findings.add("failed", (f"{case.name}: {difference}" for difference in differences))


def _is_warning(finding: Finding) -> bool:
    return finding.severity == "warning"


def show(findings: Findings, console: Console, *, ran: bool = False) -> None:
    """Print everything, the worst first, `file:key  sentence` each; then one line that says how it stands."""
    for severity, (title, style) in _TITLES.items():
        group = [each for each in findings.found if each.severity == severity]
        if group:
            console.print(Text(title, style=style))
        for each in group:
            at = f"{findings.name}:{readable(each.key, 200)}" if each.key else findings.name
            console.print(Text.assemble("  ", (at, "cyan"), "  ", readable(each.text, 2000)), soft_wrap=True)
    for name, differences in findings.cases.items():
        verdict = Text("fails ", "red") if differences else Text("passes", "green")
        console.print(Text.assemble("  ", verdict, "  ", readable(name, 200)), soft_wrap=True)
    if ran and not findings.cases:
        console.print(Text("  no golden cases in it: pictures and what to see on them go into tests/", style="dim"))
    console.print(_verdict(findings), soft_wrap=True)


def _verdict(findings: Findings) -> Text:
    counts = {severity: sum(each.severity == severity for each in findings.found) for severity in _TITLES}
    said = [f"{counts['warning']} warning{'s' * (counts['warning'] > 1)}"] if counts["warning"] else []
    if findings.good:
        return Text(f"{findings.name}: good{', ' + said[0] if said else ''}", style="green")
    faults = counts["refused"] + counts["failed"]
    said = (
        [f"{faults} fault{'s' * (faults > 1)}"] * bool(faults)
        + ["an action is disabled"] * bool(counts["disabled"])
        + said
    )
    return Text(f"{findings.name}: not good, {', '.join(said)}", style="red")
