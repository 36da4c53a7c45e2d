"""The two plots of the page, as SVG text: nothing but the standard library draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from .concurrent import median_of
from .figures import medians

__all__ = ["cpu_plot", "delay_plot"]

WIDTH = 720
INK, GREY, FAINT, OURS = "#222222", "#777777", "#dddddd", "#0b63b5"
RIVALS = {"floor": "#777777", "openai-python": "#b54708"}
MARKS = {"blocks": "a block of events a write", "single": "one event a write", "paced": "one event a read"}


def _document(height: int, title: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="{INK}">\n'
        f'<title>{escape(title)}</title>\n<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        f'<text x="16" y="24" font-size="14" font-weight="bold">{escape(title)}</text>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = FAINT, dash: str = "none") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-dasharray="{dash}"/>'
    )


def _mark(mode: str, x: float, y: float, colour: str) -> str:
    if mode == "blocks":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
    if mode == "single":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="white" stroke="{colour}" stroke-width="2"/>'
    return (
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="white" stroke="{colour}" stroke-width="2"/>'
    )


def _decades(least: float, most: float) -> list[float]:
    """The powers of ten from at or below `least` to at or above `most`.

    >>> _decades(1.2, 180.0)
    [1.0, 10.0, 100.0, 1000.0]
    """
    return [10.0**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def cpu_plot(cpu: dict[str, Any]) -> str:
    """CPU microseconds an event: a row a contender, a mark a write mode, on a logarithmic axis."""
    figures = medians(cpu)
    left, right, top, row = 250, WIDTH - 30, 76, 28
    values = [value for modes in figures.values() for value in modes.values()]
    ticks = _decades(min(values), max(values))
    bottom = top + row * len(figures)

    def x_of(value: float) -> float:
        low, high = math.log10(ticks[0]), math.log10(ticks[-1])
        return left + (right - left) * (math.log10(value) - low) / (high - low)

    parts = []
    x = 16.0
    for mode in cpu["events"]:
        parts += [_mark(mode, x + 5, 46, INK), _text(x + 16, 50, MARKS[mode])]
        x += 200
    for tick in ticks:
        parts += [
            _line(x_of(tick), top - 10, x_of(tick), bottom),
            _text(x_of(tick), bottom + 16, f"{tick:,g}", anchor="middle"),
        ]
    for at, (name, modes) in enumerate(figures.items()):
        y = top + row * at + 8
        colour = OURS if name.startswith("streamkit") else GREY
        parts.append(_text(left - 14, y + 4, name, anchor="end", fill=OURS if colour == OURS else INK))
        parts.append(_line(x_of(min(modes.values())), y, x_of(max(modes.values())), y, stroke=colour))
        parts += [_mark(mode, x_of(value), y, colour) for mode, value in modes.items()]
    parts.append(
        _text(
            (left + right) / 2, bottom + 36, "CPU microseconds an event, logarithmic; less is better", anchor="middle"
        )
    )
    return _document(bottom + 50, "CPU an event, in the process that reads the feed", parts)


def delay_plot(concurrent: dict[str, Any]) -> str:
    """Delay from the server's write to the listener by number of streams: p50 dashed, p99 solid."""
    left, right, top, bottom = 90, WIDTH - 170, 56, 330
    curves = {
        (way, name): [
            (size, value)
            for size, rounds in sizes.items()
            if (value := median_of(rounds, name)) is not None and value > 0
        ]
        for way, sizes in concurrent["ways"].items()
        for name in ("p50_ms", "p99_ms")
    }
    curves = {key: points for key, points in curves.items() if points}
    sizes = list(dict.fromkeys(size for points in curves.values() for size, _ in points))
    values = [value for points in curves.values() for _, value in points]
    ticks = _decades(min(values), max(*values, 100.0))

    def x_of(size: str) -> float:
        return left + (right - left) * (sizes.index(size) + 0.5) / len(sizes)

    def y_of(value: float) -> float:
        low, high = math.log10(ticks[0]), math.log10(ticks[-1])
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    parts = []
    for tick in ticks:
        parts += [
            _line(left, y_of(tick), right, y_of(tick)),
            _text(left - 8, y_of(tick) + 4, f"{tick:,g} ms", anchor="end"),
        ]
    for size in sizes:
        parts.append(_text(x_of(size), bottom + 18, f"{int(size):,}", anchor="middle"))
    labels: list[float] = []
    for (way, name), points in sorted(curves.items(), key=lambda curve: curve[1][-1][1]):
        colour = OURS if way == "streamkit" else RIVALS.get(way, GREY)
        dash = "5 4" if name == "p50_ms" else "none"
        path = " ".join(f"{x_of(size):.1f},{y_of(value):.1f}" for size, value in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        parts += [_mark("blocks", x_of(size), y_of(value), colour) for size, value in points]
        # From the lowest curve up, each label at least a line above the one before.
        y = min(y_of(points[-1][1]) + 4, *(at - 14 for at in labels)) if labels else y_of(points[-1][1]) + 4
        labels.append(y)
        parts.append(_text(right - 30, y, f"{way} {name[:3]}: {_number(points[-1][1])} ms", fill=colour))
    parts.append(
        _text(
            (left + right) / 2,
            bottom + 40,
            f"streams, {concurrent['rate']} events/s each; p50 dashed, p99 solid",
            anchor="middle",
        )
    )
    return _document(bottom + 54, "Delay from the server's write to the listener", parts)
