/** Where one says who one is, to a relay that wants to know. */

import { h } from "./dom.js";

export class TokenForm {
  #field = h("input", { type: "password", autocomplete: "off", "aria-label": "Token of the relay", placeholder: "Token", part: "field" });

  /** @param {(token: string) => void} use */
  constructor(use) {
    this.element = h(
      "form",
      {
        className: "token",
        hidden: true,
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          const token = this.#field.value.trim();
          if (token === "") return;
          this.#field.value = "";
          this.element.hidden = true;
          use(token);
        },
      },
      this.#field,
      h("button", { type: "submit", className: "quiet", part: "button" }, "Use token"),
    );
  }

  show() {
    this.element.hidden = false;
    this.#field.focus();
  }
}
