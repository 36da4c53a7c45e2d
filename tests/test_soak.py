"""The short form of `make soak`: every stream ends once, as its script says, and nothing is left behind."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from benchmarks.soak import Soak, main
from benchmarks.soak_plan import FAULTS, plan
from benchmarks.soak_stream import _DRIVE, GRAMMAR, WAYS

STREAMS = 300


async def test_three_hundred_streams() -> None:
    asyncio.get_running_loop().set_debug(False)  # a traceback for every handle of thousands of connections
    soak = Soak(STREAMS, concurrency=50, seed=20_260_101)
    await soak.run()
    assert soak.problems == []
    assert sum(soak.endings.values()) == STREAMS
    # Everything that can happen did happen.
    assert set(soak.faults) == set(FAULTS)
    assert {"done", "abort", "ConnectionLost", "StreamTimeout", "TruncatedStream", "StatusError"} <= set(soak.endings)
    if soak.descriptors is not None:
        before, peak, after = soak.descriptors
        assert before == after < peak


def test_the_same_seed_makes_the_same_plans() -> None:
    first, second = ([plan(Random(f"7/{number}")) for number in range(50)] for _ in range(2))
    assert first == second
    assert first != [plan(Random(f"8/{number}")) for number in range(50)]


@pytest.mark.parametrize("letters", ["sD.", "scxxD.", "srcrcxE.", "sA.", "scE."])
def test_the_grammar_knows_what_may_come(letters: str) -> None:
    assert GRAMMAR.fullmatch(letters)


@pytest.mark.parametrize("letters", ["s.", "sD", "sDD.", "sD.x", "scxrcxD.", "cxD.", "sDE.", "sxD."])
def test_the_grammar_knows_what_may_not_come(letters: str) -> None:
    assert not GRAMMAR.fullmatch(letters)


async def test_a_stream_that_ends_otherwise_than_planned_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soak does fail: here it expects another text than the server sends."""
    asyncio.get_running_loop().set_debug(False)
    planned = plan(Random("7/1"))
    expected = frozenset({("done", "something else")})
    monkeypatch.setattr(
        "benchmarks.soak.plan", lambda rng: planned.__class__(**{**vars(planned), "outcomes": expected})
    )
    monkeypatch.setattr("benchmarks.soak_stream.WAYS", ("await",))
    soak = Soak(2, concurrency=2, seed=1)
    await soak.run()
    assert len(soak.problems) == 2
    assert "something else" in soak.problems[0]


async def test_a_task_that_is_left_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[asyncio.Task[None]] = []

    def leaky(rng: Random) -> object:
        left.append(asyncio.create_task(asyncio.sleep(60)))
        return plan(rng)

    monkeypatch.setattr("benchmarks.soak.plan", leaky)
    soak = Soak(1, concurrency=1, seed=3)
    await soak.run()
    assert [problem for problem in soak.problems if problem.startswith("a task is left")]
    for task in left:
        task.cancel()
    await asyncio.wait(left)


def test_the_command_prints_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--streams", "10", "--concurrency", "5", "--seed", "4"]) in {0, 1}
    printed = capsys.readouterr().out
    assert "10 streams, 5 at a time, seed 4" in printed
    assert "problems: 0" in printed


def test_every_way_can_be_driven() -> None:
    assert set(_DRIVE) == set(WAYS)
