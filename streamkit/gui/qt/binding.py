"""Which binding of Qt: that of the object which is given, or that which is there. Nothing is imported before it is needed."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

__all__ = ["application", "binding_of", "is_alive", "running_application"]

BINDINGS: Final = ("PySide6", "PyQt6")

_made: list[object] = []
"""The application: PyQt6 ends one that nobody holds."""


def application() -> QApplication:
    """The QApplication of this process; made of PySide6 or else PyQt6 (or of the one that QT_API names) if there is none.

    Qt itself aborts the process where it finds no display.

    Raises:
        ModuleNotFoundError: neither is installed.
        RuntimeError: on Linux, the environment names no display.
    """
    widgets: Any = import_module(f"{_find_binding()}.QtWidgets")
    app: Any = widgets.QApplication.instance()
    if app is None:
        if sys.platform == "linux" and not any(
            os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
        ):
            raise RuntimeError(
                "no display: neither DISPLAY nor WAYLAND_DISPLAY is set (QT_QPA_PLATFORM=offscreen needs none)"
            )
        app = widgets.QApplication(sys.argv[:1])
        _made.append(app)
    return app  # type: ignore[no-any-return]  # of whichever binding


def binding_of(thing: object, kinds: str, name: str) -> str:
    """The binding of an object of Qt, "PySide6" or "PyQt6".

    Args:
        thing: the object.
        kinds: the names of the classes it may be of, as "QPlainTextEdit, QLabel".
        name: the argument's, for the message.

    Raises:
        TypeError: it is none of these.
    """
    wanted = kinds.split(", ")
    for cls in type(thing).__mro__:
        binding = cls.__module__.partition(".")[0]
        if binding in BINDINGS and cls.__name__ in wanted:
            return binding
    *first, last = wanted
    raise TypeError(
        f"{name} must be a {', '.join(first) + ' or ' if first else ''}{last}, not a {type(thing).__name__}"
    )


def is_alive(thing: object) -> bool:
    """Whether Qt still has an object, of which Python may hold more than its shell."""
    if binding_of(thing, "QObject", "thing") == "PySide6":
        shiboken: Any = import_module("shiboken6")
        return bool(shiboken.isValid(thing))
    sip: Any = import_module("PyQt6.sip")
    return not sip.isdeleted(thing)


def _find_binding() -> str:
    """What is imported, or asked for, or installed."""
    for binding in BINDINGS:
        if f"{binding}.QtCore" in sys.modules:
            return binding
    asked = os.environ.get("QT_API", "").lower()
    for binding in sorted(BINDINGS, key=lambda name: name.lower() != asked):
        try:
            import_module(f"{binding}.QtWidgets")
        except ModuleNotFoundError:
            continue
        return binding
    raise ModuleNotFoundError(
        "no Qt: neither PySide6 nor PyQt6 is installed; pip install 'streamkit-asyncio[qt]' brings PySide6"
    )


def running_application() -> object:
    """The QCoreApplication of this process; RuntimeError where there is none."""
    core: Any = import_module(f"{_find_binding()}.QtCore")
    app = core.QCoreApplication.instance()
    if app is None:
        raise RuntimeError("there is no QApplication yet: make it first, or call streamkit.gui.qt.application()")
    return app
