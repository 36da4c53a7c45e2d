"""What real feeds do, played to streamkit and to its peers: ``python -m benchmarks rows``.

The rows are data (`whole`, `framing`, `inside`, `shapes`, `calls`, `transport`; gathered in `table`): the bytes that a
server says, and what has to come of them. `server` says them, in a process of its own; `client` is a system that reads
them, in another; `verdict` compares, `report` runs all of it, `page` writes it down. No verdict is written by hand.
"""

from __future__ import annotations

__all__: list[str] = []
