/** What the user said, as elements: plain text, which can be said otherwise. */

import { actionButtons, fit, h } from "./dom.js";

const ACTIONS = [
  { label: "Edit", action: "edit" },
  { label: "Copy", action: "copy" },
];

export class UserView {
  #text;
  #foot = h("div", { className: "foot" }, ...actionButtons(ACTIONS));

  /** @param {import("./history.js").Message} message */
  constructor(message) {
    this.message = message;
    this.#text = h("div", { className: "body plain", dir: "auto", part: "body" }, message.text);
    this.element = h(
      "article",
      { className: "message user", part: "message user", "aria-label": "You" },
      this.#text,
      this.#foot,
    );
    this.element.dataset.id = message.id;
  }

  /**
   * Put a field in the place of the text.
   * @param {(text: string) => void} send
   */
  edit(send) {
    const field = h("textarea", {
      value: this.message.text,
      rows: 1,
      dir: "auto",
      part: "field",
      "aria-label": "Your message",
      oninput: () => fit(field),
    });
    const done = () => {
      form.replaceWith(this.#text);
      this.#foot.hidden = false;
    };
    const cancel = () => {
      done();
      this.#foot.querySelector("button")?.focus();
    };
    const form = h(
      "form",
      {
        className: "edit",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          if (field.value.trim() === "") return;
          done();
          send(field.value);
        },
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.isComposing) return;
          if (event.key === "Escape") {
            event.stopPropagation(); // which would stop an answer
            cancel();
          } else if (event.key === "Enter" && !event.shiftKey && event.target === field) {
            event.preventDefault();
            form.requestSubmit();
          }
        },
      },
      field,
      h(
        "div",
        { className: "foot" },
        h("button", { type: "submit", className: "quiet", part: "button" }, "Send"),
        h("button", { type: "button", className: "quiet", part: "button", onclick: cancel }, "Cancel"),
      ),
    );
    this.#text.replaceWith(form);
    this.#foot.hidden = true;
    fit(field);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}
