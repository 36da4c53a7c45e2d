"""The public surface: what can be imported, from where, and at what price."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections import Counter
from types import ModuleType

import pytest

import streamkit
from tests.conftest import REPO

MODULES = sorted(module.name for module in pkgutil.walk_packages(streamkit.__path__, "streamkit."))
PUBLIC = [name for name in MODULES if not any(part.startswith("_") for part in name.split("."))]

#: What the core alone imports must not bring in.
EXTRAS = (
    "rich",
    "pytest",
    "hypothesis",
    "prometheus_client",
    "opentelemetry",
    "redis",
    "tkinter",
    "PySide6",
    "textual",
)


def run_python(code: str) -> str:
    """Run `code` in an interpreter of its own, from the checkout, and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=50, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", PUBLIC)
def test_public_module_says_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)

    exported = module.__all__

    assert len(set(exported)) == len(exported)
    assert [each for each in exported if not hasattr(module, each)] == []
    assert [each for each in exported if isinstance(getattr(module, each), ModuleType)] == []


def test_root_exports_are_sorted_and_complete() -> None:
    public = {
        name
        for name, value in vars(streamkit).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert list(streamkit.__all__) == sorted(streamkit.__all__)
    assert public - {"annotations"} == set(streamkit.__all__) - {"__version__"}


@pytest.mark.parametrize("name", sorted(set(streamkit.__all__) - {"__version__"}))
def test_root_export_comes_from_the_module_that_exports_it(name: str) -> None:
    homes = [
        module.__name__
        for module in map(importlib.import_module, PUBLIC)
        if name in module.__all__ and getattr(module, name) is getattr(streamkit, name)
    ]

    assert homes, f"streamkit.{name} is in no module's __all__"


def test_root_exports_every_exception() -> None:
    errors = importlib.import_module("streamkit.errors")

    assert set(errors.__all__) - set(streamkit.__all__) == set()


#: What each toolkit has under one name on purpose: `from streamkit.gui.qt import bind` reads as it should.
SIBLINGS = {"bind"}


def test_one_name_means_one_thing() -> None:
    """A class or function that two modules export is the same object in both."""
    seen: dict[str, set[int]] = {}
    for module in map(importlib.import_module, PUBLIC):
        for name in module.__all__:
            seen.setdefault(name, set()).add(id(getattr(module, name)))

    assert [name for name, objects in seen.items() if len(objects) > 1 and name not in SIBLINGS] == []
    assert Counter(streamkit.__all__).most_common(1)[0][1] == 1


@pytest.mark.parametrize("module", ["streamkit", "streamkit.testing", "streamkit.cli"])
def test_import_brings_no_extra(module: str) -> None:
    loaded = run_python(f"import sys, {module}; print(*sys.modules)").split()

    assert sorted(set(EXTRAS) & {name.partition(".")[0] for name in loaded}) == []


def test_import_of_the_root_brings_neither_servers_nor_the_command() -> None:
    loaded = set(run_python("import sys, streamkit; print(*sys.modules)").split())

    assert (
        loaded & {"aiohttp.web", "argparse", "streamkit.cli", "streamkit.testing"} - loaded_by_dependencies() == set()
    )


def loaded_by_dependencies() -> set[str]:
    return set(run_python("import sys, aiohttp, msgspec, pyee, asyncio; print(*sys.modules)").split())


def test_import_is_quick() -> None:
    """0.08 s of CPU over its dependencies on a quiet machine. The best of five, with room for a slow or busy one."""
    code = (
        "import aiohttp, asyncio, msgspec, pyee, time; begin = time.process_time(); "
        "import streamkit; print(time.process_time() - begin)"
    )

    best = min(float(run_python(code)) for _ in range(5))

    assert best < 2 * 0.08
