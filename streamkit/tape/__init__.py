r"""The format of a recording: one exchange, byte for byte, read by read, with its timing.

A tape is a `.sse.jsonl` file: JSON lines in the shape of an asciicast. The first line is a header object, every other
line is `[seconds, code, payload]`, the seconds counted on a monotonic clock since the request left:

```
{"format": "streamkit-tape", "version": 1, "created": "2026-01-01T00:00:00+00:00", "request": {...}}
[0.310002, "h", {"status": 200, "headers": [["content-type", "text/event-stream"]]}]
[0.351127, "d", "data: {...}\n\n"]         a read, as text
[0.384902, "b", "ZGF0YTogeyLwnw=="]         a read that is not UTF-8 by itself, as base64
[0.402518, "e", "eof"]                      the end: eof, reset, timeout or cancelled
```

Times are absolute, so that a lost line does not shift the rest. Each line is written whole as it happens: what a crash
leaves is a tape with at most one torn last line, and that still loads. Secrets are redacted as they are written.
"""

from __future__ import annotations

from .reading import demo_tape, load_tape, parse_tape
from .recording import Ending, Tape, TapeRead
from .writing import TapeWriter

__all__ = ["Ending", "Tape", "TapeRead", "TapeWriter", "demo_tape", "load_tape", "parse_tape"]
