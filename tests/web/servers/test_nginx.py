"""Debian's nginx in front, as it comes and as docs/deploying.md has it."""

from __future__ import annotations

import asyncio
import re
import shutil
import statistics
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from streamkit.testing import Cut, Headers, Script, ScriptedServer, Send, Wait, chunk, sse

from ...conftest import REPO, require_or_skip
from ..relayed import HELLO, HELLO_FEED, OPEN
from .running import Running, free_port, nginx, serving

STREAM = {**HELLO, "stream": True}
SILENT: Script = [Headers(), Wait(2.2), Send(HELLO_FEED)]
"""Longer than the proxies here allow."""


@dataclass
class Site:
    """A relay, and nginx in front of it in different configurations."""

    server: Running
    ports: dict[str, int]

    def url(self, name: str) -> str:
        return f"{'https' if name == 'tls' else 'http'}://127.0.0.1:{self.ports[name]}"

    @asynccontextmanager
    async def upstream(
        self, name: str, *scripts: Script
    ) -> AsyncIterator[tuple[ScriptedServer, aiohttp.ClientSession]]:
        async with (
            ScriptedServer(*scripts, port=self.server.upstream_port) as scripted,
            aiohttp.ClientSession(self.url(name), timeout=aiohttp.ClientTimeout(20)) as session,
        ):
            yield scripted, session


def documented() -> str:
    """The configuration in docs/deploying.md."""
    match = re.search(r"```nginx\n(.*?)```", (REPO / "docs" / "deploying.md").read_text(), re.DOTALL)
    assert match is not None
    return match[1]


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    if shutil.which("openssl") is None:
        require_or_skip("openssl is not installed: apt-get install openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=example.org", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    with serving("uvicorn", folder) as server:
        ports = {name: free_port() for name in ("default", "tuned", "tls", "default, 1s", "tuned, 1s")}
        app = replaced(documented(), ("server 127.0.0.1:8000;", f"server 127.0.0.1:{server.port};"))
        secure = replaced(
            app,
            ("listen 443 ssl", f"listen 127.0.0.1:{ports['tls']} ssl"),
            ("/etc/ssl/example.org.pem", str(certificate)),
            ("/etc/ssl/example.org.key", str(key)),
        )
        tuned = re.sub("ssl_.*", "", replaced(app, ("listen 443 ssl http2", f"listen 127.0.0.1:{ports['tuned']}")))
        tuned_1s = replaced(
            tuned, (str(ports["tuned"]), str(ports["tuned, 1s"])), ("read_timeout 60s", "read_timeout 1s")
        )
        default, default_1s = (
            f"server {{ listen 127.0.0.1:{ports[name]}; location / {{ proxy_pass {server.url}; {more} }} }}"
            for name, more in (("default", ""), ("default, 1s", "proxy_read_timeout 1s;"))
        )
        # Each has an `upstream app` of its own, and there can be one of a name.
        named = [
            text.replace(" app ", f" app{i} ").replace("//app", f"//app{i}")
            for i, text in enumerate((tuned, tuned_1s, secure))
        ]
        with nginx(folder / "nginx", "\n".join([default, default_1s, *named]), *ports.values()):
            yield Site(server, ports)


BOTH = pytest.mark.parametrize("name", ["default", "tuned"])


@BOTH
async def test_each_token_is_through_at_once(site: Site, name: str) -> None:
    """A reader behind nginx has each within 50 ms of one who reads the same stream before it."""
    tokens = [step for number in range(40) for step in (Send(sse(chunk(f"t{number}."), done=False)), Wait(0.03))]
    async with site.upstream(name, [Headers(), Wait(0.2), *tokens, Send(HELLO_FEED)]) as (_, session):
        async with session.post("/ai/streams", json=HELLO) as response:
            url = response.headers["location"]

        async def arrivals(base: str) -> dict[str, float]:
            loop, at = asyncio.get_running_loop(), {}
            async with session.get(base + url) as response:
                async for data in response.content.iter_any():
                    for token in re.findall(r"t\d+\.", data.decode()):
                        at[token] = loop.time()
            return at

        direct, through = await asyncio.gather(arrivals(site.server.url), arrivals(site.url(name)))

    assert len(direct) == 40
    assert list(through) == list(direct)
    delays = sorted(through[token] - direct[token] for token in direct)
    # The worst is some milliseconds on an idle machine; on one that is busy with other tests, no single one says anything.
    assert statistics.median(delays) < 0.05
    assert delays[len(delays) * 9 // 10] < 0.25


@BOTH
async def test_silent_upstream_outlives_the_proxys_timeout(site: Site, name: str) -> None:
    """Without heartbeats the proxy cuts it: so the timeout is there."""
    async with site.upstream(f"{name}, 1s", SILENT) as (_, session):

        async def answer(path: str) -> tuple[int, str]:
            async with session.post(path, json=STREAM) as response:
                return response.status, await response.text()

        *told, (status, _) = await asyncio.gather(
            *map(answer, ("/ai/v1/chat/completions", "/ai/stream", "/answer", "/mute"))
        )

    assert status == 504
    for status, body in told:
        assert status == 200
        assert body.startswith(": hb\n")
        assert body.endswith("data: [DONE]\n\n")


@BOTH
async def test_aborted_upstream_is_no_success(site: Site, name: str) -> None:
    cut: Script = [Send(sse(chunk("Hel"), done=False)), Wait(0.05), Cut()]
    async with site.upstream(name, cut) as (_, session):

        async def answer(path: str) -> tuple[bytes, bool]:
            got = b""
            async with session.post(path, json=STREAM) as response:
                try:
                    async for data in response.content.iter_any():
                        got += data
                except aiohttp.ClientPayloadError:
                    return got, True
            return got, False

        paths = ["/ai/v1/chat/completions", "/ai/stream", "/answer", "/text"]
        told = dict(zip(paths, await asyncio.gather(*map(answer, paths)), strict=True))

    for path, (got, cut_short) in told.items():
        assert b"Hel" in got
        assert path == "/text" or (b"upstream_cut" in got and b"[DONE]" not in got), path
        # By default nginx asks in HTTP/1.0, in which the end of the connection is the end of the body.
        assert cut_short == (name == "tuned"), path


@BOTH
@pytest.mark.parametrize("path", ["/ai/v1/chat/completions", "/answer", "/wrapped/ai/stream"])
async def test_client_that_leaves_closes_the_upstream(site: Site, name: str, path: str) -> None:
    loop = asyncio.get_running_loop()
    async with site.upstream(name, OPEN) as (scripted, session), asyncio.timeout(15):
        async with session.post(path, json=STREAM) as response:
            await response.content.readany()
            left_at = loop.time()
            response.close()
        await scripted.requests[0].closed.wait()

        closed_at = scripted.requests[0].closed_at
        assert closed_at is not None
        assert closed_at - left_at < 0.5


async def test_http2_carries_more_streams_than_http1_has_connections(site: Site, tmp_path: Path) -> None:
    """Twelve at once on one connection, none of which ends before all have begun."""
    curl = shutil.which("curl")
    if curl is None or b"HTTP2" not in subprocess.run([curl, "-V"], capture_output=True, check=True).stdout:
        require_or_skip("curl with HTTP/2 is not installed: apt-get install curl")
    slow: Script = [Send(sse(chunk("Hel"), done=False)), Wait(0.5), Send(HELLO_FEED)]
    async with site.upstream("tls", slow) as (scripted, _):
        command = [curl, "--silent", "--insecure", "--http2", "--parallel", "--parallel-max", "20"]
        for number in range(12):
            command += [] if number == 0 else ["--next", "--silent", "--insecure", "--http2"]
            command += ["--json", '{"message": "hi"}', "--output", str(tmp_path / f"{number}"), "--write-out"]
            command += ["%{http_version} %{num_connects}\n", site.url("tls") + "/ai/stream"]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        output, _ = await process.communicate()

    lines = output.decode().splitlines()
    assert process.returncode == 0
    assert {line.split()[0] for line in lines} == {"2"}
    assert sum(int(line.split()[1]) for line in lines) == 1
    assert len(scripted.requests) == 12
    assert all((tmp_path / f"{number}").read_text().endswith("data: [DONE]\n\n") for number in range(12))
