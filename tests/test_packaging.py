"""What is shipped, what it says of itself, and what the configuration and the tree say of each other."""

from __future__ import annotations

import configparser
import email
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import streamkit
from tests.conftest import REPO

TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "benchmarks", "docs",
    "examples", "pyproject.toml", "setup.cfg", "streamkit", "tests",
}  # fmt: skip

SOURCES = sorted(
    path.relative_to(REPO) for path in (REPO / "streamkit").rglob("*.py") if not path.name.startswith("__")
)


@pytest.fixture(scope="module", name="project")
def _project() -> dict[str, Any]:
    return tomllib.loads((REPO / "pyproject.toml").read_text())


@pytest.fixture(scope="module", name="checks")
def _checks() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string((REPO / "setup.cfg").read_text())
    return parser


@pytest.fixture(scope="module", name="wheel")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built from a copy, since setuptools builds in the tree, with what is installed, since it asks no index."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(REPO / name, source)
    for name in ("streamkit", "tests", "examples", "benchmarks"):
        shutil.copytree(REPO / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    result = subprocess.run(
        [*command, "--wheel-dir", str(source / "dist"), str(source)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (path,) = (source / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def tracked_texts() -> list[tuple[Path, str]]:
    """Every text file of the project, as git knows it, or would once it is added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPO,
        capture_output=True,
        check=True,
    )
    paths = [Path(name.decode()) for name in listed.stdout.split(b"\0") if name]
    texts = []
    for path in paths:
        if (REPO / path).is_file():
            try:
                texts.append((path, (REPO / path).read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    assert len(texts) > 20
    return texts


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()

    assert {name.partition("/")[0] for name in names} == {
        "streamkit",
        f"streamkit_asyncio-{streamkit.__version__}.dist-info",
    }
    assert {str(path) for path in SOURCES} <= set(names)
    assert "streamkit/py.typed" in names
    assert [name for name in names if name.endswith(".sse.jsonl")], "the demo's tape is not in the wheel"
    page = {
        str(path.relative_to(REPO))
        for path in (REPO / "streamkit/web/page").rglob("*.*")
        if path.suffix in {".html", ".js", ".css"}
    }
    assert page and page <= set(names), "the chat page is not in the wheel"


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(path))
    (scripts,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt"))

    assert metadata["Name"] == "streamkit-asyncio"
    assert metadata["Version"] == streamkit.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert "streamkit = streamkit.cli:main" in scripts


def test_every_extra_stays_within_the_project_or_is_a_dependency(project: dict[str, Any]) -> None:
    """A missing extra is named in a message as `streamkit-asyncio[extra]`: each that is named has to exist."""
    extras = set(project["project"]["optional-dependencies"])
    named = {
        extra.strip()
        for path, text in tracked_texts()
        if path.parts[0] in ("streamkit", "README.md", "docs")
        for group in re.findall(r"streamkit-asyncio\[([a-z0-9, -]+)\]", text)
        for extra in group.split(",")
    }

    assert named <= extras


def test_configuration_names_what_exists(project: dict[str, Any], checks: configparser.ConfigParser) -> None:
    script = project["project"]["scripts"]["streamkit"]
    module, _, _ = script.partition(":")
    paths = {
        project["project"]["readme"],
        *project["project"]["license-files"],
        *(pattern.partition("/*")[0] for pattern in project["tool"]["ruff"]["lint"]["per-file-ignores"]),
        *project["tool"]["pyright"]["include"],
        *checks["mypy"]["files"].split(", "),
        *checks["tool:pytest"]["testpaths"].split(),
        checks["coverage:run"]["source"],
    }

    assert [path for path in sorted(paths) if not (REPO / path).exists()] == []
    assert [name for name in modules_named(checks) if not module_exists(name)] == []
    assert module_exists(module)


def modules_named(checks: configparser.ConfigParser) -> set[str]:
    """The modules that the import contracts name, those aside that they say may be absent."""
    names: set[str] = set()
    for section in checks.sections():
        if not section.startswith("importlinter:contract:"):
            continue
        names.update(
            f"streamkit.{name}" for name in re.findall(r"(?<!\()\b[a-z_]+\b(?!\))", checks[section].get("layers", ""))
        )
        names.update(name for name in checks[section].get("source_modules", "").split() if "*" not in name)
    assert names
    return names


def module_exists(name: str) -> bool:
    path = REPO.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_top_level_holds_what_belongs_there() -> None:
    assert {path.parts[0] for path, _ in tracked_texts()} == TOP_LEVEL


def test_nothing_tells_a_user_to_install_another_project() -> None:
    """`streamkit` on the package index is somebody else's: an install command names streamkit-asyncio."""
    wrong = re.compile(r"\b(?:pip|uv|pipx|poetry)\s+(?:install|add)\s+(?:-\S+\s+)*['\"]?streamkit(?!-asyncio\b)")

    assert wrong.search("pip install " + "streamkit")
    assert wrong.search("pip install -U '" + "streamkit[cli]'")
    assert not wrong.search("pip install 'streamkit-asyncio[cli]'")
    assert [str(path) for path, text in tracked_texts() if wrong.search(text)] == []


def test_no_path_of_a_machine_is_written_anywhere() -> None:
    machine = re.compile(rf"(?<![\w.~$}}])/(?:home|root|Users)/\w|{re.escape(str(REPO))}\b")

    assert machine.search("'/" + "home/somebody'")
    assert [str(path) for path, text in tracked_texts() if machine.search(text)] == []


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_module_has_a_test_module(source: Path) -> None:
    assert [*(REPO / "tests").rglob(f"test_*{source.stem}.py")]
