"""Errors, and warnings of servers, reach stderr where nobody has configured logging, and nothing else does."""

import subprocess
import sys

SCRIPT = """
import asyncio, logging
{configure}
from streamkit import StreamDriver
from streamkit.testing import chunk, completion_server, sse

def broken(text):
    raise KeyError("typo")

async def main():
    async with completion_server(sse(chunk("hi"), chunk(finish_reason="stop"))) as server:
        async with StreamDriver(server.base_url) as driver:
            stream = driver.stream("x")
            stream.on("text", broken)
            print(await stream)

asyncio.run(main())
"""


def run(configure: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT.format(configure=configure)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_a_listener_that_raises_shows_in_a_script_without_logging():
    done = run("")
    assert done.stdout == "hi\n"
    assert done.stderr.count("Traceback") == 1
    assert "listener __main__.broken raised while it handled 'text'" in done.stderr


SERVER = """
import asyncio
from streamkit import StreamDriver, StreamError
from streamkit.web import Relay

async def main():
    async with StreamDriver("http://127.0.0.1:9/v1", "sk-canary", model="m", retries=0) as driver, Relay(driver) as relay:
        relayed = await relay.start({"messages": [{"role": "user", "content": "canary"}]})
        try:
            await relayed.ready()
        except StreamError:
            pass

asyncio.run(main())
"""


def test_what_a_server_cannot_tell_its_caller_shows_without_logging():
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, timeout=60, check=True)
    (line,) = done.stderr.splitlines()
    assert "failed: ConnectionFailed, code 'upstream_http', status 502" in line
    assert "no connection to 127.0.0.1:9" in line
    assert "canary" not in line


def test_where_logging_is_configured_the_record_goes_there_and_nowhere_else():
    done = run("logging.basicConfig(format='%(name)s %(levelname)s')")
    assert done.stderr.splitlines()[0] == "streamkit.listeners ERROR"
    assert done.stderr.count("Traceback") == 1


def test_a_handler_of_streamkits_own_logger_is_enough():
    done = run("logging.getLogger('streamkit').addHandler(logging.FileHandler('/dev/null'))")
    assert done.stderr == ""
