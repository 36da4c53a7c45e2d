"""What ``import streamkit`` adds to the import of its dependencies: CPU time, and modules.

``python -m benchmarks imports``. Every import is that of a new process, with byte code compiled beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from .process import ROOT
from .results import add_json_option, positive, save

__all__ = ["main", "measure"]

SECTION = "imports"
LIMIT = 0.08
"""CPU seconds that `import streamkit` may add."""

SCRIPT = """
import json, sys, time
started = time.process_time()
import aiohttp, msgspec, pyee
needed, known = time.process_time(), set(sys.modules)
import streamkit
added = time.process_time() - needed
print(json.dumps({"needed": needed - started, "added": added, "modules": sorted(set(sys.modules) - known)}))
"""


def _import(byte_code: str) -> dict[str, Any]:
    # Byte code in a folder of its own: the checkout stays as it is, and whether Python may write does not matter.
    env = {**os.environ, "PYTHONPYCACHEPREFIX": byte_code, "PYTHONPATH": str(ROOT)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(rounds: int) -> dict[str, Any]:
    """CPU seconds of every round, and the top-level modules that neither Python nor the dependencies brought."""
    with tempfile.TemporaryDirectory() as byte_code:
        _import(byte_code)
        taken = [_import(byte_code) for _ in range(rounds)]
    top_level = {module.partition(".")[0] for module in taken[0]["modules"]}
    return {
        "rounds": rounds,
        "needed_seconds": [once["needed"] for once in taken],
        "added_seconds": [once["added"] for once in taken],
        "modules": len(taken[0]["modules"]),
        "foreign": sorted(top_level - {"streamkit", "aiohttp", "msgspec", "pyee", "yarl"} - sys.stdlib_module_names),
    }


def table(measured: dict[str, Any]) -> str:
    """The figures as text."""
    needed, added = (statistics.median(measured[name]) for name in ("needed_seconds", "added_seconds"))
    foreign = ", ".join(measured["foreign"]) or "none"
    return (
        f"CPU, median of {measured['rounds']} new processes: aiohttp, msgspec and pyee {needed * 1000:.0f} ms, "
        f"import streamkit {added * 1000:.0f} ms more (at most {LIMIT * 1000:.0f})\n"
        f"modules it adds: {measured['modules']}, of which neither streamkit's, its dependencies' nor Python's: {foreign}"
    )


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status: 1 when the import takes longer than it may, or brings an extra in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks imports", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=15, help="default %(default)s")
    add_json_option(parser)
    options = parser.parse_args(argv)
    measured = measure(options.rounds)
    print(table(measured))
    save(options.json, SECTION, measured)
    return 1 if statistics.median(measured["added_seconds"]) > LIMIT or measured["foreign"] else 0
