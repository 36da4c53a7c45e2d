"""What streamkit costs, measured beside its peers: ``python -m benchmarks --help``."""

from __future__ import annotations

__all__: list[str] = []
