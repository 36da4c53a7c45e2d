"""Make the tables and the plots of docs/benchmarks.md from results: ``python -m benchmarks plots --json FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .figures import targets
from .page import fill
from .process import ROOT
from .results import load
from .svg import cpu_plot, delay_plot

__all__ = ["main"]

PAGE = ROOT / "docs" / "benchmarks.md"


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status. The plots go into a folder beside the page that is called like it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks plots", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="what `all --json FILE` wrote")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="default docs/benchmarks.md")
    options = parser.parse_args(argv)
    for path in (options.json, options.page):
        if not path.is_file():
            parser.error(f"{path} is not there")
    try:
        results = load(options.json)
    except ValueError as error:
        parser.error(str(error))
    options.page.write_text(fill(options.page.read_text(encoding="utf-8"), results), encoding="utf-8")
    folder = options.page.with_suffix("")
    folder.mkdir(exist_ok=True)
    for section, plot in (("cpu", cpu_plot), ("concurrent", delay_plot)):
        if section in results:
            (folder / f"{section}.svg").write_text(plot(results[section]), encoding="utf-8")
    for target in targets(results):
        print(f"{'ok  ' if target.kept else 'MISS'} {target.promise}: {target.found}")
    return 0
