"""The command: ``python -m benchmarks cpu`` measures and prints; ``gate``, the default, also judges.

``emit``, ``concurrent``, ``fanout`` (one stream read many times through the relay and its peers), ``memory`` and
``imports`` measure the rest of what docs/benchmarks.md shows; ``all`` runs them and ``cpu``; ``plots`` makes the tables
and plots of that page. ``judges`` has real clients read through the relay. ``rows`` plays what real feeds do to streamkit
and its peers, ``soak`` runs thousands of streams with random faults, ``fuzz`` feeds the parsers what nobody would send,
``windows`` says for how long a window hangs while a stream is shown in it.
They take their own arguments: ``python -m benchmarks rows --help``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from .cpu import Report, chosen, measure
from .feed_server import PACE

__all__ = ["main"]

# How many times the floor streamkit may take. `paced` has no limit: there the socket costs so much more than anything
# done with an event that a ratio would say nothing.
LIMITS = {
    ("streamkit: chunk + text listener", "blocks"): 4.0,
    ("streamkit: chunk + text listener", "single"): 2.5,
    ("streamkit: the same, on its emitter", "blocks"): 4.0,
    ("streamkit: the same, on its emitter", "single"): 2.5,
    ("streamkit: async for", "blocks"): 3.0,
    ("streamkit: async for", "single"): 2.0,
}


# Commands with arguments of their own; a module each, imported when it is asked for.
OTHERS = {
    "sinks": "benchmarks.sinks",
    "all": "benchmarks.suite",
    "concurrent": "benchmarks.concurrent",
    "emit": "benchmarks.emit",
    "fanout": "benchmarks.fanout",
    "fuzz": "benchmarks.fuzz",
    "imports": "benchmarks.imports",
    "judges": "benchmarks.judges.command",
    "memory": "benchmarks.memory",
    "plots": "benchmarks.plots",
    "rows": "benchmarks.rows.command",
    "soak": "benchmarks.soak",
    "windows": "benchmarks.windows",
}


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    cpu = commands.add_parser("cpu", help="processor time an event, streamkit and its peers")
    gate = commands.add_parser("gate", help="exit 1 if streamkit takes more times the floor than it may")
    for command, rounds in ((cpu, 7), (gate, 15)):
        command.add_argument("--rounds", type=_positive, default=rounds, help="default %(default)s")
        command.add_argument("--events", type=_positive, default=20_000, help="in 64 KiB writes; default %(default)s")
        command.add_argument("--single-events", type=_positive, default=5_000, help="one a write; default %(default)s")
        command.add_argument("--json", type=Path, metavar="FILE", help="write the figures, every round, there as well")
    cpu.add_argument("--paced-events", type=_positive, help=f"so many also at one every {PACE * 1e6:.0f} microseconds")
    cpu.add_argument("--only", metavar="NAMES", help="contenders by the beginnings of their names: floor,streamkit")
    cpu.add_argument("--node", type=Path, metavar="DIR", help="where benchmarks/node/package.json was npm-installed")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 1 for a gate not passed or a contender that failed, else 0."""
    arguments = (sys.argv[1:] if argv is None else argv) or ["gate"]
    if (command := OTHERS.get(arguments[0])) is not None:
        status: int = importlib.import_module(command).main(arguments[1:])
        return status
    parser = _arguments()
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.parent}")
    events = {"blocks": options.events, "single": options.single_events}
    if options.command == "gate":
        names, node = ["floor", *dict.fromkeys(name for name, _ in LIMITS)], None
    else:
        if options.paced_events:
            events["paced"] = options.paced_events
        node = options.node
        if node is not None and not (node / "node_modules").is_dir():
            parser.error(f"--node {node}: no node_modules there; run npm install in it first")
        try:
            names = chosen(options.only)
        except ValueError as error:
            parser.error(str(error))
    try:
        report = measure(names, events, options.rounds, node)
    except RuntimeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(report.table())
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    return _judged(report) if options.command == "gate" else 0


def _judged(report: Report) -> int:
    passed = True
    print()
    for (name, mode), limit in LIMITS.items():
        ratio = report.ratio(name, mode)
        kept = ratio is not None and ratio <= limit
        passed = passed and kept
        found = "not measured" if ratio is None else f"{ratio:.2f}x the floor"
        print(f"{'ok  ' if kept else 'FAIL'} {name}, {mode}: {found}, at most {limit:.1f}x")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
