"""The command: ``python -m benchmarks rows``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from .page import page
from .report import ROOT, STREAMKIT, play
from .systems import SYSTEMS
from .table import ROWS

__all__ = ["main"]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks rows",
        description="Play what real feeds do to streamkit and its peers. Exit status 1 where streamkit is not right.",
    )
    parser.add_argument("--rows", metavar="NUMBERS", help="only these: 3b,5,40")
    parser.add_argument("--systems", metavar="NAMES", help="by the beginnings of their names: streamkit,openai-python")
    parser.add_argument("--node", type=Path, metavar="DIR", help="where benchmarks/node/package.json was npm-installed")
    parser.add_argument(
        "--python",
        type=Path,
        action="append",
        default=[],
        metavar="EXE",
        help="another environment in which to look for peers (litellm wants older versions of what others need)",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page there: docs/rows.md is such a one")
    return parser


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    parser = _arguments()
    options = parser.parse_args(argv)
    numbers = options.rows.split(",") if options.rows else [row.number for row in ROWS]
    if unknown := [number for number in numbers if number not in {row.number for row in ROWS}]:
        parser.error(f"no such row: {', '.join(unknown)}")
    beginnings = tuple(options.systems.split(",")) if options.systems else ("",)
    systems = [name for name in SYSTEMS if name.startswith(beginnings)]
    if STREAMKIT not in systems:
        systems.insert(0, STREAMKIT)
    if options.node is not None and not (options.node / "node_modules").is_dir():
        parser.error(f"--node {options.node}: no node_modules there; run npm install in it first")
    rows = [row for row in ROWS if row.number in numbers]
    report = asyncio.run(play(rows, systems, pythons=options.python, node=options.node))
    text = page(report)
    if options.page is None:
        print(text[text.index("Played on") :])
    else:
        options.page.parent.mkdir(exist_ok=True)
        options.page.write_text(text, encoding="utf-8")
        where = options.page.resolve()
        print(f"wrote {where.relative_to(ROOT) if where.is_relative_to(ROOT) else where}")
    failures = report.failures()
    for failure in failures:
        print(f"streamkit is not right: {failure}")
    return 1 if failures else 0
