"""A window of Qt in which asyncio runs on Qt's loop, by qasync."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.conftest import require_or_skip

from .window_asyncio import AsyncioWindow
from .window_qt import qt

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_window() -> Iterator[AsyncioWindow]:
    widgets = qt()
    os.environ.setdefault("QT_API", widgets.__name__.partition(".")[0].lower())
    try:
        import qasync  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        require_or_skip("qasync is not installed: pip install 'streamkit-asyncio[qt]'")
    with qasync.QEventLoop(widgets.QApplication.instance()) as loop:
        yield AsyncioWindow(loop)
    # The loop's timers are objects of Qt in a cycle: collected in the next test's thread, they crash the process.
    del loop
    gc.collect()
