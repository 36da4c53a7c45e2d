"""What the figures were measured on, in words that name no machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

__all__ = ["machine"]

PACKAGES = ("aiohttp", "msgspec", "pyee", "httpx", "httpx-sse", "openai", "uvicorn", "aiohttp-sse", "sse-starlette")


def machine() -> dict[str, object]:
    """The processor, its cores, the system, Python and the packages that matter; never the name of the host.

    >>> sorted(machine())
    ['cpu', 'cpus', 'packages', 'python', 'system']
    """
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # Linux alone has it
        return platform.processor() or "unknown"
    models = [
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"
    ]
    return models[0] if models else platform.processor() or "unknown"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
