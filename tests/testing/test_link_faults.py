from __future__ import annotations

from typing import Any

import pytest

from streamkit.testing import LinkFaults


@pytest.mark.parametrize("name", ["slice", "reset_after", "cut_after", "silence_after"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "10"])
def test_a_wrong_number_of_bytes_is_named(name: str, value: object) -> None:
    faults: dict[str, Any] = {name: value}

    with pytest.raises(ValueError, match=f"LinkFaults.{name} must be a whole number of bytes.*, not {value!r}"):
        LinkFaults(**faults)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("delay", value) for value in (-0.1, float("nan"), float("inf"), "1", None, True)),
        *(("bandwidth", value) for value in (0, -1, float("nan"), float("inf"), "1", True)),
    ],
)
def test_a_wrong_time_or_rate_is_named(name: str, value: object) -> None:
    faults: dict[str, Any] = {name: value}

    with pytest.raises(ValueError, match=f"LinkFaults.{name} must be a number of .*, not {value!r}"):
        LinkFaults(**faults)


def test_a_connection_ends_in_one_way() -> None:
    with pytest.raises(ValueError, match=r"takes one of reset_after, .* not \['reset_after', 'silence_after'\]"):
        LinkFaults(reset_after=0, silence_after=5)


def test_none_is_no_fault_and_nothing_passes_after_nothing() -> None:
    assert LinkFaults().last_byte is None
    assert [
        LinkFaults(reset_after=0).last_byte,
        LinkFaults(cut_after=1).last_byte,
        LinkFaults(silence_after=2).last_byte,
    ] == [0, 1, 2]
