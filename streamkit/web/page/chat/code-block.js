/** Code between fences, in a frame with its language and a button to copy it. */

import { TextWriter } from "./text.js";

export class CodeBlock {
  #writer;
  #fence;
  #indent;
  #quotes;

  /**
   * @param {string} fence  what it began with
   * @param {string} language
   * @param {number} indent  columns that its lines are indented by
   * @param {number} quotes  that it is inside of
   */
  constructor(fence, language, indent, quotes) {
    this.#fence = fence;
    this.#indent = indent;
    this.#quotes = quotes;
    const { element, code } = frame(language || "text");
    this.element = element;
    this.#writer = new TextWriter(code);
  }

  /** @param {string} text  of a line that is known to be code */
  write(text) {
    this.#writer.write(text);
  }

  flush() {
    this.#writer.flush();
  }

  /**
   * Take a line, or its beginning. Lenient about indentation, since models are.
   * @param {string} line
   * @param {boolean} whole
   * @returns {"inside" | "end" | "outside" | "early"}  code, the closing fence, no longer in the quote, too early to say
   */
  take(line, whole) {
    for (let quotes = this.#quotes; quotes > 0; quotes--) {
      const mark = /^ {0,3}> ?/.exec(line);
      if (mark) line = line.slice(mark[0].length);
      else return !whole && /^ *$/.test(line) ? "early" : "outside";
    }
    const trimmed = line.trim();
    const closing = trimmed === this.#fence[0].repeat(trimmed.length);
    if (whole && closing && trimmed.length >= this.#fence.length) return "end";
    if (!whole && closing && line.length < 100) return "early";
    let indent = 0;
    while (indent < this.#indent && line[indent] === " ") indent++;
    this.#writer.write(line.slice(indent));
    return "inside";
  }
}

/** @param {string} language */
function frame(language) {
  const element = document.createElement("div");
  element.className = "code";
  element.part.add("code");
  element.dir = "ltr";
  const bar = element.appendChild(document.createElement("div"));
  bar.className = "bar";
  bar.appendChild(document.createElement("span")).textContent = language;
  const copy = bar.appendChild(document.createElement("button"));
  copy.type = "button";
  copy.dataset.action = "copy-code";
  copy.textContent = "Copy";
  copy.setAttribute("aria-label", "Copy this code");
  const pre = element.appendChild(document.createElement("pre"));
  pre.tabIndex = 0; // it may scroll, so the keyboard has to reach it
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", `Code, ${language}`);
  const code = pre.appendChild(document.createElement("code"));
  return { element, code };
}
