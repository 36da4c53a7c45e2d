from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streamkit.gui.qt import application
from streamkit.gui.qt.binding import binding_of, is_alive, running_application
from tests.conftest import COVERAGE, REPO

from ..window_qt import qt


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program that starts without Qt and without a display."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "QT_API"}
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPO,
        env=clean | COVERAGE | env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_there_is_one_application() -> None:
    widgets = qt()

    assert application() is application() is widgets.QApplication.instance() is running_application()


def test_application_is_made_of_the_binding_that_is_asked_for() -> None:
    binding = qt().__name__.partition(".")[0]

    result = run(
        "from streamkit.gui.qt import application; print(type(application()).__module__)",
        QT_QPA_PLATFORM="offscreen",
        QT_API=binding.lower(),
    )

    assert (result.stdout.strip(), result.stderr) == (f"{binding}.QtWidgets", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a display")
def test_without_a_display_it_is_said_so_before_qt_aborts_the_process() -> None:
    qt()

    result = run("from streamkit.gui.qt import application; application()")

    assert result.returncode == 1
    assert "RuntimeError: no display: neither DISPLAY nor WAYLAND_DISPLAY is set" in result.stderr


def test_without_a_binding_it_is_said_how_to_get_one() -> None:
    hidden = "import sys; sys.modules['PySide6'] = sys.modules['PyQt6'] = None\n"

    result = run(hidden + "from streamkit.gui.qt import QtDispatcher; QtDispatcher()")

    assert "no Qt: neither PySide6 nor PyQt6 is installed" in result.stderr
    assert "pip install 'streamkit-asyncio[qt]'" in result.stderr


def test_without_an_application_a_dispatcher_says_to_make_one() -> None:
    qt()

    result = run("from streamkit.gui.qt import QtDispatcher; QtDispatcher()")

    assert "RuntimeError: there is no QApplication yet: make it first" in result.stderr


def test_import_of_the_module_imports_no_qt() -> None:
    result = run("import sys, streamkit.gui.qt; print({'PySide6', 'PyQt6'} & sys.modules.keys())")

    assert result.stdout.strip() == "set()"


def test_binding_is_that_of_the_object_and_another_kind_is_named() -> None:
    widgets = qt()
    label = widgets.QLabel()

    assert binding_of(label, "QWidget", "thing") == widgets.__name__.partition(".")[0]
    with pytest.raises(TypeError, match="^thing must be a QPlainTextEdit or QTextEdit, not a QLabel$"):
        binding_of(label, "QPlainTextEdit, QTextEdit", "thing")
    with pytest.raises(TypeError, match="^thing must be a QLabel, not a str$"):
        binding_of("label", "QLabel", "thing")


def test_object_that_qt_has_deleted_is_not_alive() -> None:
    parent = qt().QWidget()
    child = qt().QWidget(parent)
    assert is_alive(child)

    parent.deleteLater()
    core = sys.modules[type(parent).__module__.replace("QtWidgets", "QtCore")]
    core.QCoreApplication.sendPostedEvents(parent, core.QEvent.Type.DeferredDelete.value)

    assert not is_alive(child)
