from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from streamkit.tape import demo_tape
from streamkit.testing import Hang, ReceivedRequest, ScriptedServer, Send, Step, answer, chunk, completion_server, sse
from tests.cli.command import COMMAND, environment, run, terminal
from tests.conftest import REPO

FEED = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"))
HELLO = {"messages": [{"role": "user", "content": "canary"}]}


@dataclass
class Served:
    """A running `streamkit serve`: its URL and, once it has ended, its status and what it said."""

    url: str
    process: asyncio.subprocess.Process
    status: int | None = None
    err: list[str] = field(default_factory=list)

    async def end(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            _, err = await self.process.communicate()
        self.status, self.err = self.process.returncode, err.decode().splitlines()


@asynccontextmanager
async def serving(
    *arguments: str, base_url: str | None = None, env: dict[str, str] | None = None
) -> AsyncIterator[Served]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", "--port", "0", *arguments, env=environment(base_url, env), stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        assert url.startswith("http://"), (await process.communicate())[1].decode()
        yield Served(url, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


class ModelServer(ScriptedServer):
    """Also lists models, to those who have the key."""

    def __init__(self, *models: str, key: str = "", script: bytes = FEED) -> None:
        super().__init__(script)
        self._models = models
        self._key = key

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            return answer(401, {"error": {"message": "no key"}})
        if request.method == "GET" and request.path == "/v1/models":
            self.requests.append(request)
            return answer(200, {"object": "list", "data": [{"id": model} for model in self._models]})
        return super().script_for(request)


async def test_without_a_server_it_serves_the_demo_to_every_kind_of_client() -> None:
    async with serving("--speed", "0") as served, aiohttp.ClientSession(served.url) as session:
        async with session.post("/stream", json={"message": "hi"}) as response:
            guide = await response.text()
        async with session.post("/v1/chat/completions", json=HELLO) as response:
            whole = await response.json()
        async with session.get("/v1/models") as response:
            models = await response.json()
        async with session.get("/") as response:
            page = await response.text()
            assert response.headers["content-type"] == "text/html; charset=utf-8"
            etag = response.headers["etag"]
        async with session.get("/", headers={"if-none-match": etag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with session.post("/") as response:
            assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
        await served.end()

    assert guide.endswith("data: [DONE]\n\n")
    assert whole["choices"][0]["message"]["content"].endswith("hears it once.")
    assert [model["id"] for model in models["data"]] == ["demo"]
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert served.status == 0
    assert served.err == [f"relays the recorded demo answer, until ^C; OpenAI clients: OPENAI_BASE_URL={served.url}/v1"]


async def told_by(response: aiohttp.ClientResponse) -> bytes:
    """What comes before the connection is cut."""
    got = b""
    with pytest.raises(aiohttp.ClientPayloadError):
        while data := await response.content.readany():
            got += data
    return got


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_who_reads_is_told_when_it_ends(number: int) -> None:
    script: list[Step] = [Send(sse(chunk("Hel", role="assistant"), done=False)), Hang()]
    async with completion_server(script) as upstream:
        async with (
            serving("--model", "m", base_url=upstream.base_url) as served,
            aiohttp.ClientSession(served.url) as session,
            session.post("/stream", json=HELLO) as response,
        ):
            reading = asyncio.create_task(told_by(response))
            await served.end(number)
            got = await reading
        await asyncio.wait_for(upstream.requests[-1].closed.wait(), 10)

    assert served.status == 0
    assert "Traceback" not in "".join(served.err)
    assert json.loads(got.split(b"data: ")[-1])["error"]["code"] == "shutdown"


async def test_it_relays_a_server_with_its_key_and_asks_clients_for_their_own() -> None:
    async with (
        ModelServer("small", key="sk-secret-of-the-server") as upstream,
        serving(
            "--token", "tok-ann", "--token", "tok-bob",
            base_url=upstream.base_url, env={"OPENAI_API_KEY": "sk-secret-of-the-server"},
        ) as served,
        aiohttp.ClientSession(served.url) as session,
    ):  # fmt: skip
        async with session.post("/stream", json=HELLO) as response:
            assert response.status == 401
        ann, bob = ({"authorization": f"Bearer tok-{name}"} for name in ("ann", "bob"))
        async with session.post("/streams", json=HELLO, headers=ann) as response:
            url = response.headers["location"]
        async with session.get(url, headers=bob) as response:
            assert response.status == 404
        async with session.get(url, headers=ann) as response:
            assert '"text":"Hel"' in await response.text()
        await served.end()

    asked = upstream.requests[-1]
    assert asked.json["model"] == "small"  # the only one that it has
    assert asked.headers["authorization"] == "Bearer sk-secret-of-the-server"
    assert not any(secret in line for line in served.err for secret in ("secret", "tok-", "canary"))


async def test_models_that_are_named_are_offered_and_no_others() -> None:
    async with (
        ModelServer("a", "b") as upstream,
        serving("--model", "b", "--model", "a", base_url=upstream.base_url) as served,
        aiohttp.ClientSession(served.url) as session,
    ):
        async with session.post("/stream", json={**HELLO, "model": "c"}) as response:
            assert response.status == 404
        async with session.post("/stream", json=HELLO) as response:
            await response.read()
        await served.end()

    assert upstream.requests[-1].json["model"] == "b"


async def test_several_models_and_none_named_is_said() -> None:
    async with ModelServer("a", "b") as upstream, serving(base_url=upstream.base_url) as served:
        await served.end()

    assert served.err[0] == "no model was named (--model, OPENAI_MODEL): each client has to name one"


async def test_this_machine_only_means_no_name_of_another() -> None:
    async with serving("--cors", "https://chat.example") as served, aiohttp.ClientSession(served.url) as session:
        async with session.get("/v1/models", headers={"host": "rebound.example"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (403, "wrong_host")
        for origin, status in (("https://chat.example", 200), ("https://evil.example", 403)):
            headers = {"origin": origin, "sec-fetch-site": "cross-site"}
            async with session.get("/v1/models", headers=headers) as response:
                assert response.status == status
                assert response.headers.get("access-control-allow-origin") == (origin if status == 200 else None)
        await served.end()


async def test_open_to_others_without_a_token_is_said() -> None:
    async with serving("--host", "0.0.0.0") as served:
        await served.end()

    assert served.err[-1] == "whoever can reach this address can use it: --token makes it ask for one"


async def test_tape_is_served_at_its_pace(tmp_path: object) -> None:
    tape = str(REPO / "streamkit" / "demo.sse.jsonl")
    async with serving("--tape", tape, "--speed", "0") as served, aiohttp.ClientSession(served.url) as session:
        async with session.post("/stream", json=HELLO) as response:
            assert (await response.text()).endswith("data: [DONE]\n\n")
        await served.end()

    assert demo_tape().duration > 0
    assert f"the answer on {tape}" in served.err[0]


async def test_interrupted_on_a_terminal_it_ends_without_a_traceback() -> None:
    async with terminal("serve", "--port", "0") as screen:
        await screen.until("until ^C")
        screen.type("\x03")
        assert await screen.status() == 0

    assert "Traceback" not in screen.shown


# --- bad input --------------------------------------------------------------------------------------------------------


async def test_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = await run("serve", "--port", str(port))

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.sentence == (
        f"streamkit: cannot listen on 127.0.0.1 port {port}: Address already in use; choose another (--host, --port)"
    )


async def test_server_that_is_not_there_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        outcome = await run("serve", "--base-url", f"http://127.0.0.1:{port}/v1")

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.sentence == (
        f"streamkit: cannot reach the server at http://127.0.0.1:{port}: Connection refused; "
        "is its URL right, and does it run?"
    )


@pytest.mark.parametrize("key", [None, "sk-wrong-key"])
async def test_key_that_is_missing_or_wrong_is_one_sentence(key: str | None) -> None:
    async with ModelServer("m", key="sk-right-key") as upstream:
        outcome = await run("serve", base_url=upstream.base_url, env={"OPENAI_API_KEY": key} if key else None)

    assert (outcome.status, outcome.out) == (1, "")
    said = "refused the key (401)" if key else "asks for a key (401)"
    assert said in outcome.sentence
    assert "OPENAI_API_KEY" in outcome.sentence
    assert "sk-" not in outcome.sentence


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--base-url", "nosuch"), "base_url must begin with http:// or https://"),
        (("--cors", "https://a/"), "an origin is a scheme and a host"),
        (("--token", "a b"), "must be printable ASCII without spaces"),
        (("--token", ""), "must be printable ASCII without spaces"),
        (("--tape", "x", "--base-url", "http://x"), "--tape and --base-url are both a server"),
        (("--host", "no such host"), "cannot listen on no such host port 8000"),
    ],
)
async def test_setting_that_makes_no_sense_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    outcome = await run("serve", *arguments)

    assert (outcome.status, outcome.out) == (2, "")
    assert says in outcome.sentence


async def test_tape_that_is_none_is_one_sentence() -> None:
    outcome = await run("serve", "--tape", "/no/such/tape")

    assert (outcome.status, outcome.out) == (1, "")
    assert "cannot read the tape" in outcome.sentence
