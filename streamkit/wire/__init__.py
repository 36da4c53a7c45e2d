"""The dialects that streamkit speaks: requests in, chunks and errors out. Pure: no I/O."""

__all__: list[str] = []
