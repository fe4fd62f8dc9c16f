"""A stranger's text, fit for a terminal or a page. What a page or a terminal makes of markup is for the caller."""

from __future__ import annotations


def readable(text: str, longest: int = 80) -> str:
    """Return the text without what could move a cursor, turn writing around or break a line; cut to `longest`."""
    plain = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def listed(names: list[str], most: int = 8) -> str:
    """Return the first names as a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(readable(name, 40) for name in names[:most]) + more


def quantity(number: float) -> str:
    """Return a count as people say it: 950, 12.3 k, 3.1 M."""
    for unit in ("", " k", " M", " G"):
        if number < 999.5 or unit == " G":
            return f"{number:.0f}{unit}" if not unit or number >= 99.95 else f"{number:.1f}{unit}"
        number /= 1000
    raise AssertionError


def file_size(count: int) -> str:
    """Return a number of bytes as people say it: 950 B, 12.3 kB."""
    said = quantity(count)
    return f"{said}B" if said[-1].isalpha() else f"{said} B"
