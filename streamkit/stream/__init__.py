"""One completion stream over a source: the pump that drives it and what its users hold."""

from .completion_stream import CompletionStream
from .iteration import EventIterator
from .source import RoundsSource, Source

__all__ = ["CompletionStream", "EventIterator", "RoundsSource", "Source"]
