"""Real clients read each case straight from an upstream and through the relay: ``python -m benchmarks judges``.

The clients are of fixed versions, installed into a folder the first time. One that reads the relay's own protocol, which no
upstream speaks, is held to what openai-python reads straight. Exit status 1 if a client reads something else, or misses an error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from streamkit.testing import fault_proxy

from ..process import ROOT, Process
from .aimock import LONG, aimock
from .answers import ByModel
from .cases import CASES, SCRIPTS, Case, verdict
from .client import EVENT_SOURCE, FETCH_EVENT_SOURCE, PROGRAMS, ChromiumClient, Client, ProcessClient
from .environments import PYTHON, node_folder, python_of
from .saw import Saw, saw_of
from .stage import Stage, staged

__all__ = ["Results", "main", "write_page"]

NODE_CLIENTS = {
    "openai-node 6.49.0": "openai",
    "ai-sdk 6.0.326, openai-compatible": "ai-sdk",
    "eventsource-parser 3.1.1": "parser",
    "eventsource 4.1.1": "eventsource",
}
CHROMIUM_CLIENTS = {
    "EventSource in Chromium": EVENT_SOURCE,
    "fetch-event-source 2.0.1 in Chromium": FETCH_EVENT_SOURCE,
}
NATIVE = {"eventsource 4.1.1", *CHROMIUM_CLIENTS}
"""They read the relay's own protocol."""

RESUMED = "resumed"
"""The case of a reader's connection that is cut, which only the relay's own protocol mends."""

BEATS = 10
"""How many heartbeats there are in the slow answer, at the least; one client counts them."""

CUTS = 3
"""How often all connections of a reader are reset in the course of one answer."""


@dataclass
class Results:
    """A cell for each client and case: whether it is right, and in few words what it is."""

    cells: dict[str, dict[str, tuple[bool, str]]] = field(default_factory=dict)

    def table(self) -> str:
        """A Markdown table."""
        names = [case.name for case in CASES] + [RESUMED]
        lines = ["| client | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        for client, cells in self.cells.items():
            said = [_cell(*cells[name]) if name in cells else "" for name in names]
            lines.append(f"| {client} | " + " | ".join(said) + " |")
        return "\n".join(lines)

    def failures(self) -> list[str]:
        """Each wrong cell."""
        return [
            f"{client}, {case}: {said}"
            for client, cells in self.cells.items()
            for case, (right, said) in cells.items()
            if not right
        ]


def _cell(right: bool, said: str) -> str:
    return said if right else "**DIFFERENT**"


def _straight_of(client: str, case: Case, saw: dict[str, dict[str, Saw]]) -> Saw:
    """What the client reads straight; for one of the relay's own protocol, the newest openai-python."""
    if client not in NATIVE:
        return saw[client][case.name]
    straight = saw[[name for name in saw if name.startswith("openai ")][-1]][case.name]
    if straight.error is not None and case.ends == "refused":
        # The words of the error object, without what openai-python adds to them.
        return Saw(**{**vars(straight), "error": {**straight.error, "message": "Slow down"}})
    return straight


async def _judge(clients: dict[str, Client], stages: dict[str, Stage]) -> Results:
    results = Results()
    straight: dict[str, dict[str, Saw]] = {}
    for name, client in clients.items():
        cells = results.cells[name] = {}
        for upstream, stage in stages.items():
            cases = [case for case in CASES if case.upstream == upstream]
            models = [case.name for case in cases]
            if name not in NATIVE:
                reports = await client.reports(stage.upstream, models)
                seen = {case.name: saw_of(report) for case, report in zip(cases, reports, strict=True)}
                straight.setdefault(name, {}).update(seen)
            relayed = await client.reports(stage.origin if name in NATIVE else stage.base_url, models)
            for case, report in zip(cases, relayed, strict=True):
                cells[case.name] = verdict(case, _straight_of(name, case, straight), saw_of(report))
                if case.name == "slow" and report.get("comments", BEATS) < BEATS:
                    cells[case.name] = False, f"there were only {report['comments']} heartbeats"
        if name in NATIVE:
            cells[RESUMED] = await _resumed(client, stages["aimock"])
        print(f"{name}: " + ", ".join(f"{case} {said}" for case, (_, said) in cells.items()), file=sys.stderr)
    return results


async def _resumed(client: Client, stage: Stage) -> tuple[bool, str]:
    """A long answer, through a proxy that resets all connections again and again; the upstream is asked once."""
    started: list[object] = []
    stage.counters.append(started)
    async with fault_proxy(stage.origin) as proxy:
        reading = asyncio.ensure_future(client.reports(f"http://127.0.0.1:{proxy.port}", ["long"]))
        while not (started or reading.done()):
            await asyncio.sleep(0.01)
        for _ in range(CUTS):
            await asyncio.wait([reading], timeout=0.7)
            await proxy.reset_connections()
        (report,) = await reading
    stage.counters.remove(started)
    saw = saw_of(report)
    if (saw.text, saw.finish_reason, saw.done) != (LONG, "stop", True):
        return False, f"{saw}"
    if len(started) != 1:
        return False, f"{len(started)} streams were started"
    return (True, f"same, cut {report['errors']} times") if report["errors"] else (False, "it was never cut")


def _command(name: str, python: Path) -> tuple[list[str], str]:
    kind = "openai-0" if name.startswith("openai 0") else name.partition(" ")[0].removesuffix("-openai")
    return [str(python), str(PROGRAMS / "python_clients.py")], kind


@asynccontextmanager
async def _clients(options: argparse.Namespace, node: Path) -> AsyncIterator[dict[str, Client]]:
    clients: dict[str, Client] = {}
    async with AsyncExitStack() as stack:
        for name in [f"openai {version('openai')}"] if options.short else PYTHON:
            python = Path(sys.executable) if options.short else await asyncio.to_thread(python_of, name, options.folder)
            command, kind = _command(name, python)
            clients[name] = ProcessClient(stack.enter_context(Process.running(command, PROGRAMS)), kind, name)
        process = stack.enter_context(Process.running(["node", str(PROGRAMS / "clients.mjs"), str(node)], PROGRAMS))
        for name, kind in NODE_CLIENTS.items():
            if not options.short or kind in {"openai", "eventsource"}:
                clients[name] = ProcessClient(process, kind, name)
        if not options.short:
            if shutil.which("chromium") is None:
                raise SystemExit("chromium is not installed: two of the judges are in it")
            from tests.web.chromium import connected, launched  # the tests' driver of a browser

            endpoint = stack.enter_context(launched())
            browser = await stack.enter_async_context(connected(endpoint))
            for name, (script, call) in CHROMIUM_CLIENTS.items():
                clients[name] = ChromiumClient(browser, script, call, name)
        yield clients


async def _run(options: argparse.Namespace) -> Results:
    node = options.node or await asyncio.to_thread(node_folder, options.folder)
    files = node / "node_modules/@microsoft/fetch-event-source/lib/esm"
    # More signs of life than tokens, and headers before the upstream has said anything.
    settings: dict[str, Any] = {"heartbeat": 0.03, "early_commit": 0.5, "retry_ms": (20, 40), "files": files}
    async with AsyncExitStack() as stack:
        mock = stack.enter_context(aimock(node))
        scripted = await stack.enter_async_context(ByModel(SCRIPTS))
        stages = {
            "aimock": await stack.enter_async_context(staged(mock, **settings)),
            "scripted": await stack.enter_async_context(staged(scripted.base_url, **settings)),
        }
        clients = await stack.enter_async_context(_clients(options, node))
        return await _judge(clients, stages)


def write_page(page: Path, table: str) -> None:
    """Put the table between the marks of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- judges -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not (begin and end):
        raise SystemExit(f"{page} has no <!-- judges --> with an <!-- end --> after it")
    page.write_text(f"{before}{begin}\n{table}\n\n{end}{after}", encoding="utf-8")


def main(argv: list[str]) -> int:
    """Print the table; 1 if a client reads something else through the relay."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks judges", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/judges", help="where clients are installed")
    parser.add_argument("--page", type=Path, help="write the table into this page as well")
    parser.add_argument(
        "--short", action="store_true", help="openai-python of this environment, openai-node, eventsource"
    )
    parser.add_argument(
        "--node", type=Path, help="a folder with node_modules of its own; with --short, STREAMKIT_NODE_MODULES"
    )
    options = parser.parse_args(argv)
    if options.short and options.node is None and (folder := os.environ.get("STREAMKIT_NODE_MODULES")):
        options.node = Path(folder)
    if shutil.which("node") is None:
        parser.error("node is not installed: some of the judges, and aimock, run on it")
    results = asyncio.run(_run(options), debug=False)
    print(results.table())
    print()
    for case in CASES:
        print(f"{case.name}: {case.about} ({case.upstream})")
    if options.page is not None:
        write_page(options.page, results.table())
    for failure in (failures := results.failures()):
        print(f"FAIL {failure}", file=sys.stderr)
    return 1 if failures else 0
