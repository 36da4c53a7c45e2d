/** The conversations that the browser keeps, to go to one, begin one, or delete one. */

import { h, icon } from "./dom.js";

/** @typedef {import("./history.js").Conversation} Conversation */

export class Sidebar {
  #list = h("ul");
  #told = "";

  /** @param {{open: (id: string) => void, create: () => void, remove: (id: string) => void}} does */
  constructor(does) {
    this.does = does;
    const create = h(
      "button",
      { type: "button", className: "create", part: "button", onclick: () => does.create() },
      icon("new"),
      "New conversation",
    );
    this.element = h(
      "nav",
      { className: "sidebar", part: "sidebar", id: "sidebar", "aria-label": "Conversations" },
      create,
      this.#list,
    );
    this.#list.addEventListener("click", (event) => this.#click(event));
  }

  /**
   * @param {Conversation[]} conversations
   * @param {string | null} current
   */
  show(conversations, current) {
    const told = JSON.stringify([conversations.map(({ id, title }) => [id, title]), current]);
    if (told === this.#told) return;
    this.#told = told;
    // The items that stay are moved, so that the focus stays where it is.
    const items = new Map([...this.#list.children].map((item) => [/** @type {HTMLElement} */ (item).dataset.id, item]));
    const shown = conversations.map(({ id, title }) => {
      const item = items.get(id) ?? this.#item(id);
      const [open, remove] = item.querySelectorAll("button");
      if (open.textContent !== title) open.textContent = title;
      open.title = title;
      remove.setAttribute("aria-label", `Delete: ${title}`);
      if (id === current) open.setAttribute("aria-current", "true");
      else open.removeAttribute("aria-current");
      return item;
    });
    for (const item of [...this.#list.children]) if (!shown.includes(item)) item.remove();
    shown.forEach((item, place) => {
      if (this.#list.children[place] !== item) this.#list.insertBefore(item, this.#list.children[place] ?? null);
    });
  }

  /** @param {string} id */
  #item(id) {
    const open = h("button", { type: "button", className: "open", dir: "auto" });
    const remove = h("button", { type: "button", className: "remove", title: "Delete" }, icon("delete"));
    const item = h("li", {}, open, remove);
    item.dataset.id = id;
    return item;
  }

  /** @param {Event} event */
  #click(event) {
    const button = /** @type {Element} */ (event.target).closest("button");
    const item = button?.closest("li");
    const id = item?.dataset.id;
    if (!button || !item || !id) return;
    if (!button.classList.contains("remove")) {
      this.does.open(id);
      return;
    }
    if (!button.classList.contains("sure")) {
      // Once more, for what cannot be undone.
      button.classList.add("sure");
      button.replaceChildren("Delete?");
      const calm = () => {
        button.classList.remove("sure");
        button.replaceChildren(icon("delete"));
      };
      button.addEventListener("blur", calm, { once: true });
      button.addEventListener("pointerleave", calm, { once: true });
      return;
    }
    const next = /** @type {HTMLElement | null} */ ((item.nextElementSibling ?? item.previousElementSibling)?.querySelector("button"));
    this.does.remove(id);
    (next ?? /** @type {HTMLElement} */ (this.element.querySelector(".create"))).focus();
  }
}
