"""The files: what is served, with which headers, and that they hold together."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import aiohttp
import pytest

from streamkit.web.page import CONTENT_SECURITY_POLICY, PAGE_PATHS, PageFile, page_file
from streamkit.web.site import relay_site

from ...conftest import REPO
from ..relayed import relay_over
from .chatting import answer_of

FOLDER = REPO / "streamkit/web/page"
MODULES = [path for path in PAGE_PATHS if path.endswith(".js")]


def file_of(path: str) -> PageFile:
    file = page_file(path)
    assert file is not None
    return file


def test_every_file_of_the_folder_is_served_and_nothing_else() -> None:
    there = {
        path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*") if path.suffix in (".html", ".js", ".css")
    }
    assert {("/" + path).replace("/chat.html", "/") for path in there} == set(PAGE_PATHS)
    for path in "", "/chat.html", "/chat/", "/__init__.py", "/chat/../__init__.py", "/chat/nothing.js", "//":
        assert page_file(path) is None


@pytest.mark.parametrize("path", MODULES)
def test_a_module_imports_what_is_there(path: str) -> None:
    text = file_of(path).body.decode()
    for name in re.findall(
        r'^(?:import|export) .*?from "([^"]+)";$|^import "([^"]+)";$', text, re.MULTILINE | re.DOTALL
    ):
        target = PurePosixPath(path).parent / (name[0] or name[1])
        assert str(target) in PAGE_PATHS
    assert len(text.splitlines()) < 350
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|DOMParser", text
    )


def test_no_file_names_another_host() -> None:
    for path in PAGE_PATHS:
        text = file_of(path).body.decode()
        # The W3C's namespace of SVG is a name, comments cite specifications, and examples are examples.
        hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z]+)", text))
        assert hosts <= {
            "www.w3.org",
            "html.spec.whatwg.org",
            "spec.commonmark.org",
            "developer.mozilla.org",
            "relay.example",
        }


def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    html = file_of("/").body.decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", html) == [""]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)


def test_headers() -> None:
    html, module = file_of("/"), file_of("/streamkit-chat.js")
    assert html.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "'unsafe" not in CONTENT_SECURITY_POLICY and "http" not in CONTENT_SECURITY_POLICY
    assert {
        "default-src 'none'",
        "script-src 'self'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    } <= set(CONTENT_SECURITY_POLICY.split("; "))
    assert html.content_type == "text/html; charset=utf-8"
    assert "access-control-allow-origin" not in html.headers
    assert (module.content_type, module.headers["access-control-allow-origin"]) == (
        "text/javascript; charset=utf-8",
        "*",
    )
    assert len({file_of(path).headers["etag"] for path in PAGE_PATHS}) == len(PAGE_PATHS)


async def test_served_by_a_relay_that_has_a_page_and_asked_for_again() -> None:
    async with (
        relay_over(answer_of("x"), page=True) as (_, relay),
        relay_site(relay) as url,
        aiohttp.ClientSession() as session,
    ):
        for path in PAGE_PATHS:
            async with session.get(url + path) as response:
                assert (response.status, await response.read()) == (200, file_of(path).body)
                assert response.headers["x-content-type-options"] == "nosniff"
                assert response.headers["cache-control"] == "no-cache"
                tag = response.headers["etag"]
            async with session.get(url + path, headers={"if-none-match": tag}) as response:
                assert (response.status, await response.read()) == (304, b"")
    async with (
        relay_over(answer_of("x")) as (_, relay),
        relay_site(relay) as url,
        aiohttp.request("GET", url + "/") as response,
    ):
        assert response.status == 404
