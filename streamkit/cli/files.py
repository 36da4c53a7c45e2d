"""What a command makes: a new file, or standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from .console import UsageError

__all__ = ["write_new"]


def write_new(name: str, text: str) -> None:
    """Write the text to a file that is not there yet; `-` is standard output.

    Raises:
        UsageError: the file exists, its folder does not, or it cannot be made.
        OSError: it could not be written whole (a full disk); what was written is removed.
    """
    if name == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(name)
    try:
        file = path.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise UsageError(f"{name} exists; choose another name, or - for standard output") from None
    except FileNotFoundError:
        raise UsageError(f"cannot make {name}: its folder does not exist; make it first") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot make {name!r}: {reason}; choose another place") from None
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink()
        raise
