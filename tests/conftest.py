"""What every test stands on: nothing leaks, and nothing is skipped where everything has to be here."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

REPO = Path(__file__).resolve().parents[1]

#: Captures, feeds and case lists that lie beside the checkout, not in it: tests that read them skip where they are absent.
# What makes a subprocess measure its coverage. The command's tests pass it on; the others, some of which measure time, memory or
# a full disk in a process of its own, must not.
COVERAGE = {name: os.environ.pop(name) for name in sorted(os.environ) if name.startswith("COVERAGE_")}

SHARED = REPO.parent / "shared"

#: Set where every optional part (a browser, a server, node, the shared data) has to be present, as in CI.
REQUIRE_ALL = os.environ.get("STREAMKIT_REQUIRE_ALL", "") not in ("", "0")

#: Type-checked, never run.
collect_ignore = ["typing"]


def require_or_skip(reason: str) -> NoReturn:
    """Skip the running test because an optional part is missing; where all have to be there, fail it.

    `reason` names what is missing and how to get it.
    """
    if REQUIRE_ALL:
        pytest.fail(f"missing, and STREAMKIT_REQUIRE_ALL is set: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test data."""
    if not SHARED.is_dir():
        require_or_skip(f"the shared test data is not in {SHARED}")
    return SHARED


# A skip is a hole that nobody looks at. Whoever skips in another way than `require_or_skip` (pytest.importorskip, a mark,
# a doctest's +SKIP) is held to the same rule. `skipif` remains, for what can never run here: another system or Python.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("skipif"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and STREAMKIT_REQUIRE_ALL is set: {call.excinfo and call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped whole, and STREAMKIT_REQUIRE_ALL is set: {report.longrepr}"
    return report


@pytest_asyncio.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fail the test if it leaves a task behind, or something whose finaliser complains.

    Every async test has it, set up before its other fixtures and so torn down after them.
    """
    before = asyncio.all_tasks()
    yield
    before.add(cast("asyncio.Task[None]", asyncio.current_task()))
    for _ in range(10):  # what was cancelled, or waits for a callback that is due, may end
        if asyncio.all_tasks() <= before:
            break
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before
    # Unclosed sockets and never-awaited coroutines warn when they are collected: here, so that this test is blamed.
    gc.collect()
    assert not left, f"tasks left behind: {left}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if pytest_asyncio.is_async_test(item):
            item.fixturenames.insert(0, no_leaks.__name__)


def pytest_collection_finish() -> None:
    # What was imported stays: not to look through it after every test halves the time that the tests take.
    gc.collect()
    gc.freeze()
