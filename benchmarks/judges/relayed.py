"""Real clients read each case straight from an upstream and through the relay.

One that reads the relay's own protocol, which no upstream speaks, is held to what openai-python reads straight.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from streamkit.testing import fault_proxy

from ..process import Process
from .aimock import LONG, aimock
from .answers import ByModel
from .cases import CASES, SCRIPTS, Case, verdict
from .client import EVENT_SOURCE, FETCH_EVENT_SOURCE, PROGRAMS, ChromiumClient, Client, ProcessClient
from .environments import PYTHON, python_of
from .saw import Saw, saw_of
from .stage import Stage, staged
from .table import Cells

__all__ = ["RESUMED", "relayed"]

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


def _straight_of(client: str, case: Case, saw: dict[str, dict[str, Saw]]) -> Saw:
    """What the client reads straight; for one of the relay's own protocol, the newest openai-python."""
    if client not in NATIVE:
        return saw[client][case.name]
    straight = saw[[name for name in saw if name.startswith("openai ")][-1]][case.name]
    if straight.error is not None and case.ends == "refused":
        # The words of the error object, without what openai-python adds to them.
        return Saw(**{**vars(straight), "error": {**straight.error, "message": "Slow down"}})
    return straight


async def _judge(clients: dict[str, Client], stages: dict[str, Stage]) -> Cells:
    results: Cells = {}
    straight: dict[str, dict[str, Saw]] = {}
    for name, client in clients.items():
        cells = results[name] = {}
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
async def _clients(folder: Path, node: Path, *, short: bool) -> AsyncIterator[dict[str, Client]]:
    clients: dict[str, Client] = {}
    async with AsyncExitStack() as stack:
        for name in [f"openai {version('openai')}"] if short else PYTHON:
            python = Path(sys.executable) if short else await asyncio.to_thread(python_of, name, folder)
            command, kind = _command(name, python)
            clients[name] = ProcessClient(stack.enter_context(Process.running(command, PROGRAMS)), kind, name)
        process = stack.enter_context(Process.running(["node", str(PROGRAMS / "clients.mjs"), str(node)], PROGRAMS))
        for name, kind in NODE_CLIENTS.items():
            if not short or kind in {"openai", "eventsource"}:
                clients[name] = ProcessClient(process, kind, name)
        if not short:
            if shutil.which("chromium") is None:
                raise SystemExit("chromium is not installed: two of the judges are in it")
            from tests.web.chromium import connected, launched  # the tests' driver of a browser

            endpoint = stack.enter_context(launched())
            browser = await stack.enter_async_context(connected(endpoint))
            for name, (script, call) in CHROMIUM_CLIENTS.items():
                clients[name] = ChromiumClient(browser, script, call, name)
        yield clients


async def relayed(folder: Path, node: Path, *, short: bool) -> Cells:
    """A cell for each client and case.

    Args:
        folder: where the environments of the Python clients are.
        node: the folder whose `node_modules` has node's clients, and aimock.
        short: openai-python of this environment, openai-node, eventsource.
    """
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
        clients = await stack.enter_async_context(_clients(folder, node, short=short))
        return await _judge(clients, stages)
