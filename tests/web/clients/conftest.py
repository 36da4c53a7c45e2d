"""Two processes for all tests here, one of Python clients and one of node's: to start one takes longer than what it is asked.

The clients of node are looked for in the folder `node_modules` of STREAMKIT_NODE_MODULES; `.ci/run` says which, and how they come
there.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest

from benchmarks.judges.client import EVENT_SOURCE, PROGRAMS, ChromiumClient, Client, ProcessClient
from benchmarks.process import Process

from ...conftest import require_or_skip
from .curl import node_modules


@pytest.fixture(scope="session")
def python_clients() -> Iterator[Process]:
    if importlib.util.find_spec("openai") is None:
        require_or_skip("openai is not installed")
    with Process.running([sys.executable, str(PROGRAMS / "python_clients.py")], PROGRAMS) as process:
        yield process


@pytest.fixture(scope="session")
def node_clients() -> Iterator[Process]:
    folder = node_modules("openai", "eventsource", "eventsource-parser")
    with Process.running(["node", str(PROGRAMS / "clients.mjs"), str(folder)], PROGRAMS) as process:
        yield process


@pytest.fixture(params=["openai-python", "openai-node"])
def openai(request: pytest.FixtureRequest) -> Client:
    """OpenAI's own clients, one after the other."""
    runtime = request.param.removeprefix("openai-")
    return ProcessClient(request.getfixturevalue(f"{runtime}_clients"), "openai", f"openai in {runtime}")


@pytest.fixture
def parser(node_clients: Process) -> Client:
    """fetch and eventsource-parser, as in any page that does it by hand."""
    return ProcessClient(node_clients, "parser", "parser")


@pytest.fixture(params=["node", "chromium"])
def eventsource(request: pytest.FixtureRequest) -> Client:
    """The `eventsource` package, then a browser's own."""
    if request.param == "node":
        return ProcessClient(request.getfixturevalue("node_clients"), "eventsource", "eventsource")
    return ChromiumClient(request.getfixturevalue("browser"), *EVENT_SOURCE, "EventSource")


@pytest.fixture(params=["openai-python", "openai-node", "parser", "eventsource", "chromium"])
def anyone(request: pytest.FixtureRequest) -> tuple[Client, str]:
    """Each client in turn, and the path below the relay's origin that it is given."""
    match request.param:
        case "openai-python" | "openai-node" as name:
            runtime = name.removeprefix("openai-")
            return ProcessClient(request.getfixturevalue(f"{runtime}_clients"), "openai", f"openai in {runtime}"), "/v1"
        case "chromium":
            return ChromiumClient(request.getfixturevalue("browser"), *EVENT_SOURCE, "EventSource"), ""
        case name:
            path = "" if name == "eventsource" else "/v1"
            return ProcessClient(request.getfixturevalue("node_clients"), name, name), path
