"""All rows, in order."""

from __future__ import annotations

from . import calls, framing, inside, shapes, transport, whole
from .case import Case, Row

__all__ = ["CASES", "ROWS"]

ROWS: tuple[Row, ...] = (*whole.ROWS, *framing.ROWS, *inside.ROWS, *shapes.ROWS, *calls.ROWS, *transport.ROWS)

CASES: dict[tuple[str, int], Case] = {(row.number, place): case for row in ROWS for place, case in enumerate(row.cases)}
"""Every case, by the number of its row and its place in it."""
