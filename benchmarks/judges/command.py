"""Real clients read from the relay, and streamkit's driver from real servers: ``python -m benchmarks judges``.

Each client reads each case straight from an upstream and through the relay; the driver reads each server beside openai-python.
All are of fixed versions, installed into a folder the first time. Exit status 1 if one reads something else, or misses an error,
and if a server cannot be run.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ..process import ROOT
from . import driven as drive
from .cases import CASES
from .driven import driven
from .environments import PYTHON_SERVERS, node_folder, python_of
from .relayed import RESUMED, relayed
from .servers import SERVERS, Server
from .table import Cells, failures, table, write_page

__all__ = ["main"]

OPENAI = "openai 3.57.0"
"""The environment of the openai-python that reads from the servers; `short` has the one of its own environment."""

SHORT = {"aimock 1.43.0", "llm-katan 0.22.0"}
"""The servers of `--short`: what takes seconds to install."""


def _homes(folder: Path, node: Path, *, short: bool) -> tuple[list[tuple[Server, Path]], list[str]]:
    """Each server with the folder of its package, and a line for each that cannot be installed."""
    homes, missing = [], []
    for server in SERVERS:
        if short and server.name not in SHORT:
            continue
        if server.name not in PYTHON_SERVERS:
            homes.append((server, node / "node_modules"))
            continue
        try:
            homes.append((server, python_of(server.name, folder).parent))
        except subprocess.CalledProcessError as error:
            missing.append(f"{server.name} cannot be installed: {' '.join(map(str, error.cmd[-3:]))} failed")
    return homes, missing


def _run(options: argparse.Namespace) -> tuple[Cells, Cells, list[str]]:
    logging.getLogger("streamkit.web").setLevel(logging.ERROR)  # that streams fail is meant
    node: Path = options.node or node_folder(options.folder)
    servers, missing = _homes(options.folder, node, short=options.short)
    clients = asyncio.run(relayed(options.folder, node, short=options.short), debug=False)
    python = Path(sys.executable) if options.short else python_of(OPENAI, options.folder)
    found, unstartable = asyncio.run(driven(servers, python), debug=False)
    return clients, found, missing + unstartable


def main(argv: list[str]) -> int:
    """Print both tables; 1 if a client reads something else through the relay, or the driver from a server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks judges", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/judges", help="where they are installed")
    parser.add_argument("--page", type=Path, help="write the tables into this page as well")
    parser.add_argument(
        "--short",
        action="store_true",
        help="openai-python of this environment, openai-node, eventsource; aimock and llm-katan",
    )
    parser.add_argument(
        "--node", type=Path, help="a folder with node_modules of its own; with --short, STREAMKIT_NODE_MODULES"
    )
    options = parser.parse_args(argv)
    if options.short and options.node is None and (folder := os.environ.get("STREAMKIT_NODE_MODULES")):
        options.node = Path(folder)
    if shutil.which("node") is None:
        parser.error("node is not installed: some of the judges, and aimock, run on it")
    clients, servers, problems = _run(options)
    tables = {
        "judges": table("client", clients, [*(case.name for case in CASES), RESUMED]),
        "servers": table("server", servers, drive.CASES),
    }
    about = [f"{case.name}: {case.about} ({case.upstream})" for case in CASES]
    for text in (tables["judges"], "\n".join(about), tables["servers"]):
        print(text, end="\n\n")
    for name, what in drive.CASES.items():
        print(f"{name}: {what}")
    if options.page is not None:
        for mark, text in tables.items():
            write_page(options.page, mark, text)
    for failure in (wrong := failures(clients) + failures(servers) + problems):
        print(f"FAIL {failure}", file=sys.stderr)
    return 1 if wrong else 0
