"""Textual: `TextualDispatcher`, the way into an app's event loop, and `bind`, which shows a stream in a widget of it."""

from __future__ import annotations

try:
    import textual as _textual  # noqa: F401 - to say what to do where it is missing
except ImportError as _missing:
    raise ImportError("streamkit.gui.textual needs an extra: pip install 'streamkit-asyncio[textual]'") from _missing
from .dispatcher import TextualDispatcher
from .widgets import StopButton, bind

__all__ = ["StopButton", "TextualDispatcher", "bind"]
