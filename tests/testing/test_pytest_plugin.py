"""The fixtures, in a pytest of their own, as a user's project runs them; and in this one, for their coverage."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import aiohttp
import pytest

from streamkit import StreamDriver
from streamkit.tape import Tape, demo_tape as shipped_tape
from streamkit.testing import Fault, LinkFaults, Reset, Send, chunk, pytest_plugin, sse
from streamkit.testing.pytest_plugin import CompletionServerFactory, FaultProxyFactory, ReplayFactory
from tests.conftest import REPO

# setup.cfg leaves the plugin out, because pytest would load it before coverage begins.
fixtures = (
    _completion_server := pytest_plugin._completion_server,
    _replay := pytest_plugin._replay,
    _fault_proxy := pytest_plugin._fault_proxy,
    _demo_tape := pytest_plugin._demo_tape,
)

BY_NAME = ["-p", "streamkit.testing.pytest_plugin"]

# Where streamkit is installed, its entry point is what is tested.
PLUGIN = [] if entry_points(group="pytest11", name="streamkit.testing.pytest_plugin") else BY_NAME

USERS_TEST = """
import pytest
from streamkit import ConnectionLost, StreamDriver
from streamkit.testing import Fault, LinkFaults, chunk, sse

FEED = sse(chunk("Hello", role="assistant"), chunk(finish_reason="stop"))

{mark}
async def test_all(completion_server, replay, fault_proxy, demo_tape):
    server = await completion_server(FEED)
    proxy = await fault_proxy(server.base_url, LinkFaults(slice=3))
    played = await replay(demo_tape)
    async with StreamDriver(proxy.base_url) as driver, StreamDriver(played.base_url) as other:
        assert (await driver.stream("Hi", model="m")).text == "Hello"
        assert len((await other.stream("Hi", model="m")).text) > 100

{mark}
async def test_one_that_leaves_a_stream_open(completion_server):
    await completion_server(FEED)
    await completion_server(FEED)

def test_a_tape_needs_no_loop(demo_tape):
    assert demo_tape.ending == "eof"
"""


def run_pytest(
    folder: Path, test: str, *options: str, loop_scope: str = "function", autoload: bool = True
) -> tuple[int, str]:
    """Run a test file in a project of its own; returns the exit status and the output."""
    (folder / "test_it.py").write_text(test)
    settings = ["filterwarnings = error", f"asyncio_default_fixture_loop_scope = {loop_scope}"][: 1 + autoload]
    (folder / "pytest.ini").write_text("\n".join(["[pytest]", *settings]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "OPENAI"))}
    if not autoload:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


# -------------------------------------------------------------------------------------------------- in a user's project


@pytest.mark.parametrize(
    ("mode", "mark", "plugin"),
    [("auto", "", PLUGIN), ("strict", "@pytest.mark.asyncio", BY_NAME)],
    ids=["auto", "strict"],
)
def test_the_fixtures_work_in_both_modes_of_pytest_asyncio(
    mode: str, mark: str, plugin: list[str], tmp_path: Path
) -> None:
    status, output = run_pytest(tmp_path, USERS_TEST.format(mark=mark), *plugin, "--asyncio-mode", mode)

    assert status == 0, output
    assert "3 passed" in output


def test_a_loop_that_is_wider_than_a_test_needs_fixtures_on_it(tmp_path: Path) -> None:
    mark = '@pytest.mark.asyncio(loop_scope="module")'

    status, output = run_pytest(tmp_path, USERS_TEST.format(mark=mark), *PLUGIN)
    assert status == 1 and "give asyncio_default_fixture_loop_scope in pytest's configuration the loop_scope" in output

    status, output = run_pytest(tmp_path, USERS_TEST.format(mark=mark), *PLUGIN, loop_scope="module")
    assert status == 0, output


def test_without_pytest_asyncio_a_test_is_told_what_is_missing(tmp_path: Path) -> None:
    # To Python, a module that is None is one that cannot be imported.
    (tmp_path / "hidden.py").write_text("import sys\nsys.modules['pytest_asyncio'] = None\n")
    test = "def test_it(fault_proxy): pass\ndef test_tape(demo_tape): assert demo_tape.reads\n"

    status, output = run_pytest(tmp_path, test, "-p", "hidden", *BY_NAME, autoload=False)

    assert "the fixture 'fault_proxy' of streamkit needs pytest-asyncio: pip install pytest-asyncio" in output
    assert status == 1 and "1 passed, 1 error" in output, output


def test_pytest_lists_them_with_what_they_do(tmp_path: Path) -> None:
    status, output = run_pytest(tmp_path, "", *PLUGIN, "--fixtures")

    assert status == 0
    for line in (
        "Starts servers that answer by script: `server = await completion_server(script, ...)`.",
        "Starts servers that play a tape: `server = await replay(tape, speed=0, fault=None)`.",
        "Starts proxies with faults in front of a server: `proxy = await fault_proxy(server.base_url, LinkFaults(...))`.",
        "The recording that streamkit ships: an answer of some lines, with its timing.",
    ):
        assert line in output


def test_a_projects_own_fixture_of_the_name_takes_precedence(tmp_path: Path) -> None:
    test = """
import pytest

@pytest.fixture
def replay():
    return "mine"

def test_it(replay):
    assert replay == "mine"
"""

    status, output = run_pytest(tmp_path, test, *PLUGIN)

    assert status == 0, output


# ----------------------------------------------------------------------------------------------------------- in this one


async def test_servers_are_closed_when_the_test_ends(completion_server: CompletionServerFactory) -> None:
    first, second = await completion_server(b"1"), await completion_server([Send(b"2"), Reset()], b"3")
    assert first.port != second.port

    async with aiohttp.ClientSession() as session:
        async with session.post(first.base_url) as response:
            assert await response.read() == b"1"
        with pytest.raises(aiohttp.ClientError):
            async with session.post(second.base_url) as response:
                await response.read()


async def test_a_tape_is_replayed_at_once_and_with_a_fault(replay: ReplayFactory, demo_tape: Tape) -> None:
    loop = asyncio.get_running_loop()
    assert demo_tape == shipped_tape()

    begin = loop.time()
    server = await replay(demo_tape)
    async with StreamDriver(server.base_url, retries=0) as driver:
        assert (await driver.stream("Hi", model="m")).text
    assert loop.time() - begin < demo_tape.duration / 2

    server = await replay(demo_tape, fault=Fault("cut", after_bytes=2000), split=100)
    async with StreamDriver(server.base_url, retries=0) as driver:
        with pytest.raises(ConnectionError):
            await driver.stream("Hi", model="m")


async def test_a_proxy_in_front_of_a_server(
    completion_server: CompletionServerFactory, fault_proxy: FaultProxyFactory
) -> None:
    server = await completion_server(sse(chunk("Hello"), chunk(finish_reason="stop")))
    proxy = await fault_proxy(server.base_url, LinkFaults(slice=2), LinkFaults(delay=0.01), refuse=True)
    assert (proxy.to_client, proxy.to_server) == (LinkFaults(slice=2), LinkFaults(delay=0.01))
    await proxy.accept_connections()

    async with StreamDriver(proxy.base_url) as driver:
        assert (await driver.stream("Hi", model="m")).text == "Hello"


async def test_on_another_loop_it_says_which_setting_to_change(completion_server: CompletionServerFactory) -> None:
    def elsewhere() -> None:
        asyncio.run(completion_server(b"1"))

    with pytest.raises(RuntimeError, match="give asyncio_default_fixture_loop_scope in pytest's configuration"):
        await asyncio.to_thread(elsewhere)
