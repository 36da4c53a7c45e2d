"""What the judges found, as a table of a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

__all__ = ["Cells", "failures", "table", "write_page"]

Cells: TypeAlias = dict[str, dict[str, tuple[bool, str]]]
"""For each row and case: whether it is right, and in few words what it is."""


def table(what: str, cells: Cells, cases: Iterable[str]) -> str:
    """A Markdown table; `what` is what its rows are."""
    names = list(cases)
    lines = [f"| {what} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for row, found in cells.items():
        said = [_cell(*found[name]) if name in found else "" for name in names]
        lines.append(f"| {row} | " + " | ".join(said) + " |")
    return "\n".join(lines)


def _cell(right: bool, said: str) -> str:
    return said if right else "**DIFFERENT**"


def failures(cells: Cells) -> list[str]:
    """Each wrong cell."""
    return [
        f"{row}, {case}: {said}" for row, found in cells.items() for case, (right, said) in found.items() if not right
    ]


def write_page(page: Path, mark: str, text: str) -> None:
    """Put a table between the marks of that name."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not (begin and end):
        raise SystemExit(f"{page} has no <!-- {mark} --> with an <!-- end --> after it")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")
