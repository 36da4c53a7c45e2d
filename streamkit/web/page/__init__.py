"""The chat page and its web component: static files, and the headers that they are served with.

The modules run in a browser as they stand; nothing is built. `/` is the page, `/streamkit-chat.js` the component for other pages,
`/chat/…` what the two are made of. The policy of the page allows its own scripts, styles and relay, and nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

__all__ = ["CONTENT_SECURITY_POLICY", "PAGE_PATHS", "PageFile", "page_file"]

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; "  # the icon
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What the page may do: https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/."""

_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

# Each file is asked for again and answered by 304: the modules of one version belong together.
_HEADERS: Final = {"cache-control": "no-cache", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_OF_TYPE: Final[Mapping[str, Mapping[str, str]]] = {
    ".html": {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    },
    # Modules are fetched with CORS. These are public, the same for everybody, and meant for other sites' pages.
    ".js": {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"},
    ".css": {},
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page.

    Attributes:
        content_type: with its charset.
        headers: the others, names in lower case; `etag` among them, for `If-None-Match`.
        body: its bytes.
    """

    content_type: str
    headers: Mapping[str, str]
    body: bytes


def _served() -> dict[str, Traversable]:
    root = files(__name__)
    served = {"/": root / "chat.html", "/streamkit-chat.js": root / "streamkit-chat.js"}
    for file in (root / "chat").iterdir():
        if file.name.endswith((".js", ".css")):
            served[f"/chat/{file.name}"] = file
    return served


_SERVED: Final = _served()

PAGE_PATHS: Final = tuple(sorted(_SERVED))
"""All paths that `page_file` knows."""


@cache
def page_file(path: str) -> PageFile | None:
    """The file at a path below the place where the relay is mounted; None where there is none.

    >>> page_file("/").content_type
    'text/html; charset=utf-8'
    >>> page_file("/../__init__.py") is None
    True
    """
    file = _SERVED.get(path)
    if file is None:
        return None
    body = file.read_bytes()
    suffix = file.name[file.name.rindex(".") :]
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return PageFile(f"{_TYPES[suffix]}; charset=utf-8", {**_HEADERS, **_OF_TYPE[suffix], "etag": etag}, body)
