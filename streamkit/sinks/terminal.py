"""What a terminal is to be shown, and what it can show."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["has_colours", "visible"]

_CONTROLS: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys(range(0x7F, 0xA0), "\N{REPLACEMENT CHARACTER}"),
}


def visible(text: str) -> str:
    r"""The text with its control characters made visible, but for tabs and line ends.

    What a model says is not to move the cursor, set the title or write the clipboard of the terminal that shows it.

    >>> visible("\x1b]0;a title\x07\n\x9b2J")
    '␛]0;a title␇\n\ufffd2J'
    """
    return text.translate(_CONTROLS)


def has_colours(file: TextIO) -> bool:
    """Whether that is a terminal whose owner wants colours, by https://no-color.org: `NO_COLOR` not set, or empty."""
    return file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
