"""The driver: completion feeds over aiohttp. The only client code of streamkit that knows HTTP."""

from .stream_driver import StreamDriver

__all__ = ["StreamDriver"]
