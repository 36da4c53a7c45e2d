"""When what came, as a picture: SVG that stands alone, and reads on light and on dark."""

from __future__ import annotations

import html
import math
from typing import Final

from .inspection import Inspection
from .timeline import Lane, lanes_of, round_step, sums

__all__ = ["timeline_svg"]

_WIDTH: Final = 800
_LEFT: Final = 100
_RIGHT: Final = 20
_COLUMNS: Final = (_WIDTH - _LEFT - _RIGHT) // 2
_TOP: Final = 56
_LANE: Final = 44
_TALLEST: Final = 32

# A class for each row: the colours are readable on both grounds (WCAG 2.2, 1.4.11: at least 3:1).
_COLOURS: Final = {
    "reads": "#7a828e",
    "reasoning": "#9a6dd7",
    "text": "#2f81c7",
    "refusal": "#c2571a",
    "tool calls": "#1a8a56",
    "keep-alives": "#7a828e",
    "warnings": "#c2571a",
}
_STYLE: Final = (
    "text{font:12px ui-monospace,monospace;fill:#1f2328}.s{fill:#59636e}.g{stroke:#d1d9e0}.w{fill:#7a828e;opacity:.15}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.g{stroke:#3d444d}}"
)


def timeline_svg(inspection: Inspection, title: str = "tape") -> str:
    """A picture of the tape: a row for each kind of thing, the longest gap shaded. It holds neither prompt nor answer.

    >>> from streamkit.tape import demo_tape
    >>> from streamkit.tape.inspection import inspect_tape
    >>> picture = timeline_svg(inspect_tape(demo_tape()), "demo")
    >>> picture[:4], picture.count("<path"), len(picture) < 10_000
    ('<svg', 3, True)
    """
    lanes = lanes_of(inspection)
    duration = inspection.tape.duration
    bottom = _TOP + _LANE * len(lanes)
    height = bottom + 28
    shown = html.escape(title)
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{shown}</title><style>{_STYLE}</style>',
        f'<text x="10" y="20">{shown}</text><text class="s" x="10" y="38">{html.escape(_summary(inspection))}</text>',
    ]
    if inspection.gaps and duration > 0:
        gap = inspection.gaps[0]
        start, end = _x(gap.start, duration), _x(gap.end, duration)
        parts.append(
            f'<rect class="w" x="{start:g}" y="{_TOP}" width="{end - start:g}" height="{bottom - _TOP}">'
            f"<title>{gap.seconds:.3f} s: nothing between {gap.after} and {gap.before}</title></rect>"
        )
    parts.append(_ruler(duration, bottom))
    parts += [_row(lane, duration, _TOP + _LANE * (place + 1)) for place, lane in enumerate(lanes)]
    return "\n".join([*parts, "</svg>\n"])


def _summary(inspection: Inspection) -> str:
    timings, tape = inspection.completion.timings, inspection.tape
    figures = [f"{tape.duration:.3f} s", f"{len(tape.reads)} reads", f"{inspection.counts['chunk']} chunks"]
    if timings.first_text is not None:
        figures.insert(1, f"first text at {timings.first_text:.3f} s")
    return ", ".join([*figures, inspection.outcome])


def _row(lane: Lane, duration: float, base: int) -> str:
    parts = sums(lane.marks, duration, _COLUMNS)
    most = max(parts)
    # The square root, so that a large read does not flatten all others.
    ticks = "".join(
        f"M{_LEFT + 2 * place + 1} {base}v-{max(2, round(_TALLEST * math.sqrt(part / most)))}"
        for place, part in enumerate(parts)
        if part
    )
    total = sum(amount for _, amount in lane.marks)
    return (
        f'<text class="s" x="10" y="{base - 4}">{lane.name}</text>'
        f'<path d="{ticks}" stroke="{_COLOURS[lane.name]}" stroke-width="1.6"><title>{total} {lane.unit}</title></path>'
    )


def _ruler(duration: float, bottom: int) -> str:
    step = round_step(duration, 8)
    places = [number * step for number in range(int(duration / step) + 1)] if step else [0.0]
    lines = "".join(f"M{_x(seconds, duration):g} {_TOP}V{bottom + 4}" for seconds in places)
    labels = "".join(
        f'<text class="s" x="{_x(seconds, duration):g}" y="{bottom + 18}" text-anchor="middle">{seconds:g} s</text>'
        for seconds in places
    )
    return f'<path class="g" d="{lines}"/>{labels}'


def _x(seconds: float, duration: float) -> float:
    return round(_LEFT + (2 * _COLUMNS * seconds / duration if duration > 0 else 0), 1)
