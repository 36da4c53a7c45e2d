"""What a function's docstring says of the function, and of each of its parameters: Google's, NumPy's and Sphinx's styles."""

from __future__ import annotations

import inspect
import re

__all__ = ["parse_docstring"]

_ARGUMENTS = {"args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments"}
_OTHERS = {"returns", "return", "yields", "raises", "example", "examples", "note", "notes", "see also", "warns", "todo"}
_SPHINX = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:\n]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
_FIELD = re.compile(r":\w+[^:\n]*:")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?")


def parse_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    r"""The description of the function, and those of its parameters by name.

    >>> parse_docstring(
    ...     "The weather of a city.\n\nArgs:\n    city: its name,\n        in any language\n\nReturns:\n    text"
    ... )
    ('The weather of a city.', {'city': 'its name, in any language'})
    """
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, list[str]] = {}
    section, numpy, current, depth = "", False, None, 0
    for number, line in enumerate(lines):
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        below = lines[number + 1].strip() if number + 1 < len(lines) else ""
        underlined = len(below) >= 3 and set(below) <= {"-"}
        if not indent and (title := _title(bare, underlined=underlined)):
            section, numpy, current, depth = title, underlined, None, 0
        elif found := _SPHINX.fullmatch(bare):
            section, current = "sphinx", parameters.setdefault(found[1], [])
            current.append(found[2])
        elif section == "sphinx" and _FIELD.match(bare):
            current = None
        elif section == "sphinx":
            if current is not None:
                current.append(bare)
        elif not section:
            description.append(line)
        elif section in _ARGUMENTS and bare and not (numpy and set(bare) <= {"-"}):
            depth = depth or indent
            entry = _NUMPY_ENTRY.fullmatch(bare) if numpy else _ENTRY.fullmatch(bare)
            if entry and indent <= (0 if numpy else depth):
                current = []
                for name in re.split(r"\s*,\s*", entry[1]):
                    parameters[name] = current
                if not numpy:
                    current.append(entry[2])
            elif current is not None:
                current.append(bare)
    return "\n".join(description).strip(), {
        name: joined for name, said in parameters.items() if (joined := " ".join(filter(None, said)).strip())
    }


def _title(line: str, *, underlined: bool) -> str:
    """The section that a line begins, in lower case; "" where it begins none."""
    title = line.removesuffix(":").lower()
    return title if title in _ARGUMENTS | _OTHERS and (underlined or line.endswith(":")) else ""
