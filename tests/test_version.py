"""One version, and a changelog that knows it or has something unreleased."""

import re
from pathlib import Path

import streamkit
from streamkit import version

REPO = Path(__file__).resolve().parents[1]


def test_the_package_shows_its_version():
    assert streamkit.__version__ == version.__version__
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version.__version__)


def test_the_changelog_says_what_comes_with_it():
    headings = re.findall(r"^## \[?([^]\s]+)", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] in {"Unreleased", version.__version__}
