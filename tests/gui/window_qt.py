"""A window of Qt, off the screen; QT_API says of which binding."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamkit.gui.qt import QtDispatcher, application
from streamkit.gui.qt.binding import is_alive
from tests.conftest import require_or_skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def qt() -> Any:
    """The QtWidgets of the binding in use; with an application, and off the screen."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        app = application()
    except ModuleNotFoundError as error:
        require_or_skip(str(error))
    app.setQuitOnLastWindowClosed(False)  # tests close what they opened, one after the other
    return import_module(type(app).__module__)


class QtWindow:
    early = True

    def __init__(self, widgets: Any) -> None:
        self.app = widgets.QApplication.instance()
        self.core = import_module(widgets.__name__.replace("QtWidgets", "QtCore"))
        self.widget = widgets.QPlainTextEdit()
        self.widget.show()
        self.dispatcher = QtDispatcher(self.widget)

    def run(self, begin: Callable[[], object]) -> None:
        self.core.QTimer.singleShot(0, begin)
        self.app.exec()

    def stop(self) -> None:
        # Not quit() itself: from another thread it waits for this one, and holds the interpreter's lock meanwhile.
        self.core.QMetaObject.invokeMethod(self.app, "quit", self.core.Qt.ConnectionType.QueuedConnection)

    def destroy(self) -> None:
        self.widget.deleteLater()
        self.core.QCoreApplication.sendPostedEvents(self.widget, self.core.QEvent.Type.DeferredDelete.value)


@contextmanager
def open_window() -> Iterator[QtWindow]:
    window = QtWindow(qt())
    try:
        yield window
    finally:
        if is_alive(window.widget):
            window.destroy()
