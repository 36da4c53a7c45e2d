"""The short form of `make fuzz`: the same targets, fed by hypothesis. No input breaks a parser."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from benchmarks.fuzz import mutated
from benchmarks.fuzz_targets import FRAGMENTS, SEEDS, TARGETS

from .conftest import REPO

COLLAGES = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=40).map(b"".join)
INPUTS = COLLAGES | st.binary(max_size=200)

short = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@short
@given(data=INPUTS)
@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_break_it(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_no_mutation_of_what_is_valid_breaks_it(target: str) -> None:
    rng = random.Random(f"streamkit/{target}")
    for _ in range(200):
        data = mutated(rng, SEEDS[target], FRAGMENTS)
        try:
            TARGETS[target](data)
        except BaseException:
            print(f"broken by {data!r}")
            raise


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "unit", [b"\n", b"[", b'{"a":', b"data: x\n", b"\r", b"\xff", b'{"choices":[{"delta":', b"9", b"<title"]
)
def test_time_grows_with_the_input_and_not_with_its_square(target: str, unit: bytes) -> None:
    """Thirty times as much takes thirty times as long, give or take; with the square it would be nine hundred."""
    small = unit * (1_000 // len(unit))

    def seconds(data: bytes) -> float:
        began = time.thread_time()
        TARGETS[target](data)
        return time.thread_time() - began

    once = max(min(seconds(small) for _ in range(3)), 0.0002)
    assert seconds(small * 30) < 30 * 8 * once


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("failure", b'"\\ud83d"'),  # half a surrogate pair in an error message
        ("chat", b'{"choices":[{"delta":{"content":"x"},"finish_reason":"\\ud83d"}]}'),
        ("chat", b'{"id":"\\ud83d","model":"\\ude00","choices":[]}'),
        ("chat", b'{"choices":[{"delta":{"tool_calls":[{"id":"\\ud83d","function":{"name":"f"}}]}}]}'),
    ],
)
def test_what_the_fuzzers_found(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("broken", [b"", b"data: x\n\n", b"{"])
def test_a_target_that_breaks_is_found(broken: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzers do fail: a decoder that loses an event is noticed by the first target."""
    from streamkit import SSEDecoder

    calls = 0

    def feed(self: SSEDecoder, data: bytes) -> list[object]:
        nonlocal calls
        calls += 1
        return [calls]

    monkeypatch.setattr(SSEDecoder, "feed", feed)
    with pytest.raises(AssertionError):
        TARGETS["sse"](broken + b"data: y\n\n")


def test_the_command_runs(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "fuzz",
        "--seconds",
        "1",
        "--target",
        "tape",
        "--corpus",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=REPO, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing found in tape"), done.stderr[-2_000:]
