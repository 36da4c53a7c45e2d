"""One JSON file of results, a section a benchmark: what the tables and the plots of the page are made of."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .machine import machine

__all__ = ["add_json_option", "load", "positive", "save"]


def positive(text: str) -> int:
    """The number that an argument of a command gives; for `argparse`."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json FILE``, the file to which `save` adds."""
    parser.add_argument(
        "--json", type=_file, metavar="FILE", help="put the figures there as well, beside others' there"
    )


def _file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no folder {path.parent}")
    return path


def load(path: Path) -> dict[str, Any]:
    """The sections of a file; none if there is no file."""
    if not path.exists():
        return {}
    sections = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(sections, dict):
        raise ValueError(f"{path} holds no results: not a JSON object")  # noqa: TRY004 - the file is wrong, no argument
    return sections


def save(path: Path | None, section: str, measured: dict[str, Any]) -> None:
    """Put a section into the file, and what it was measured on with it; other sections stay. Does nothing without a path."""
    if path is None:
        return
    sections = load(path)
    sections[section] = {**measured, "machine": machine()}
    path.write_text(json.dumps(sections, indent=1) + "\n", encoding="utf-8")
