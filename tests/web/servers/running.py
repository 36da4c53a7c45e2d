"""ASGI servers and nginx as processes of their own, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...conftest import REPO, require_or_skip

__all__ = ["SERVERS", "Running", "curl", "free_port", "nginx", "serving"]

SERVERS = {
    "uvicorn": ["--no-access-log", "--log-level=warning"],
    "hypercorn": ["--log-level=warning"],
    "granian": ["--interface=asgi", "--log-level=warning"],
}
"""As their commands are without more ado: Hypercorn and Granian then serve in a process of their own making."""


@dataclass
class Running:
    """A server that listens.

    Attributes:
        process: to be signalled.
        port: of the server.
        upstream_port: where it looks for the completions.
        log: what it has written; read it once it has ended.
    """

    process: subprocess.Popen[bytes]
    port: int
    upstream_port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def terminate(self) -> float:
        """SIGTERM, and the seconds until it has ended."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - begin


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(
    server: str,
    folder: Path,
    *,
    app: str = "tests.web.servers.app:app",
    heartbeat: float = 0.5,
    more: Sequence[str] = (),
) -> Iterator[Running]:
    """The application, run by a server as its command does; its upstream is a port that the test listens on."""
    for module in (server, "fastapi"):
        if find_spec(module) is None:
            require_or_skip(f"{module} is not installed: pip install {module}")
    port, upstream_port = free_port(), free_port()
    address = ["--bind", f"127.0.0.1:{port}"] if server == "hypercorn" else ["--host", "127.0.0.1", "--port", str(port)]
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "OPENAI_API_KEY": "sk-none",
        "HEARTBEAT": str(heartbeat),
    }
    log = folder / f"{server}-{port}.log"
    command = [sys.executable, "-m", server, *SERVERS[server], *address, *more, app]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=REPO, env=environment, stdout=output, stderr=subprocess.STDOUT)
    with _until_ended(process):
        _until_listening(process, port, log)
        yield Running(process, port, upstream_port, log)


@contextmanager
def nginx(folder: Path, http: str, *ports: int) -> Iterator[Path]:
    """Debian's nginx with this `http` block, and a folder of its own for whatever it writes; gives its error log."""
    executable = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if executable is None:
        require_or_skip("nginx is not installed: apt-get install nginx-light")
    folder.mkdir(exist_ok=True)
    log = folder / "error.log"
    temporary = "\n".join(
        f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off;\nworker_processes 1;\npid {folder / 'pid'};\nerror_log {log} info;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{http}\n}}\n"
    )
    command = [executable, "-e", str(log), "-p", str(folder), "-c", str(configuration)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    with _until_ended(process):
        for port in ports:
            _until_listening(process, port, log)
        yield log


@asynccontextmanager
async def curl(url: str, body: object, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real client that posts, with its output as it comes: `--http2` where TLS tells the server so, and HTTP/1.1 elsewhere."""
    executable = shutil.which("curl")
    if executable is None or b"HTTP2" not in subprocess.run([executable, "-V"], capture_output=True, check=True).stdout:
        require_or_skip("curl with HTTP/2 is not installed: apt-get install curl")
    command = [executable, "--silent", "--no-buffer", "--insecure", "--http2", "--json", json.dumps(body), *arguments]
    process = await asyncio.create_subprocess_exec(*command, url, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextmanager
def _until_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, f"it does not listen\n{log.read_text()}"
            time.sleep(0.02)
        else:
            return
