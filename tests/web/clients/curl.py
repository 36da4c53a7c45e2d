"""curl, and where node's clients are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...conftest import require_or_skip

__all__ = ["curl", "node_modules", "origin_of", "parsed"]


async def curl(url: str, model: str | None = None) -> tuple[int, bytes, bytes]:
    """GET with curl, or POST a request for a model: its exit status, the headers, the body as far as it came."""
    command = shutil.which("curl")
    if command is None:
        require_or_skip("curl is not installed")
    options = ["-sN", "--noproxy", "*", "-D", "-", "-m", "20"]
    if model is not None:
        messages = [{"role": "user", "content": "hi"}]
        body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        options += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    process = await asyncio.create_subprocess_exec(command, *options, url, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    head, _, rest = said.partition(b"\r\n\r\n")
    assert process.returncode is not None
    return process.returncode, head.lower(), rest


def parsed(body: bytes) -> list[dict[str, Any]]:
    """The events of a body by the plainest of rules, for streams that use no more than those."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = [line.partition(":") for line in block.split("\n") if not line.startswith(":")]
        named = {name: value.removeprefix(" ") for name, _, value in fields}
        if "data" in named:
            events.append({"event": named.get("event", "message"), "id": named.get("id"), "data": named["data"]})
    return events


def origin_of(base_url: str) -> str:
    """The origin of a URL."""
    return f"http://{urlsplit(base_url).netloc}"


def node_modules(*packages: str) -> Path:
    """The folder of STREAMKIT_NODE_MODULES, which has these packages; or the test is skipped."""
    folder = os.environ.get("STREAMKIT_NODE_MODULES")
    if shutil.which("node") is None:
        require_or_skip("node is not installed")
    if not folder:
        require_or_skip("STREAMKIT_NODE_MODULES names no folder; see .ci/run")
    for package in packages:
        if not (Path(folder) / "node_modules" / package).is_dir():
            require_or_skip(f"{package} is not in {folder}; see .ci/run")
    return Path(folder)
