"""Qt, by PySide6 or PyQt6, with its own `exec()`: `QtDispatcher`, and `bind`, a stream in a text widget.

Under qasync, where asyncio runs in Qt's loop, they work as well. Importing this imports no Qt: the binding is that of the widget
which is given.
"""

from __future__ import annotations

from .binding import application
from .dispatcher import QtDispatcher
from .widgets import bind

__all__ = ["QtDispatcher", "application", "bind"]
