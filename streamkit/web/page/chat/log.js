/** The messages of one conversation, as they come: one change of the document a frame. */

import { AnswerView } from "./answer-view.js";
import { Autoscroll } from "./autoscroll.js";
import { h, icon } from "./dom.js";
import { UserView } from "./user-view.js";

/**
 * @typedef {import("./history.js").Conversation} Conversation
 * @typedef {import("./session.js").Trouble} Trouble
 */

export class Log {
  #views = /** @type {Map<string, UserView | AnswerView>} */ (new Map());
  #conversation = /** @type {Conversation | null} */ (null);
  #frame = 0;
  #clock = 0;

  /**
   * @param {string} src  where answers come from, for what is said of failures
   * @param {(message: import("./history.js").Message) => Trouble | null} trouble
   */
  constructor(src, trouble) {
    this.src = src;
    this.trouble = trouble;
    this.column = h("div", { className: "column" });
    const hello = h("p", { className: "hello" }, "What would you like to know?");
    const slot = h("slot", { name: "empty" }, hello, h("p", {}, "Conversations stay in this browser."));
    this.empty = h("div", { className: "empty", part: "empty" }, slot);
    this.scroller = h(
      "div",
      { className: "scroller", part: "log", role: "log", "aria-live": "polite", "aria-label": "Messages", tabIndex: 0 },
      this.empty,
      this.column,
    );
    this.latest = h(
      "button",
      { type: "button", className: "latest", part: "latest", hidden: true, title: "To the latest", "aria-label": "To the latest" },
      icon("latest"),
    );
    this.autoscroll = new Autoscroll(this.scroller, (following) => (this.latest.hidden = following));
    this.latest.addEventListener("click", () => {
      this.autoscroll.follow();
      this.scroller.focus({ preventScroll: true });
    });
  }

  /**
   * Show a conversation, another one or what became of it.
   * @param {Conversation | null} conversation
   */
  show(conversation) {
    const another = conversation?.id !== this.#conversation?.id;
    this.#conversation = conversation;
    const messages = conversation?.messages ?? [];
    this.empty.hidden = messages.length > 0;
    const there = new Set(messages.map((message) => message.id));
    for (const [id, view] of this.#views) {
      if (there.has(id)) continue;
      view.element.remove();
      this.#views.delete(id);
    }
    for (const message of messages) {
      let view = this.#views.get(message.id);
      if (!view) {
        view = message.role === "user" ? new UserView(message) : new AnswerView(message, this.src);
        this.#views.set(message.id, view);
        this.column.append(view.element);
      }
      view.message = message;
      if (view instanceof AnswerView) view.last = message === messages.at(-1);
    }
    if (another) this.autoscroll.follow();
    this.#soon();
  }

  /** @param {string} id */
  view(id) {
    return this.#views.get(id) ?? null;
  }

  close() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#clock);
    this.#frame = this.#clock = 0;
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  #render() {
    this.#frame = 0;
    let more = false;
    let ticking = false;
    for (const view of this.#views.values()) {
      if (view instanceof AnswerView) {
        view.trouble = this.trouble(view.message);
        // What is long is shown over several frames, from the first message on.
        if (!more) more = view.render();
        ticking ||= view.ticking;
      }
    }
    this.autoscroll.keep();
    if (more) this.#soon();
    clearTimeout(this.#clock);
    // What counts seconds is looked at again without an event.
    this.#clock = ticking ? setTimeout(() => this.#soon(), 1000) : 0;
  }
}
