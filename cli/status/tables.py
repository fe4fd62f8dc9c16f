"""The report as tables for people. What strangers named is shown as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.packages.texts import listed, readable
from cli.status.report import Report

_LONGEST = 200


def tables(report: Report) -> RenderableType:
    """Return everything, troubles last: that is where a terminal stops."""
    head = f"{report['subscriptions']} subscriptions, {report['results_per_second']:g} results/s"
    head += f", {report['results_kept']} results kept, {report['patch_failures']} failed patches"
    parts: list[RenderableType] = [Text(head, style="bold")]
    parts += _table("processes", _PROCESS, (_process(node) for node in report["nodes"]))
    parts += _table("cameras", _CAMERA, (row for camera in report["cameras"] for row in _cameras(camera)))
    parts += _table("packages", _PACKAGE, (_package(each) for each in report["pipelines"]))
    found = [[each["about"], each["code"], each["text"]] for each in report["troubles"]]
    parts += _table("troubles", ("of", "code", "what"), found, style="yellow")
    parts.append(Text("\nall is well" if report["well"] else "", style="green"))
    return Group(*parts)


_PROCESS = ("role", "host", "id", ">sign", ">progress", ">work/s", ">cpu", ">memory", ">gpu", ">gpu memory")
_CAMERA = ("display;camera", "online", "state", ">for", ">camera fps", ">asked", ">done", ">age", "held by")
_PACKAGE = ("package", "version", ">workers", ">subscriptions", "held by")


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], style: str | None = None
) -> list[RenderableType]:
    """Return a titled table, or nothing when it has no rows; a column that begins with > holds numbers."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        number = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(readable(cell, _LONGEST)) for cell in row), style=style)
    return [Text(f"\n{title}", style="bold"), table] if table.row_count else []


def _process(node: Report) -> list[str]:
    usages = [_percent(node[name]) for name in ("cpu", "memory", "gpu", "gpu_memory")]
    times = [f"{node['sign_age_s']:.1f} s", span(node["idle_s"])]
    return [node["role"], node["host"], node["id"], *times, f"{node['per_second']:.1f}", *usages]


def _cameras(camera: Report) -> list[list[str]]:
    """Return a row for each subscription; the camera itself is in the first."""
    of_camera = [
        "yes" if camera["online"] else "no",
        camera["state"] or "-",
        span(camera["for_s"]),
        "-" if camera["fps"] is None else f"{camera['fps']:.1f}",
    ]
    rows = []
    for number, each in enumerate(camera["subscriptions"]):
        own = of_camera if number == 0 else [""] * len(of_camera)
        age = "-" if each["age_s"] is None else f"{each['age_s']:.2f} s"
        rates = [f"{each['requested_fps']:g}", f"{each['achieved_fps']:.1f}", age]
        rows.append([each["id"], *own, *rates, (camera["held_by"] or "-") if number == 0 else ""])
    return rows


def _package(each: Report) -> list[str]:
    return [
        each["name"],
        each["version"] or "-",
        str(len(each["workers"])),
        str(each["subscriptions"]),
        listed(each["workers"], 3),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} %"


def span(seconds: float | None) -> str:
    """Return a time as people say it: 3.2 s, 5 min, 2.5 h, 4 d."""
    if seconds is None:
        return "-"
    for longest, unit_s, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < longest:
            return f"{seconds / unit_s:.1f} {name}" if unit_s != 60 else f"{seconds / unit_s:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"
