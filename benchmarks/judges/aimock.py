"""aimock, a server of OpenAI's API that others wrote, with answers and faults for the judges."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["CALLS", "LONG", "TEXT", "aimock"]

TEXT: Final = "Hello from aimock: größer, 🙂, in several chunks."
LONG: Final = TEXT * 4
CALLS: Final = [
    {"name": "get_weather", "arguments": '{"city":"Paris"}', "id": "call_001"},
    {"name": "get_weather", "arguments": '{"city":"Oslo"}', "id": "call_002"},
]
TOO_MANY: Final = {"message": "Slow down", "type": "rate_limit_error"}


def _fixture(model: str, response: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"match": {"model": model}, "response": response, **more}


FIXTURES: Final = [
    _fixture("plain", {"content": TEXT}),
    _fixture("tools", {"toolCalls": CALLS}),
    _fixture("reasoning", {"content": "Answer.", "reasoning": "Let me think about it."}),
    _fixture("slow", {"content": TEXT}, latency=120),
    _fixture("long", {"content": LONG}, latency=60),
    _fixture("too many", {"error": TOO_MANY, "status": 429, "retryAfter": 7}),
    _fixture("destroyed", {"content": TEXT}, latency=60, truncateAfterChunks=4),
]


@contextmanager
def aimock(folder: Path) -> Iterator[str]:
    """Its base URL, while it runs; `folder` is where its `node_modules` is."""
    script = folder / "node_modules/@copilotkit/aimock/dist/cli.js"
    options = ["--port", "0", "--host", "127.0.0.1", "--fixtures", "fixtures.json", "--strict", "--chunk-size", "5"]
    with tempfile.TemporaryDirectory() as home:
        Path(home, "fixtures.json").write_text(json.dumps({"fixtures": FIXTURES}), encoding="utf-8")
        said = Path(home, "log")
        environment = {**os.environ, "AIMOCK_API_KEYS": "sk-test"}
        with said.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["node", str(script), *options],
                cwd=home,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            until = time.monotonic() + 30
            while (found := re.search(r"listening on (http://\S+)", said.read_text(encoding="utf-8"))) is None:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"aimock does not listen: {said.read_text(encoding='utf-8')}")
                time.sleep(0.05)
            yield f"{found[1]}/v1"
        finally:
            process.terminate()
            process.wait(10)
