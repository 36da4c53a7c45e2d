"""Markdown to nodes, as models write it, while it is still being written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ..chromium import Browser, Page
from .other_relay import other_relay

RENDER = r"""
globalThis.render = async (text, cuts = []) => {
  const { Markdown } = await import("/chat/markdown.js");
  const root = document.createElement("div");
  const markdown = new Markdown(root);
  let at = 0;
  for (const cut of [...cuts, text.length]) { markdown.write(text.slice(at, cut)); markdown.flush(); at = cut; }
  markdown.end();
  root.normalize();
  return root;
};
globalThis.html = async (text, cuts) => (await render(text, cuts)).innerHTML
  .replace(/ (dir|rel|target|title|tabindex|role|aria-label|type|part|data-action)="[^"]*"/g, "")
  .replace(/<div class="bar"><span>([^<]*)<\/span><button>Copy<\/button><\/div>/g, "[$1]");
"""


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with other_relay() as url:
        page = await browser.page(url)
        await page.evaluate(f"(() => {{ {RENDER} }})()")
        yield page
        assert page.violations == []
        await page.close()


CASES = [
    ("Hello *world*, **bold**, ***both***, ~~gone~~", "<p>Hello <em>world</em>, <strong>bold</strong>, <em><strong>both</strong></em>, <s>gone</s></p>"),
    ("snake_case_name and __init__(x)", "<p>snake_case_name and <strong>init</strong>(x)</p>"),
    ("2*3*4 and 2 * 3 * 4, a ** b", "<p>2*3*4 and 2 * 3 * 4, a ** b</p>"),
    ("**never closed\n\nnext", "<p>**never closed</p><p>next</p>"),
    ("**Note:** 强调**文字**。", "<p><strong>Note:</strong> 强调<strong>文字</strong>。</p>"),
    ("`a` ``b ` c`` `d", "<p><code>a</code> <code>b ` c</code> `d</p>"),
    ("\\*no\\* \\( a_b_c \\) C:\\path", "<p>*no* \\( a_b_c \\) C:\\path</p>"),
    ("one\ntwo", "<p>one\ntwo</p>"),
    ("one<br>two <b>x</b> & &amp;", "<p>one<br>two &lt;b&gt;x&lt;/b&gt; &amp; &amp;amp;</p>"),
    ("# One\n## Two\n####### no", "<h3>One</h3><h4>Two</h4><p>####### no</p>"),
    ("#hashtag", "<p>#hashtag</p>"),
    ("- a\n- b\n  - c\n    - d\n- e", "<ul><li>a</li><li>b<ul><li>c<ul><li>d</li></ul></li></ul></li><li>e</li></ul>"),
    ("1. a\n\n   more\n2. b\n\nend", "<ol><li>a<p>more</p></li><li>b</li></ol><p>end</p>"),
    ("7. a\n8. b", '<ol start="7"><li>a</li><li>b</li></ol>'),
    ("born in\n1986. A year", "<p>born in\n1986. A year</p>"),
    ("- [ ] a\n- [x] b", '<ul><li><span class="task">☐ </span>a</li><li><span class="task">☑ </span>b</li></ul>'),
    ("1. a\n   ```py\n   x\n     y\n   ```\n2. b", '<ol><li>a<div class="code">[py]<pre><code>x\n  y\n</code></pre></div></li><li>b</li></ol>'),
    ("> a\n> - b\n\nc", "<blockquote><p>a</p><ul><li>b</li></ul></blockquote><p>c</p>"),
    ("```js\n<b>*x*</b>\n```\nafter", '<div class="code">[js]<pre><code>&lt;b&gt;*x*&lt;/b&gt;\n</code></pre></div><p>after</p>'),
    ("````\n```\n````\n```", '<div class="code">[text]<pre><code>```\n</code></pre></div><div class="code">[text]<pre><code></code></pre></div>'),
    ("~~~\nunclosed", '<div class="code">[text]<pre><code>unclosed</code></pre></div>'),
    ("a\n\n---\n\nb\n***", "<p>a</p><hr><p>b</p><hr>"),
    ("| a | b |\n|---|:-:|\n| 1 `|` | **2** |\n\nx", '<div class="table"><table><thead><tr><th>a</th><th class="center">b</th></tr></thead><tbody><tr><td>1 <code>|</code></td><td class="center"><strong>2</strong></td></tr></tbody></table></div><p>x</p>'),
    ("| no table\n| at all", "<p>| no table\n| at all</p>"),
    ("[a](http://x.y/z_(1)) [1] see [2]", '<p><a href="http://x.y/z_(1)">a</a> [1] see [2]</p>'),
    ("see https://e.org/a_b_c. (http://f.org/x) <mailto:a@b.c>", '<p>see <a href="https://e.org/a_b_c">https://e.org/a_b_c</a>. (<a href="http://f.org/x">http://f.org/x</a>) <a href="mailto:a@b.c">mailto:a@b.c</a></p>'),
    ("![pic](https://e.org/p.png) ![](https://e.org/q)", '<p><a href="https://e.org/p.png" class="image">pic</a> <a href="https://e.org/q" class="image">https://e.org/q</a></p>'),
    ("[a](javascript:b) [c](/d) [e](ftp://f)", "<p>[a](javascript:b) [c](/d) [e](ftp://f)</p>"),
    ("[**b** *i*](http://x.y)", '<p><a href="http://x.y/"><strong>b</strong> <em>i</em></a></p>'),
    ("", ""),
    ("\r\n a\r\n\r\nb", "<p>a</p><p>b</p>"),
]  # fmt: skip


async def test_what_becomes_of_it(page: Page) -> None:
    """Whole, and in pieces of one character."""
    for source, expected in CASES:
        text = json.dumps(source)
        assert await page.evaluate(f"html({text})") == expected, source
        assert await page.evaluate(f"html({text}, [...{text}].keys().toArray())") == expected, source


async def test_any_text_in_any_pieces_is_the_same_and_no_letter_is_lost(page: Page) -> None:
    found: list[Any] = await page.evaluate(
        r"""(async () => {
          const bits = ["*", "**", "_", "`", "``", "```", "~~", "[", "](", "]", ")", "(", "<", ">", "\\", "\\(", "\\)", "|", "\n", "\n\n", "\n- ",
            "\n1. ", "\n> ", "\n# ", "\n  ", "\n   ", "---", "|-|", "\n| a | b |\n", "\n|---|---|\n", "\n```\n", "\n~~~\n", "word", "a b", "é.",
            "🙂", " ", "  ", "!", "![", "#", "- ", "> ", "\t"];
          const more = [...bits, "http://a.b/c", "htt", "ps://q.r", "javascript:x", "<br>", "[x] ", "```py\n", "1. "];
          let seed = 7; // mulberry32
          const random = (below) => {
            seed = (seed + 0x6d2b79f5) | 0;
            let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
            mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
            return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
          };
          const bad = [];
          const letters = (text) => text.replace(/[^\p{L}🙂]/gu, "");
          for (let n = 0; n < 1500 && bad.length < 3; n++) {
            const from = n % 2 ? bits : more;
            let text = "";
            for (let size = 1 + random(24); size > 0; size--) text += random(60) ? from[random(from.length)] : "long ".repeat(random(100));
            const cuts = [];
            for (let at = 1; at < text.length; at++) if (random(text.length > 500 ? 400 : 2)) cuts.push(at);
            const whole = await render(text);
            if (whole.innerHTML !== (await render(text, cuts)).innerHTML) bad.push(["pieces", text, cuts]);
            for (const bar of whole.querySelectorAll(".bar")) {
              bar.lastChild.remove();
              if (bar.textContent === "text") bar.remove();
            }
            if (from === bits && letters(whole.textContent) !== letters(text)) bad.push(["lost", text, whole.innerHTML]);
          }
          return bad;
        })()"""
    )
    assert found == []


async def test_deep_nesting_ends_somewhere(page: Page) -> None:
    """Browsers lay out what is nested some hundred levels deep, and not some thousand."""
    depths = await page.evaluate(
        """(async () => {
          const depths = [];
          for (const piece of ["> ", "- ", "1. ", "[", "**a ", "*_", "![a]("]) {
            let depth = 0;
            for (let at = await render(piece.repeat(5000)); at; at = at.lastElementChild) depth++;
            depths.push(depth);
          }
          return depths;
        })()"""
    )
    assert max(depths) < 600
