"""What becomes of streamkit's log records where nobody has configured logging."""

from __future__ import annotations

import logging

__all__ = ["UnconfiguredHandler"]


class UnconfiguredHandler(logging.NullHandler):
    """A NullHandler, but for errors in a program that has no handler at all: they go to stderr, as asyncio's do.

    A listener that raises is reported by nothing but its log record; in a script without logging it would vanish. So would the
    warnings of `streamkit.web`: servers configure the logging of their own only, and nobody is there to catch an error.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass an error on to the handler of last resort, if there is no other."""
        configured = logging.getLogger().handlers or any(
            handler is not self for handler in logging.getLogger("streamkit").handlers
        )
        level = logging.WARNING if record.name == "streamkit.web" else logging.ERROR
        if record.levelno >= level and not configured and logging.lastResort is not None:
            logging.lastResort.handle(record)
        return True
