/** Where one writes: a field that grows, and a button that sends, or stops what is being answered. */

import { fit, h, icon } from "./dom.js";

export class Composer {
  #running = false;
  #button = h("button", { type: "submit", className: "send", part: "button send" });

  /**
   * @param {{send: (text: string) => void, stop: () => void, last: () => void}} does  `last`: edit what was said last
   */
  constructor(does) {
    this.does = does;
    this.field = h("textarea", {
      rows: 1,
      dir: "auto",
      part: "field",
      placeholder: "Message",
      "aria-label": "Message",
      enterKeyHint: "send",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      oninput: () => fit(this.field),
    });
    this.element = h(
      "form",
      { className: "composer", part: "composer", onsubmit: (/** @type {Event} */ event) => this.#submit(event) },
      this.field,
      this.#button,
    );
    this.#show();
  }

  /** @param {boolean} running  whether an answer is on its way, which can be stopped */
  set running(running) {
    if (this.#running === running) return;
    this.#running = running;
    this.#show();
  }

  #show() {
    const label = this.#running ? "Stop" : "Send";
    this.#button.replaceChildren(icon(this.#running ? "stop" : "send"));
    this.#button.title = label;
    this.#button.setAttribute("aria-label", label);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) return; // the Enter of an input method
    if (event.key === "Enter" && !event.shiftKey && !matchMedia("(pointer: coarse)").matches) {
      event.preventDefault();
      if (!this.#running) this.element.requestSubmit();
    } else if (event.key === "ArrowUp" && this.field.value === "") {
      event.preventDefault();
      this.does.last();
    }
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    if (this.#running) {
      this.does.stop();
      return;
    }
    const text = this.field.value;
    if (text.trim() === "") {
      this.field.focus();
      return;
    }
    this.field.value = "";
    fit(this.field);
    this.does.send(text);
  }
}
