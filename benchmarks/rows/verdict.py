"""What a system saw, against what had to come of the case: one of six verdicts, and why."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .case import Case
from .seen import Seen, shortened

__all__ = ["Kind", "Verdict", "judge"]


class Kind(enum.Enum):
    """The verdicts, from good to bad."""

    NOT_APPLICABLE = "n.a."
    RIGHT = "right"
    CLEAN_ERROR = "clean error"
    WRONG = "wrong silently"
    CRASH = "crash"
    HANG = "hang"

    @property
    def rank(self) -> int:
        """How bad it is."""
        return list(Kind).index(self)


@dataclass(frozen=True)
class Verdict:
    """A verdict, and what it stands on; "" for a right outcome."""

    kind: Kind
    why: str = ""


def judge(case: Case, seen: Seen, has: frozenset[str], *, strict: bool) -> Verdict:
    """The verdict on what a system saw.

    Args:
        case: what was played.
        seen: what came of it.
        has: what the system has beyond text, calls and usage: what it has not is not held against it.
        strict: it is streamkit, which is held to everything: classes and attributes of errors, quirks, events.

    >>> from .case import case, done, failed
    >>> judge(case("x", b"", done("Hello")), Seen(text="Hell", finish_reason="stop"), frozenset(), strict=False)
    Verdict(kind=<Kind.WRONG: 'wrong silently'>, why="text 'Hell', not 'Hello'")
    """
    expected = case.expected
    if seen.ending == "hang":
        return Verdict(Kind.HANG, "nothing more came of it")
    said = f"{seen.error.get('class')}: {shortened(str(seen.error.get('message')))}"
    if seen.ending == "crash":
        return Verdict(Kind.CRASH, said)
    differences = [*_content(case, seen, has), *(_strictly(case, seen) if strict else ())]
    if seen.ending == "error":
        if not expected.error:
            return Verdict(Kind.CLEAN_ERROR, said)
        # The error is there; whether it says what the server said, and whether what had arrived came out first.
        if expected.message and expected.message not in seen.error.get("message", ""):
            differences.append(f"the error does not say {expected.message!r}: {said}")
        return Verdict(Kind.CLEAN_ERROR, "; ".join(differences)) if differences else Verdict(Kind.RIGHT)
    if expected.error:
        names = " or ".join(error.__name__ for error in expected.error)
        return Verdict(Kind.WRONG, f"no error where {names} is due")
    return Verdict(Kind.WRONG, "; ".join(differences)) if differences else Verdict(Kind.RIGHT)


def _content(case: Case, seen: Seen, has: frozenset[str]) -> Iterator[str]:
    expected = case.expected
    whole = not expected.error
    # Of a failed stream only the text that was delivered before is asked for: many systems give out nothing else then.
    pairs: list[tuple[str, Any, Any]] = [("text", seen.text, shortened(expected.text))]
    if whole:
        pairs.append(("finish_reason", seen.finish_reason, expected.finish_reason))
        pairs.append(("refusal", seen.refusal, expected.refusal))
        # A usage that is made up where none was sent is held against a system once, in the row that is about it.
        if expected.usage is not None or "usage" in expected.events:
            pairs.append(("usage", seen.usage, expected.usage))
        pairs.append(("calls", _canonical(seen.tool_calls), _canonical(expected.tool_calls)))
        if expected.choices:
            pairs.append(("choices", dict(seen.choices), dict(expected.choices)))
        if "reasoning" in has:
            pairs.append(("reasoning", seen.reasoning, expected.reasoning))
    for name, found, right in pairs:
        if found != right:
            yield f"{name} {found!r}, not {right!r}"
    if case.blocked is not None and (seen.blocked is None or seen.blocked > case.blocked):
        blocked = "unknown" if seen.blocked is None else f"{seen.blocked * 1000:.0f} ms"
        yield f"the loop was blocked for {blocked}"


def _canonical(calls: Any) -> list[tuple[str, Any]]:  # names and arguments, in lists or tuples
    """Calls whose arguments differ in nothing but white space are the same."""
    canonical: list[tuple[str, Any]] = []
    for name, arguments in calls:
        try:
            canonical.append((name, json.loads(arguments)))
        except ValueError:
            canonical.append((name, arguments))
        except TypeError:
            canonical.append((name, ("no text", arguments)))
    return canonical


def _strictly(case: Case, seen: Seen) -> Iterator[str]:
    expected = case.expected
    if expected.error:
        classes = {error.__name__ for error in expected.error}
        if seen.ending == "error" and seen.error["class"] not in classes:
            yield f"{seen.error['class']}, not {' or '.join(sorted(classes))}"
        for name, value in expected.details.items():
            if (found := seen.error.get(name)) != value:
                yield f"{name} {found!r}, not {value!r}"
        if expected.choices and dict(seen.choices) != dict(expected.choices):
            yield f"choices {seen.choices!r}, not {expected.choices!r}"
    if seen.ending == "done" and seen.usage != expected.usage:
        yield f"usage {seen.usage!r}, not {expected.usage!r}"
    if seen.quirks != dict(expected.quirks):
        yield f"quirks {seen.quirks}, not {dict(expected.quirks)}"
    for name, times in expected.events.items():
        if (found := seen.events.get(name, 0)) != times:
            yield f"{found} times {name!r}, not {times}"
    for name, value in expected.extra.items():
        if seen.extra.get(name) != value:
            yield f"extra[{name!r}] is {seen.extra.get(name)!r}, not {value!r}"
