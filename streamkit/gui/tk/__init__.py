"""tkinter: `TkDispatcher`, the way into its event loop, and `bind`, which shows a stream in a `tkinter.Text`."""

from __future__ import annotations

try:
    import tkinter as _tkinter  # noqa: F401, ICN001 - private; to say what to do where it is missing
except ImportError as _missing:
    raise ImportError(
        "streamkit.gui.tk needs tkinter, which this Python was installed without: on Debian and Ubuntu it is in the "
        "package python3-tk"
    ) from _missing
from .dispatcher import TkDispatcher
from .widgets import bind

__all__ = ["TkDispatcher", "bind"]
