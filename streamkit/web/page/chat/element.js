/**
 * `<streamkit-chat src="…">`: conversations with a model behind a streamkit relay.
 *
 * Attributes: `src`, where streams are started (`/streams` of a relay); `models`, where it lists its models; `model`, which to
 * ask, where there is no choice; `system`, what goes before every conversation; `theme`, `light` or `dark`.
 * Property: `headers`, what every request carries, as an object or a function that returns one.
 */

import { Composer } from "./composer.js";
import { copyText, h, icon } from "./dom.js";
import { History } from "./history.js";
import { Log } from "./log.js";
import { Relay } from "./relay.js";
import { Session } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { remembered, remember } from "./tab.js";
import { styles } from "./styles.js";
import { TROUBLES } from "./texts.js";
import { TokenForm } from "./token-form.js";

/** @typedef {import("./history.js").Conversation} Conversation */

export class StreamkitChat extends HTMLElement {
  static observedAttributes = ["src", "models", "system"];

  /** @type {HeadersInit | (() => HeadersInit | Promise<HeadersInit>)} */
  headers = {};

  #root = this.attachShadow({ mode: "open" });
  #leave = new AbortController();
  #open = /** @type {string | null} */ (null);
  #scope = "";
  #token = "";

  #session = /** @type {Session} */ (/** @type {unknown} */ (null));
  #history = /** @type {History} */ (/** @type {unknown} */ (null));
  #log = /** @type {Log} */ (/** @type {unknown} */ (null));

  #composer = new Composer({ send: (text) => this.#send(text), stop: () => this.#stop(), last: () => this.#editLast() });
  #sidebar = new Sidebar({
    open: (id) => this.#go(id, true),
    create: () => this.#go(null, true),
    remove: (id) => this.#remove(id),
  });
  #title = h("h2", { dir: "auto", part: "title" });
  #select = h("select", { "aria-label": "Model", part: "models", hidden: true });
  #menu = h("button", { type: "button", className: "menu bare", title: "Conversations", "aria-label": "Conversations" }, icon("menu"));
  #create = h("button", { type: "button", className: "bare", title: "New conversation", "aria-label": "New conversation" }, icon("new"));
  #banner = h("div", { className: "banner", role: "status", part: "banner", hidden: true });
  #tokenForm = new TokenForm((token) => this.#useToken(token));

  constructor() {
    super();
    this.#root.adoptedStyleSheets = styles;
    this.#menu.setAttribute("aria-controls", "sidebar");
    this.#menu.addEventListener("click", () => this.#drawer(!this.#app.classList.contains("drawer")));
    this.#create.addEventListener("click", () => this.#go(null, true));
    this.#root.addEventListener("click", (event) => this.#act(event));
    this.#root.addEventListener("keydown", (event) => this.#key(/** @type {KeyboardEvent} */ (event)));
    this.#select.addEventListener("change", () => remember(this.#scope, "model", this.#select.value));
    this.#drawer(false);
  }

  #stage = h("div", { className: "stage" });
  #app = h(
    "div",
    { className: "app" },
    this.#sidebar.element,
    h("div", { className: "shade", onclick: () => this.#drawer(false) }),
    h(
      "div",
      { className: "main" },
      h("header", { part: "header" }, this.#menu, this.#title, this.#select, this.#create),
      this.#stage,
      h("div", { className: "bottom" }, this.#banner, this.#tokenForm.element, this.#composer.element),
    ),
  );

  connectedCallback() {
    this.#begin();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback() {
    if (!this.isConnected || !this.#session) return;
    this.#end();
    this.#begin();
  }

  #begin() {
    const src = new URL(this.getAttribute("src") ?? "streams", document.baseURI).href;
    this.#leave = new AbortController();
    const { signal } = this.#leave;
    this.#scope = `streamkit-chat ${src} `;
    this.#token = remembered(this.#scope, "token");
    const relay = new Relay(src, () => this.#headers());
    this.#history = new History(this.#scope, (id) => this.#session.storedElsewhere(id));
    this.#session = new Session(relay, this.#history, (id) => this.#changed(id));
    this.#session.system = this.getAttribute("system") ?? "";
    this.#log = new Log(relay.src, (message) => this.#session.trouble(message));
    this.#stage.replaceChildren(this.#log.scroller, this.#log.latest);
    if (!this.#app.isConnected) this.#root.append(this.#app);
    addEventListener("storage", this.#history.listener, { signal });
    // The last that surely runs, on phones too: https://developer.mozilla.org/docs/Web/API/Window/pagehide_event
    addEventListener("pagehide", () => this.#session.save(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden && this.#session.save(), { signal });
    this.#go(remembered(this.#scope, "open") || null, false);
    this.#session.resumeAll();
    void this.#offer(relay);
  }

  #end() {
    this.#leave.abort();
    this.#session.close();
    this.#log.close();
  }

  async #headers() {
    const headers = new Headers(typeof this.headers === "function" ? await this.headers() : this.headers);
    if (this.#token && !headers.has("authorization")) headers.set("authorization", `Bearer ${this.#token}`);
    return headers;
  }

  /** @param {Relay} relay */
  async #offer(relay) {
    const url = this.getAttribute("models");
    /** @type {string[]} */
    let models = [];
    try {
      if (url) models = await relay.models(url);
    } catch {
      // The relay is asked for an answer all the same; if it is not there, that will say so.
    }
    const asked = remembered(this.#scope, "model");
    this.#select.replaceChildren(...models.map((id) => h("option", { value: id }, id)));
    if (models.includes(asked)) this.#select.value = asked;
    this.#select.hidden = models.length < 2;
  }

  get #model() {
    return this.getAttribute("model") ?? this.#select.value;
  }

  get #conversation() {
    return this.#open === null ? null : this.#history.get(this.#open);
  }

  /** @param {string} id */
  #changed(id) {
    if (id === this.#open) this.#show();
    else this.#list();
  }

  #list() {
    this.#sidebar.show(this.#history.list(), this.#open);
    const { trouble } = this.#history;
    const text = trouble ? TROUBLES[trouble] : "";
    if (this.#banner.textContent !== text) this.#banner.textContent = text;
    this.#banner.hidden = text === "";
  }

  #show() {
    const conversation = this.#conversation;
    this.#log.show(conversation);
    this.#composer.running = this.#session.running(conversation) !== null;
    const title = conversation?.title ?? "New conversation";
    if (this.#title.textContent !== title) this.#title.textContent = title;
    this.#list();
  }

  /**
   * @param {string | null} id
   * @param {boolean} asked  by the reader, who goes on to write
   */
  #go(id, asked) {
    this.#open = id !== null && this.#history.get(id) ? id : null;
    remember(this.#scope, "open", this.#open ?? "");
    this.#drawer(false);
    this.#show();
    if (asked) this.#composer.field.focus();
  }

  /** @param {string} text */
  #send(text) {
    const conversation = this.#session.send(this.#conversation, text, this.#model);
    this.#log.autoscroll.follow();
    if (conversation.id !== this.#open) this.#go(conversation.id, true);
  }

  #stop() {
    const conversation = this.#conversation;
    if (conversation) this.#session.stop(conversation);
  }

  /** @param {string} id */
  #remove(id) {
    const conversation = this.#history.get(id);
    if (conversation) this.#session.remove(conversation);
    if (id === this.#open) this.#go(null, false);
  }

  #editLast() {
    const message = this.#conversation?.messages.findLast(({ role }) => role === "user");
    if (message) this.#edit(message.id);
  }

  /** @param {string} id */
  #edit(id) {
    const view = this.#log.view(id);
    if (!view || !("edit" in view)) return;
    view.edit((text) => {
      const conversation = this.#conversation;
      if (!conversation) return;
      this.#session.edit(conversation, id, text, this.#model);
      this.#log.autoscroll.follow();
      this.#composer.field.focus();
    });
  }

  /** @param {string} token */
  #useToken(token) {
    this.#token = token;
    remember(this.#scope, "token", token);
    void this.#offer(this.#session.relay);
    const conversation = this.#conversation;
    const message = conversation?.messages.at(-1);
    if (!conversation || message?.state !== "failed") return;
    if (message.stream) this.#session.resume(conversation, message);
    else this.#session.retry(conversation, this.#model);
    this.#composer.field.focus();
  }

  /** @param {boolean} open */
  #drawer(open) {
    this.#app.classList.toggle("drawer", open);
    this.#menu.setAttribute("aria-expanded", String(open));
    if (open) this.#sidebar.element.querySelector("button")?.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
    if (this.#app.classList.contains("drawer")) {
      this.#drawer(false);
      this.#menu.focus();
    } else this.#stop();
  }

  /**
   * What the buttons in the messages do.
   * @param {Event} event
   */
  #act(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("button[data-action]"));
    const conversation = this.#conversation;
    if (!button || !conversation) return;
    const id = /** @type {HTMLElement | null} */ (button.closest(".message"))?.dataset.id;
    const message = conversation.messages.find((one) => one.id === id);
    if (!message) return;
    switch (button.dataset.action) {
      case "copy":
        void this.#copy(button, message.text);
        break;
      case "copy-code":
        void this.#copy(button, button.closest(".code")?.querySelector("pre")?.textContent ?? "");
        break;
      case "edit":
        this.#edit(message.id);
        break;
      case "retry":
        this.#session.retry(conversation, this.#model);
        this.#log.autoscroll.follow();
        this.#composer.field.focus();
        break;
      case "resume":
        this.#session.resume(conversation, message);
        break;
      case "reconnect":
        this.#session.reconnect(message);
        break;
      case "token":
        this.#tokenForm.show();
        break;
      case "new":
        this.#go(null, true);
    }
  }

  /**
   * @param {HTMLElement} button
   * @param {string} text
   */
  async #copy(button, text) {
    const done = await copyText(text);
    button.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }
}
