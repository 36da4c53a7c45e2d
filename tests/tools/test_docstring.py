from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.tools.docstring import parse_docstring

GOOGLE = """The weather of a city.

Only of large ones.

Args:
    city (str): its name,
        in any language
    days: how many: 1 to 7
    **options: others

Returns:
    days: no parameter
"""
NUMPY = """The weather of a city.

Only of large ones.

Parameters
----------
city : str
    its name,
    in any language
days : int, optional
    how many: 1 to 7

Returns
-------
days : str
    no parameter
"""
SPHINX = """The weather of a city.

Only of large ones.

:param str city: its name,
    in any language
:param days: how many: 1 to 7
:type days: int
:returns: days: no parameter
"""


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_each_style_describes_the_function_and_its_parameters(text: str) -> None:
    description, parameters = parse_docstring(text)
    assert description == "The weather of a city.\n\nOnly of large ones."
    assert parameters["city"] == "its name, in any language"
    assert parameters["days"] == "how many: 1 to 7"


def test_no_docstring_describes_nothing() -> None:
    assert parse_docstring(None) == ("", {})
    assert parse_docstring("  \n ") == ("", {})


def test_a_numpy_entry_may_name_several_parameters() -> None:
    assert parse_docstring("f\n\nParameters\n----------\na, b : int\n    numbers")[1] == {
        "a": "numbers",
        "b": "numbers",
    }


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*GOOGLE.splitlines(), *NUMPY.splitlines(), *SPHINX.splitlines(), "\t", ":param", "---"]))
)
def test_any_text_gives_a_description_and_texts(lines: list[str]) -> None:
    description, parameters = parse_docstring("\n".join(lines))
    assert description == description.strip()
    assert all(name.isidentifier() and text for name, text in parameters.items())
