/**
 * An answer, as elements. The view shows what its message holds: `render` appends what is new since the last time, in one go, and
 * never more than `PER_FRAME`, so that a long answer that is there at once does not block the page either.
 *
 * @typedef {import("./history.js").Message} Message
 */

import { actionButtons, h } from "./dom.js";
import { Markdown } from "./markdown.js";
import { TextWriter } from "./text.js";
import { verdict } from "./verdict.js";

/** UTF-16 units of text that are rendered in one frame. */
const PER_FRAME = 8000;

export class AnswerView {
  #shown = { text: "", reasoning: "", refusal: "" };
  #markdown = /** @type {Markdown | null} */ (null);
  #thoughts = /** @type {TextWriter | null} */ (null);
  #refused = /** @type {TextWriter | null} */ (null);
  #summary = h("summary");
  #reasoning = h("details", { className: "reasoning", part: "reasoning", hidden: true });
  #tools = h("div", { className: "tools", part: "tools" });
  #calls = /** @type {{name: Text, given: Text, raw: string}[]} */ ([]);
  #body = h("div", { className: "body", part: "body" });
  #refusal = h("div", { className: "body plain refusal", hidden: true, dir: "auto" });
  #note = h("div", { className: "note", part: "note" });
  #foot = h("div", { className: "foot" });
  #told = ""; // what the foot says

  /**
   * @param {Message} message
   * @param {string} src  for what is said of failures
   */
  constructor(message, src) {
    this.message = message;
    this.src = src;
    /** What the connection is doing, while it runs. */
    this.trouble = /** @type {import("./session.js").Trouble | null} */ (null);
    /** Whether what it says changes by itself, every second. */
    this.ticking = false;
    /** Whether it is the last message, which can be asked for again. */
    this.last = false;
    this.element = h(
      "article",
      { className: "message answer", part: "message answer", "aria-label": "Answer" },
      this.#reasoning,
      this.#tools,
      this.#body,
      this.#refusal,
      this.#note,
      this.#foot,
    );
    this.element.dataset.id = message.id;
    this.element.classList.toggle("running", message.state === "running");
    this.#reset();
  }

  #reset() {
    this.#shown = { text: "", reasoning: "", refusal: "" };
    this.#calls = [];
    const thoughts = h("div", { className: "plain", dir: "auto", tabIndex: 0 });
    thoughts.setAttribute("role", "group");
    thoughts.setAttribute("aria-label", "Reasoning");
    this.#reasoning.replaceChildren(this.#summary, thoughts);
    for (const element of [this.#tools, this.#body, this.#refusal]) element.replaceChildren();
    this.#markdown = new Markdown(this.#body);
    this.#thoughts = new TextWriter(thoughts);
    this.#refused = new TextWriter(this.#refusal);
  }

  /**
   * Show what the message holds by now.
   * @returns {boolean}  whether there is more to show
   */
  render() {
    const { message } = this;
    let room = PER_FRAME;
    /** @type {(field: "text" | "reasoning" | "refusal", writer: {write(text: string): void, flush(): void} | null) => boolean} */
    const more = (field, writer) => {
      const whole = message[field] ?? "";
      const shown = this.#shown[field];
      if (whole.length > shown.length && room > 0) {
        let end = Math.min(whole.length, shown.length + room);
        if (/[\ud800-\udbff]/.test(whole[end - 1])) end--; // the other half comes with the next frame
        writer?.write(whole.slice(shown.length, end));
        writer?.flush();
        room -= end - shown.length;
        this.#shown[field] = whole.slice(0, end);
      }
      return this.#shown[field].length < whole.length;
    };
    for (const field of /** @type {const} */ (["text", "reasoning", "refusal"])) {
      // A snapshot may say otherwise than what was shown, and an answer that was given up may go on: both are rare, and then
      // all is written anew.
      const whole = message[field] ?? "";
      const goesOn = this.#markdown === null && whole.length > this.#shown[field].length;
      if (goesOn || !whole.startsWith(this.#shown[field])) this.#reset();
    }
    const running = message.state === "running";
    const left = [more("reasoning", this.#thoughts), more("text", this.#markdown), more("refusal", this.#refused)];
    const waiting = left.some(Boolean);
    this.#reasoning.hidden = !message.reasoning;
    const thinking = running && !message.text && !message.tools?.length;
    const summary = thinking ? "Thinking\u2026" : "Reasoning";
    if (this.#summary.textContent !== summary) this.#summary.textContent = summary;
    this.#refusal.hidden = !message.refusal;
    this.#showTools();
    if (!running && !waiting && this.#markdown) {
      this.#markdown.end();
      this.#markdown = null;
    }
    this.element.classList.toggle("running", running || waiting);
    // A reader with a screen reader hears the answer when it is there, not word by word.
    this.element.setAttribute("aria-busy", String(running || waiting));
    this.#tell(waiting);
    return waiting;
  }

  #showTools() {
    for (const [index, call] of (this.message.tools ?? []).entries()) {
      let shown = this.#calls[index];
      if (!shown) {
        const [name, given] = [document.createTextNode(""), document.createTextNode("")];
        const block = h("pre", { tabIndex: 0, dir: "ltr" }, given);
        block.setAttribute("role", "group");
        block.setAttribute("aria-label", "Arguments");
        const label = h("div", { className: "bar" }, h("span", {}, "Tool call \u00b7 ", h("b", {}, name)));
        this.#tools.append(h("div", { className: "code tool", part: "tool" }, label, block));
        shown = this.#calls[index] = { name, given, raw: "" };
      }
      if (shown.name.data !== call.name) shown.name.data = call.name;
      const done = this.message.state !== "running";
      const text = done ? indented(call.arguments) : call.arguments;
      if (!done && text.startsWith(shown.raw)) shown.given.appendData(text.slice(shown.raw.length));
      else if (shown.given.data !== text) shown.given.data = text;
      shown.raw = text;
    }
  }

  /**
   * The sentence and the buttons under the answer; touched only where they change.
   * @param {boolean} waiting
   */
  #tell(waiting) {
    const { message, trouble, last, src } = this;
    // An answer that is not all shown yet is told to be still on its way.
    const shown = waiting ? { ...message, state: /** @type {const} */ ("running") } : message;
    const { kind, note, facts, actions, ticking } = verdict(shown, { trouble, last, src, now: Date.now() });
    this.ticking = ticking;
    if (this.#note.textContent !== note) this.#note.textContent = note;
    this.#note.className = `note ${kind}`;
    this.#note.hidden = note === "";
    // Not taken away under the reader's finger: a countdown changes the words, not the buttons.
    const told = JSON.stringify([facts, actions]);
    if (told === this.#told) return;
    this.#told = told;
    const focused = /** @type {ShadowRoot} */ (this.element.getRootNode()).activeElement;
    const held = focused && this.#foot.contains(focused);
    const figures = h("span", { className: "figures", part: "figures" }, facts);
    this.#foot.replaceChildren(...actionButtons(actions), ...(facts ? [figures] : []));
    if (held) this.#foot.querySelector("button")?.focus();
  }
}

/** @param {string} json */
function indented(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
