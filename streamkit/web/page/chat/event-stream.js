/**
 * Bytes of `text/event-stream` to events, as https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 * says. EventSource itself can neither POST nor carry an Authorization header.
 *
 * @typedef {object} ServerSentEvent
 * @property {string} type  `message` where the stream names none
 * @property {string} data
 * @property {string} id    the last event id as of this event
 */

const LINE_END = /[\r\n]/g;

export class EventStreamDecoder {
  /** The last id that was committed by a whole event. */
  lastEventId = "";
  /** What the stream asked for as reconnection time in ms, or null. */
  retry = /** @type {number | null} */ (null);

  #utf8 = new TextDecoder(); // drops a BOM, keeps a character that is split between reads
  #line = "";
  #afterCR = false;
  #data = /** @type {string[]} */ ([]);
  #type = "";
  #id = "";

  /**
   * Take a read of any size. What is unfinished when the stream ends is dropped, as the specification asks.
   * @param {Uint8Array} bytes
   * @returns {ServerSentEvent[]}
   */
  feed(bytes) {
    let text = this.#utf8.decode(bytes, { stream: true });
    if (text === "") return [];
    if (this.#afterCR && text[0] === "\n") text = text.slice(1);
    this.#afterCR = false;
    /** @type {ServerSentEvent[]} */
    const events = [];
    let start = 0;
    // Only what is new is searched: a line of a megabyte in reads of one byte stays linear.
    LINE_END.lastIndex = 0;
    for (let found; (found = LINE_END.exec(text)); ) {
      const line = this.#line + text.slice(start, found.index);
      this.#line = "";
      start = LINE_END.lastIndex;
      if (found[0] === "\r") {
        if (start === text.length) this.#afterCR = true;
        else if (text[start] === "\n") LINE_END.lastIndex = ++start;
      }
      if (line === "") this.#dispatch(events);
      else this.#field(line);
    }
    this.#line += text.slice(start);
    return events;
  }

  /** @param {string} line */
  #field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: the relay's heartbeat
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value[0] === " ") value = value.slice(1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  /** @param {ServerSentEvent[]} events */
  #dispatch(events) {
    this.lastEventId = this.#id;
    if (this.#data.length > 0) {
      events.push({ type: this.#type || "message", data: this.#data.join("\n"), id: this.#id });
    }
    this.#data = [];
    this.#type = "";
  }
}
