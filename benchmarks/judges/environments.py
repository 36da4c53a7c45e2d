"""Where clients and servers come from: packages of fixed versions, each that is Python's in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["NODE", "PYTHON", "PYTHON_SERVERS", "node_folder", "python_of"]

PYTHON: Final = {
    "openai 0.28.1": ["openai==0.28.1"],
    "openai 1.109.1": ["openai==1.109.1", "httpx<0.28"],
    "openai 2.54.0": ["openai==2.54.0"],
    "openai 3.57.0": ["openai==3.57.0"],
    "langchain-openai 1.7.4": ["langchain-openai==1.7.4"],
    "litellm 1.110.2": ["litellm==1.110.2"],
    "llm 0.36": ["llm==0.36"],
}
"""Requirements, by the name of the client."""

PYTHON_SERVERS: Final = {
    "llm-katan 0.22.0": ["llm-katan==0.22.0"],
    "mock-ai-api 0.1.1": ["mock-ai-api==0.1.1"],
    "litellm proxy 1.106.2": ["litellm[proxy]==1.106.2"],
}
"""Requirements, by the name of the server."""

# The newest of each that run on node 20.
NODE: Final = [
    "@copilotkit/aimock@1.43.0",
    "openai@6.49.0",
    "ai@6.0.326",
    "@ai-sdk/openai-compatible@2.0.92",
    "eventsource@4.1.1",
    "eventsource-parser@3.1.1",
    "@microsoft/fetch-event-source@2.0.1",
    "openai-mock-api@0.4.0",
]


def python_of(name: str, folder: Path) -> Path:
    """The interpreter that has that client or server; made if it is not there, or has something else."""
    requirements = {**PYTHON, **PYTHON_SERVERS}[name]
    home = folder / name.replace(" ", "-")
    python, stamp, wanted = home / "bin/python", home / "requirements", "\n".join(requirements)
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
        stamp.write_text(wanted, encoding="utf-8")
    return python


def node_folder(folder: Path) -> Path:
    """The folder whose `node_modules` has node's clients, and aimock."""
    home = folder / "node"
    stamp, wanted = home / "requirements", "\n".join(NODE)
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
        home.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", "--loglevel=error", *NODE])
        stamp.write_text(wanted, encoding="utf-8")
    return home


def _run(command: list[str]) -> None:
    print("+", " ".join(Path(part).name if part.startswith("/") else part for part in command), file=sys.stderr)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
