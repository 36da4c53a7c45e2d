"""For everybody: by keyboard alone, by ear, in any light, on a phone, from right to left.

axe-core is looked for in the folder `node_modules` of STREAMKIT_NODE_MODULES, and installed there by
`npm install --prefix "$STREAMKIT_NODE_MODULES" axe-core@4.14.1`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from streamkit.testing import Hang, Reset, Send, Step, Wait, chunk, sse

from ...conftest import require_or_skip
from ..chromium import Browser
from .chatting import ChatPage, answer_of, chat_over, said

RICH = (
    "# A title\n\nText with `code`, a [link](https://example.org/) and *stress*.\n\n- [x] done\n- item\n\n> quote\n\n"
    "| a | b |\n|---|---:|\n| 1 | 2 |\n\n```py\nprint(1)\n```\n\n"
)


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    folder = os.environ.get("STREAMKIT_NODE_MODULES")
    if not folder:
        require_or_skip("STREAMKIT_NODE_MODULES names no folder; see the docstring of this module")
    script = Path(folder) / "node_modules/axe-core/axe.min.js"
    if not script.is_file():
        require_or_skip(f"axe-core is not in {folder}; see the docstring of this module")
    return script.read_text(encoding="utf-8")


async def complaints(chat: ChatPage, axe: str) -> list[Any]:
    """What axe-core finds wrong, of whatever weight."""
    if not await chat.one("'axe' in globalThis"):
        await chat.page.send("Runtime.evaluate", expression=axe)
    found: list[Any] = await chat.one(
        "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.map(({id, impact, nodes}) =>"
        " [id, impact, nodes.map(({target, failureSummary}) => [target.flat().join(' '), failureSummary])]))"
    )
    return found


async def test_axe_finds_nothing(browser: Browser, axe: str) -> None:
    calls = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    running: list[Step] = [
        Send(sse(chunk(reasoning_content="Hm."), chunk(RICH, tool_calls=[calls]), done=False)),
        Hang(),
    ]
    dying: list[Step] = [Send(said("Half ")), Wait(0.05), Reset()]
    async with chat_over(browser, answer_of(RICH, reasoning_content="Hm."), dying, running, models=["a", "b"]) as (
        chat,
        _,
        _,
        _,
    ):
        assert await complaints(chat, axe) == []
        await chat.say("Whole")
        await chat.over()
        await chat.say("Half")
        await chat.until("$LAST.querySelector('.note.failed')")
        await chat.one("void ($ROOT.querySelector('.reasoning').open = true)")
        for scheme in "light", "dark":
            await chat.page.prefer(prefers_color_scheme=scheme)
            assert await complaints(chat, axe) == []
        await chat.say("On and on")
        await chat.until("$LAST.querySelector('.tool') && $LAST.classList.contains('running')")
        # What breathes is as strong as it gets, when it is judged.
        await chat.page.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
        assert await complaints(chat, axe) == []
        await chat.page.resize(360, 640, mobile=True)
        assert await complaints(chat, axe) == []
        await chat.click("$ROOT.querySelector('.menu')")
        await chat.until("$ROOT.querySelector('.drawer')")
        assert await complaints(chat, axe) == []
        # It does look: inside the component too.
        await chat.page.resize(1000, 700)
        await chat.one("document.querySelector('streamkit-chat').style.setProperty('--streamkit-muted', '#ddd')")
        assert "color-contrast" in [found[0] for found in await complaints(chat, axe)]


async def test_roles_and_names_for_those_who_listen(browser: Browser) -> None:
    async with chat_over(browser, [Send(said("Some ")), Hang()]) as (chat, _, _, _):
        await chat.say("Hello")
        await chat.shows("Some")
        log = await chat.one(
            "[...$ROOT.querySelectorAll('[role=log]')].map((one) => [one.ariaLive, one.ariaLabel, one.tabIndex])"
        )
        assert log == [["polite", "Messages", 0]]
        # Busy while it grows: it is read when it is there, not word by word.
        assert await chat.one("$LAST.ariaBusy") == "true"
        await chat.page.press("Escape")
        await chat.until("$LAST.ariaBusy === 'false'")
        tree = await chat.page.send("Accessibility.getFullAXTree")
        named = {
            (node["role"]["value"], node["name"]["value"])
            for node in tree["nodes"]
            if node.get("name", {}).get("value")
        }
        assert {
            ("log", "Messages"),
            ("navigation", "Conversations"),
            ("article", "You"),
            ("article", "Answer"),
            ("textbox", "Message"),
            ("button", "Send"),
            ("button", "Try again"),
            ("heading", "Chat"),
            ("heading", "Hello"),
        } <= named


async def test_all_of_it_by_keyboard(browser: Browser) -> None:
    text = "".join(f"line {number}\n\n" for number in range(60))
    async with chat_over(browser, answer_of(text), answer_of("Second.")) as (chat, _, _, _):
        await chat.say("Hello")
        assert await chat.over() == "done"
        reached = set()
        for _ in range(20):
            await chat.page.press("Tab")
            reached.add(
                await chat.one(
                    "$ROOT.activeElement && ($ROOT.activeElement.ariaLabel || $ROOT.activeElement.textContent)"
                )
            )
            outline = await chat.one(
                "$ROOT.activeElement ? getComputedStyle($ROOT.activeElement).outlineStyle : 'solid'"
            )
            assert outline != "none" or await chat.one("$ROOT.activeElement.matches('.composer textarea')")
        assert {
            "New conversation",
            "Hello",
            "Delete: Hello",
            "Messages",
            "Edit",
            "Copy",
            "Try again",
            "Message",
            "Send",
        } <= reached
        await chat.one("$ROOT.querySelector('.scroller').focus()")
        await chat.page.press("End")  # the focus may have stood in a message above
        bottom = await chat.until("$ROOT.querySelector('.latest').hidden && $ROOT.querySelector('.scroller').scrollTop")
        await chat.page.press("PageUp")
        await chat.until(
            f"$ROOT.querySelector('.scroller').scrollTop < {bottom} - 100 && !$ROOT.querySelector('.latest').hidden"
        )
        await chat.one("$ROOT.querySelector('.composer textarea').focus()")
        await chat.page.type("More")
        await chat.page.press("Enter")
        await chat.shows("Second.")
        assert await chat.over() == "done"
        assert await chat.one("$ROOT.activeElement.matches('.composer textarea')")  # where it was


async def test_the_focus_stays_in_an_earlier_message_while_an_answer_streams(browser: Browser) -> None:
    async with chat_over(
        browser, answer_of("First."), [Send(said("Some ")), Wait(0.3), Send(said("more")), Hang()]
    ) as (chat, _, _, _):
        await chat.say("Hello")
        await chat.over()
        await chat.say("Again")
        await chat.shows("Some")
        await chat.one("$ROOT.querySelector('.answer .foot button').focus()")
        await chat.shows("more")
        await chat.page.press("Escape")
        await chat.until("$LAST.querySelector('.note.stopped')")
        assert await chat.one("$ROOT.activeElement === $ROOT.querySelector('.answer .foot button')")


async def test_nothing_moves_for_who_wants_it_still(browser: Browser) -> None:
    async with chat_over(browser, [Hang()]) as (chat, _, _, _):
        await chat.say("Hello")
        await chat.until("$LAST.getAnimations({subtree: true}).length > 0")
        await chat.page.prefer(prefers_reduced_motion="reduce")
        await chat.until("$LAST.getAnimations({subtree: true}).length === 0")


async def test_a_phone(browser: Browser) -> None:
    wide = (
        "```\n"
        + "x" * 300
        + "\n```\n\n| "
        + " | ".join("wide" * 5 for _ in range(8))
        + " |\n"
        + "|---" * 8
        + "|\n\n"
        + "y" * 300
    )
    async with chat_over(browser, answer_of(wide)) as (chat, _, _, _):
        await chat.page.resize(320, 568, mobile=True)
        await chat.page.reload()
        assert await chat.one("getComputedStyle($ROOT.querySelector('.sidebar')).visibility") == "hidden"
        await chat.say("Hello")
        await chat.over()
        for width in "document.documentElement.scrollWidth", "$ROOT.querySelector('.scroller').scrollWidth":
            assert await chat.one(width) <= 320
        await chat.click("$ROOT.querySelector('.menu')")
        assert await chat.one("[$ROOT.querySelector('.menu').ariaExpanded, $ROOT.activeElement.textContent]") == [
            "true",
            "New conversation",
        ]
        await chat.page.press("Escape")
        assert await chat.one("[$ROOT.querySelector('.menu').ariaExpanded, $ROOT.activeElement.title]") == [
            "false",
            "Conversations",
        ]
        small = await chat.one(
            "[...$ROOT.querySelectorAll('button')].map((one) => one.getBoundingClientRect()).filter(({width, height}) =>"
            " width && (width < 24 || height < 24)).length"
        )
        assert small == 0  # https://www.w3.org/TR/WCAG22/#target-size-minimum


async def test_from_right_to_left(browser: Browser) -> None:
    text = "هذا نص **عربي** مع `code`.\n\n- واحد\n- two\n\nAnd English.\n\n> اقتباس\n\n```\ncode\n```\n"
    async with chat_over(browser, answer_of(text)) as (chat, _, _, _):
        await chat.say("سؤال بالعربية")
        await chat.over()
        found = await chat.one(
            "[...$ROOT.querySelectorAll('.user .body, .answer .body > *')].map((one) => [one.localName, getComputedStyle(one).direction])"
        )
        assert found == [
            ["div", "rtl"],
            ["p", "rtl"],
            ["ul", "rtl"],
            ["p", "ltr"],
            ["blockquote", "rtl"],
            ["div", "ltr"],
        ]
        await chat.one("void (document.documentElement.dir = 'rtl')")
        sidebar, main = await chat.one(
            "['.sidebar', '.main'].map((name) => $ROOT.querySelector(name).getBoundingClientRect().x)"
        )
        assert sidebar > main
