"""Everything that the page of the benchmarks shows, into one file: ``python -m benchmarks all --json FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import concurrent, emit, fanout, imports, memory
from .cpu import chosen, measure
from .results import add_json_option, positive, save

__all__ = ["main"]

PARTS = ("imports", "emit", "memory", "cpu", "concurrent", "fanout")
EVENTS = {"blocks": 20_000, "single": 5_000, "paced": 4_000}


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks all", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), metavar="NAMES", help="default %(default)s")
    parser.add_argument("--rounds", type=positive, default=7, help="of `cpu`; default %(default)s")
    parser.add_argument("--node", type=Path, metavar="DIR", help="where benchmarks/node/package.json was npm-installed")
    add_json_option(parser)
    options = parser.parse_args(argv)
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.node is not None and not (options.node / "node_modules").is_dir():
        parser.error(f"--node {options.node}: no node_modules there; run npm install in it first")
    into = [] if options.json is None else ["--json", str(options.json)]
    commands = {
        "imports": imports.main,
        "emit": emit.main,
        "memory": memory.main,
        "concurrent": concurrent.main,
        "fanout": fanout.main,
    }
    status = 0
    for part in parts:
        print(f"== {part}")
        if part == "cpu":
            report = measure(chosen(None), EVENTS, options.rounds, options.node)
            print(report.table())
            save(options.json, "cpu", report.as_json())
        else:
            status |= commands[part](into)
        print()
    return status
