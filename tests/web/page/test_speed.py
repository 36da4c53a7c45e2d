"""What an answer costs the browser: the tab stays responsive, however long the answer is."""

from __future__ import annotations

from typing import Any

from streamkit.testing import Send, Wait, chunk, sse

from ..chromium import Browser
from .chatting import ChatPage, answer_of, chat_over, pieces

PARAGRAPH = (
    "The *relay* reads the model's feed, numbers **every** event and sends it on; see `Last-Event-ID` and"
    " [the specification](https://html.spec.whatwg.org/). Nothing is drawn twice, 🙂 and nothing is lost.\n\n"
    "- one item, with a word or two\n- another `item`\n\n```py\nasync for chunk in stream:\n    print(chunk, end='')\n```\n\n"
)

# Long tasks as https://w3c.github.io/longtasks/ has them: 50 ms or more.
WATCH = """
globalThis.longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((one) => one.duration))).observe({type: "longtask"});
"""


def markdown(tokens: int) -> list[str]:
    words: list[str] = []
    while len(words) < tokens:
        words += pieces(PARAGRAPH)
    return words[:tokens]


async def measured(chat: ChatPage, text: str) -> tuple[dict[str, float], list[float]]:
    """The seconds of scripting, layout and all tasks that an answer took, and its long tasks in ms."""
    await chat.one(f"(() => {{ {WATCH} }})()")
    await chat.page.send("HeapProfiler.collectGarbage")
    before = await chat.page.metrics()
    await chat.say(text)
    await chat.over(40)
    after = await chat.page.metrics()
    names = "ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration"
    return {name: after[name] - before[name] for name in names}, await chat.one("longTasks")


def calm(tasks: list[float]) -> bool:
    """No task over 50 ms; on a machine that does other things too, a few that it was taken away from, and none that a reader sees."""
    return len(tasks) <= 3 and max(tasks, default=0) < 200


async def test_five_thousand_tokens(browser: Browser, record_property: Any) -> None:
    words = markdown(5000)
    steps: list[Any] = []
    for start in range(0, len(words), 50):
        steps += [Send(sse(*(chunk(word) for word in words[start : start + 50]), done=False)), Wait(0.01)]
    async with chat_over(browser, answer_of("warm"), [*steps, Send(sse(chunk(finish_reason="stop")))]) as (
        chat,
        _,
        _,
        _,
    ):
        await chat.say("Warm up")
        await chat.over()
        seconds, tasks = await measured(chat, "Go")
        record_property("seconds", seconds)
        print(f"5,000 tokens: {seconds}, long tasks {tasks}")
        assert (await chat.stored())[-1]["text"] == "".join(words)
        assert seconds["ScriptDuration"] < 0.5
        assert calm(tasks)
        assert chat.clean()


async def test_a_hundred_kilobytes_at_once_and_again_after_a_reload(browser: Browser) -> None:
    words = pieces(PARAGRAPH * 330)
    assert len("".join(words)) > 100_000
    async with chat_over(browser, answer_of("warm"), answer_of("".join(words))) as (chat, _, _, _):
        await chat.say("Warm up")
        await chat.over()
        seconds, tasks = await measured(chat, "Go")
        print(f"{len(''.join(words))} characters: {seconds}, long tasks {tasks}")
        assert (await chat.stored())[-1]["text"] == "".join(words)
        assert calm(tasks)
        await chat.page.reload()
        await chat.one(f"(() => {{ {WATCH} }})()")
        await chat.until("$ROOT.querySelectorAll('.answer').length === 2")
        await chat.over(40)
        tasks = await chat.one("longTasks")
        print(f"after a reload: long tasks {tasks}")
        assert calm(tasks)
        assert chat.clean()


async def test_a_paragraph_without_end_and_a_line_of_code_without_end_cost_linear_time(browser: Browser) -> None:
    """Thrice the text may take six times as long, not nine: a quadratic renderer is found out."""
    async with chat_over(browser, answer_of("x")) as (chat, _, _, _):
        for piece in "word ", "**x* ", "[a](", "`", "h", "<b ":
            for start in "", "```\\n":
                figures = await chat.one(
                    f"""(async () => {{
                      const {{ Markdown }} = await import("/chat/markdown.js");
                      const take = (count) => {{
                        const root = document.createElement("div");
                        const markdown = new Markdown(root);
                        const began = performance.now();
                        markdown.write("{start}");
                        for (let n = 0; n < count; n++) {{ markdown.write("{piece}"); if (n % 8 === 0) markdown.flush(); }}
                        markdown.end();
                        return performance.now() - began;
                      }};
                      take(500);
                      const best = (count) => Math.min(take(count), take(count), take(count));
                      return [best(1000), best(3000)];
                    }})()"""
                )
                assert figures[1] < 6 * figures[0] + 20, (start, piece, figures)
