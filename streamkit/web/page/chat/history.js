/**
 * Conversations, kept in the browser: each under a key of its own, so that two tabs disturb each other only where both change
 * the same one.
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {string} [reasoning]
 * @property {string} [refusal]
 * @property {{index: number, id: string, name: string, arguments: string}[]} [tools]
 * @property {"running" | "done" | "stopped" | "failed"} [state]
 * @property {string} [key]             the Idempotency-Key that it was asked for with
 * @property {string | null} [stream]   the relay's id for it
 * @property {number} [seq]             of the last event that is in it: the two are always stored together
 * @property {string} [model]
 * @property {string | null} [finish]
 * @property {{completion_tokens?: number} | null} [usage]
 * @property {{kind: string, message: string, status: number | null, code: string | null, until: number | null} | null} [error]
 * @property {{asked: number, first: number, last: number, pieces: number} | null} [times]  ms since the epoch
 *
 * @typedef {{id: string, title: string, updated: number, messages: Message[]}} Conversation
 */

export class History {
  /** @type {Map<string, Conversation>} */
  #known = new Map();
  #prefix;
  #storage = /** @type {Storage | null} */ (null);
  /** Why the last save is not on disk: `forbidden`, `full`, or null. */
  trouble = /** @type {"forbidden" | "full" | null} */ (null);

  /**
   * @param {string} prefix  of the keys
   * @param {(id: string) => void} changed  told of what another tab has changed or removed
   */
  constructor(prefix, changed) {
    this.#prefix = prefix;
    try {
      this.#storage = localStorage; // the mere look may throw
      for (let index = 0; index < this.#storage.length; index++) this.#take(this.#storage.key(index));
    } catch {
      this.#storage = null;
      this.trouble = "forbidden";
    }
    /** @param {StorageEvent} event */
    this.listener = (event) => {
      if (event.storageArea !== this.#storage) return;
      const id = this.#take(event.key);
      if (id) changed(id);
    };
  }

  /**
   * Read a key anew; returns the conversation's id if it is one of ours.
   * @param {string | null} key
   */
  #take(key) {
    if (!key?.startsWith(this.#prefix)) return null;
    const id = key.slice(this.#prefix.length);
    const conversation = decoded(this.#storage?.getItem(key) ?? null, id);
    if (conversation) this.#known.set(id, conversation);
    else this.#known.delete(id);
    return id;
  }

  /** The latest first. */
  list() {
    return [...this.#known.values()].sort((a, b) => b.updated - a.updated);
  }

  /** @param {string} id */
  get(id) {
    return this.#known.get(id) ?? null;
  }

  /**
   * Keep it, on disk if there is room; else as long as the page is open.
   * @param {Conversation} conversation
   */
  save(conversation) {
    this.#known.set(conversation.id, conversation);
    if (!this.#storage) return;
    try {
      this.#storage.setItem(this.#prefix + conversation.id, JSON.stringify(conversation));
      this.trouble = null;
    } catch {
      this.trouble = "full";
    }
  }

  /** @param {string} id */
  remove(id) {
    this.#known.delete(id);
    this.#storage?.removeItem(this.#prefix + id);
    if (this.trouble === "full") this.trouble = null;
  }
}

/**
 * What was stored, if it is a conversation: other scripts of the same origin write there too.
 * @param {string | null} text
 * @param {string} id
 * @returns {Conversation | null}
 */
function decoded(text, id) {
  try {
    const { title, updated, messages } = JSON.parse(text ?? "null");
    if (typeof title !== "string" || typeof updated !== "number" || !Array.isArray(messages)) return null;
    const sound = messages.every(
      (one) => typeof one.id === "string" && typeof one.text === "string" && /^(user|assistant)$/.test(one.role),
    );
    return sound ? { id, title, updated, messages } : null;
  } catch {
    return null;
  }
}
