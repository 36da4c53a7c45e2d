/**
 * Conversations and the answers that run in them, without an element: what to ask, what came of it, what is kept.
 *
 * An answer is followed by one tab at a time, which a lock of the browser decides; the others read along in the storage, and one
 * of them goes on where that tab is closed.
 *
 * @typedef {import("./history.js").Message} Message
 * @typedef {import("./history.js").Conversation} Conversation
 * @typedef {object} Trouble  what the connection of a running answer is doing
 * @property {{attempt: number, until: number, now: () => void} | null} lost
 * @property {number} since  when it last said something
 * @typedef {{conversation: string, message: Message, holds: boolean, control: AbortController, trouble: Trouble}} Run
 */

import { exclusively } from "./lock.js";
import { add, failure, randomId, titled } from "./message.js";
import { RelayError } from "./relay.js";

/** How often a running answer is stored, in ms, and at most which share of the time that may take. */
const SAVE_EVERY = 300;
const SAVE_SHARE = 0.02;

export class Session {
  #runs = /** @type {Map<string, Run>} */ (new Map());
  #unsaved = /** @type {Set<string>} */ (new Set());
  #timer = 0;
  #pause = SAVE_EVERY;

  /**
   * @param {import("./relay.js").Relay} relay
   * @param {import("./history.js").History} history
   * @param {(id: string) => void} changed  told which conversation is another than before
   */
  constructor(relay, history, changed) {
    this.relay = relay;
    this.history = history;
    this.changed = changed;
    /** What goes before every conversation, as a message of the system. */
    this.system = "";
  }

  /** Go on with the answers that were running when a page was closed, in whichever tab. */
  resumeAll() {
    for (const { id, messages } of this.history.list()) {
      for (const message of messages) if (message.state === "running") this.#launch(id, message);
    }
  }

  /** Leave the answers to run without this page: what is known of them is stored. */
  close() {
    this.save();
    for (const run of this.#runs.values()) run.control.abort();
  }

  /**
   * What a conversation waits for, or null.
   * @param {Conversation | null} conversation
   */
  running(conversation) {
    return conversation?.messages.find((message) => message.state === "running") ?? null;
  }

  /**
   * @param {Message} message
   * @returns {Trouble | null}
   */
  trouble(message) {
    return this.#runs.get(message.id)?.trouble ?? null;
  }

  /**
   * Say something, in a conversation or a new one.
   * @param {Conversation | null} conversation
   * @param {string} text
   * @param {string} model  none: what the relay takes
   * @returns {Conversation}
   */
  send(conversation, text, model) {
    conversation ??= { id: randomId(), title: titled(text), updated: 0, messages: [] };
    conversation.messages.push({ id: randomId(), role: "user", text });
    this.#ask(conversation, model);
    return conversation;
  }

  /**
   * Ask again for the last answer.
   * @param {Conversation} conversation
   * @param {string} model
   */
  retry(conversation, model) {
    while (conversation.messages.at(-1)?.role === "assistant") conversation.messages.pop();
    this.#ask(conversation, model);
  }

  /**
   * Say something else in the place of a message; what followed it is gone.
   * @param {Conversation} conversation
   * @param {string} id
   * @param {string} text
   * @param {string} model
   */
  edit(conversation, id, text, model) {
    const place = conversation.messages.findIndex((message) => message.id === id);
    for (const message of conversation.messages.splice(place)) this.#drop(message);
    if (place === 0) conversation.title = titled(text);
    this.send(conversation, text, model);
  }

  /**
   * Read on where the connection was given up.
   * @param {Conversation} conversation
   * @param {Message} message
   */
  resume(conversation, message) {
    message.state = "running";
    message.error = null;
    this.#launch(conversation.id, message);
    this.#store(conversation);
  }

  /** @param {Message} message */
  reconnect(message) {
    this.#runs.get(message.id)?.trouble.lost?.now();
  }

  /**
   * End the answer, here and upstream.
   * @param {Conversation} conversation
   */
  stop(conversation) {
    const message = this.running(conversation);
    if (!message) return;
    message.state = "stopped";
    this.#drop(message);
    this.#store(conversation);
  }

  /** @param {Conversation} conversation */
  remove(conversation) {
    for (const message of conversation.messages) this.#drop(message);
    this.#unsaved.delete(conversation.id);
    this.history.remove(conversation.id);
    this.changed(conversation.id);
  }

  /**
   * Another tab has stored or removed a conversation.
   * @param {string} id
   */
  storedElsewhere(id) {
    const messages = this.history.get(id)?.messages ?? [];
    for (const run of this.#runs.values()) {
      if (run.conversation !== id) continue;
      const place = messages.findIndex((message) => message.id === run.message.id);
      if (messages[place]?.state !== "running") run.control.abort();
      else if (run.holds) messages[place] = run.message;
      else {
        run.message = messages[place];
        run.trouble.since = Date.now();
      }
    }
    for (const message of messages) {
      if (message.state === "running" && !this.#runs.has(message.id)) this.#launch(id, message);
    }
    this.changed(id);
  }

  /** Store what is not stored yet. */
  save() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const began = performance.now();
    for (const id of this.#unsaved) {
      const conversation = this.history.get(id);
      if (conversation) this.history.save(conversation);
    }
    this.#unsaved.clear();
    this.#pause = Math.max(SAVE_EVERY, (performance.now() - began) / SAVE_SHARE);
  }

  /** @param {Conversation} conversation */
  #store(conversation) {
    conversation.updated = Date.now();
    this.#unsaved.delete(conversation.id);
    this.history.save(conversation);
    this.changed(conversation.id);
  }

  /** @param {string} id */
  #storeSoon(id) {
    this.#unsaved.add(id);
    this.#timer ||= setTimeout(() => this.save(), this.#pause);
    this.changed(id);
  }

  /** @param {Message} message */
  #drop(message) {
    this.#runs.get(message.id)?.control.abort();
    if (message.stream && message.state !== "done") void this.relay.stop(message.stream);
  }

  /**
   * @param {Conversation} conversation
   * @param {string} model
   */
  #ask(conversation, model) {
    /** @type {Message} */
    const message = { id: randomId(), role: "assistant", text: "", state: "running", key: randomId(), stream: null, seq: 0 };
    if (model) message.model = model;
    message.times = { asked: Date.now(), first: 0, last: 0, pieces: 0 };
    conversation.messages.push(message);
    this.#store(conversation);
    this.#launch(conversation.id, message);
  }

  /**
   * @param {string} conversation
   * @param {Message} message
   */
  #launch(conversation, message) {
    /** @type {Run} */
    const run = {
      conversation,
      message,
      holds: false,
      control: new AbortController(),
      trouble: { lost: null, since: Date.now() },
    };
    this.#runs.set(message.id, run);
    void this.#run(run).finally(() => {
      if (this.#runs.get(message.id) === run) this.#runs.delete(message.id);
      this.changed(conversation);
    });
  }

  /** @param {Run} run */
  async #run(run) {
    const { signal } = run.control;
    try {
      await exclusively(`streamkit-chat ${run.message.id}`, signal, async () => {
        run.holds = true;
        if (run.message.state === "running") await this.#follow(run, signal);
      });
    } catch (thrown) {
      if (signal.aborted) return;
      const { message } = run;
      const error = thrown instanceof RelayError ? thrown : new RelayError("protocol", String(thrown));
      message.state = "failed";
      message.error = failure(error);
      this.#finished(run);
    }
  }

  /**
   * @param {Run} run
   * @param {AbortSignal} signal
   * @param {boolean} again  whether one that was given up may be begun again
   */
  async #follow(run, signal, again = true) {
    const { message, trouble } = run;
    const call = { body: this.#body(run), key: message.key ?? "", stream: message.stream ?? null, seq: message.seq ?? 0, signal };
    for await (const update of this.relay.follow(call)) {
      if (signal.aborted) return;
      if (update.kind === "lost") {
        trouble.lost = { attempt: update.attempt, until: Date.now() + update.delay, now: update.now };
        this.changed(run.conversation);
        continue;
      }
      trouble.since = Date.now();
      trouble.lost = null;
      if (update.kind === "stream") {
        message.stream = update.stream;
        const conversation = this.history.get(run.conversation);
        if (conversation) this.#store(conversation);
      } else if (update.kind === "deltas") {
        for (const delta of update.deltas) add(message, delta);
        message.seq = update.seq;
        this.#storeSoon(run.conversation);
      } else if (update.kind === "snapshot") {
        const { text, reasoning, refusal, tool_calls: calls, usage, finish_reason: finish, seq } = update.snapshot;
        const tools = calls.map((call, index) => ({ index, ...call }));
        Object.assign(message, { text, reasoning, refusal, tools, usage, finish, seq });
        if (message.times) message.times.first ||= Date.now();
        this.#storeSoon(run.conversation);
      } else if (update.kind === "end") {
        message.finish = update.finishReason ?? message.finish ?? null;
        message.usage = update.usage ?? message.usage ?? null;
        if (update.reason === "abort" && message.seq === 0 && again) {
          // The relay gave it up before the first word, because the page that had asked was reloaded or gone: it is asked anew.
          Object.assign(message, { key: randomId(), stream: null });
          await this.#follow(run, signal, false);
          return;
        }
        message.state = update.reason === "done" && !update.error ? "done" : "failed";
        if (message.state === "failed") message.error = failure(update.error ?? new RelayError("ended", update.reason));
        this.#finished(run);
      } else this.changed(run.conversation);
    }
  }

  /** @param {Run} run */
  #finished(run) {
    const conversation = this.history.get(run.conversation);
    if (conversation) this.#store(conversation);
  }

  /**
   * The request for an answer: all that was said before it.
   * @param {Run} run
   */
  #body({ conversation, message }) {
    const said = this.history.get(conversation)?.messages ?? [];
    const messages = said
      .slice(0, said.indexOf(message))
      .filter(({ text }) => text.trim() !== "") // a call of a tool, or nothing, is no message that can be sent
      .map(({ role, text }) => ({ role, content: text }));
    if (this.system) messages.unshift({ role: /** @type {any} */ ("system"), content: this.system });
    return { messages, ...(message.model ? { model: message.model } : {}) };
  }
}
