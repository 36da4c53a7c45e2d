"""Fixtures for sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .telemetry import Telemetry


@pytest.fixture(name="telemetry")
def _telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    """OpenTelemetry in memory, with nothing of it set in the environment."""
    from .telemetry import CAPTURE, Telemetry

    monkeypatch.delenv(CAPTURE, raising=False)
    telemetry = Telemetry()
    yield telemetry
    telemetry.shutdown()
