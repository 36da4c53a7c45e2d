/**
 * A relay's native protocol, from the reading side: start a stream, follow it through cut connections, stop it.
 *
 * A stream is started by a POST that carries an Idempotency-Key, so that asking again after a cut never makes a second answer;
 * and read by GETs that carry the id of the last event, so that no event is missed and none is told twice.
 *
 * @typedef {{text?: string, reasoning?: string, refusal?: string, tool_calls?: ToolCallDelta[], usage?: Usage, finish_reason?: string}} Delta
 * @typedef {{index: number, id?: string | null, name?: string | null, arguments?: string}} ToolCallDelta
 * @typedef {{prompt_tokens?: number, completion_tokens?: number, total_tokens?: number}} Usage
 * @typedef {{text: string, reasoning: string, refusal: string, tool_calls: {id: string, name: string, arguments: string}[],
 *            usage: Usage | null, finish_reason: string | null, seq: number}} Snapshot
 * @typedef {{kind: "stream", stream: string}
 *         | {kind: "connected"}
 *         | {kind: "deltas", seq: number, deltas: Delta[]}
 *         | {kind: "snapshot", snapshot: Snapshot}
 *         | {kind: "lost", attempt: number, delay: number, now: () => void}
 *         | {kind: "end", reason: string, finishReason: string | null, usage: Usage | null, error: RelayError | null}} Update
 */

import { EventStreamDecoder } from "./event-stream.js";

/** In ms. `silence` is how long a connection may say nothing, not even a heartbeat (the relay's default: 15 s). */
export const TIMES = { first: 150, most: 15_000, silence: 45_000, start: 60_000 };
const ATTEMPTS = { start: 3, resume: 12 };
// What passes: a relay that restarts, a proxy before it, a limit.
const PASSING = new Set([429, 500, 502, 503, 504]);

/** Why there is no answer, or not all of it. `kind` is for programs, `message` is what the other side said, if it did. */
export class RelayError extends Error {
  /**
   * @param {"offline" | "status" | "protocol" | "gone" | "upstream" | "cut" | "ended"} kind
   * @param {string} [message]
   * @param {{status?: number | null, code?: string | null, retryAfter?: number | null}} [more]
   */
  constructor(kind, message = "", { status = null, code = null, retryAfter = null } = {}) {
    super(message);
    this.name = "RelayError";
    this.kind = kind;
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export class Relay {
  /**
   * @param {string} src  where streams are started: `/streams`
   * @param {() => HeadersInit | Promise<HeadersInit>} headers  what every request carries, such as Authorization
   * @param {typeof TIMES} times
   */
  constructor(src, headers = () => ({}), times = TIMES) {
    this.src = new URL(src, document.baseURI).href.replace(/\/$/, "");
    this.headers = headers;
    this.times = times;
  }

  /**
   * The updates of an answer, until its end: either a new one (`body`, `key`), or what comes after `seq` of `stream`.
   * Throws a RelayError where it gives up, and the signal's reason when that is aborted.
   *
   * @param {{body: object, key: string, stream: string | null, seq: number, signal: AbortSignal}} call
   * @returns {AsyncGenerator<Update, void>}
   */
  async *follow({ body, key, stream, seq, signal }) {
    let failures = 0;
    let asked = 0; // the server's own reconnection time
    for (;;) {
      try {
        if (stream === null) {
          stream = await this.#start(body, key, signal);
          yield { kind: "stream", stream };
        }
        const response = await this.#read(stream, seq, signal);
        if (response === null) {
          yield* this.#ending(stream, signal);
          return;
        }
        yield { kind: "connected" };
        const decoder = new EventStreamDecoder();
        /** @type {RelayError | null} */
        let error = null;
        for await (const bytes of this.#reads(response, signal)) {
          /** @type {Delta[]} */
          const deltas = [];
          for (const event of decoder.feed(bytes)) {
            let data;
            try {
              data = parsed(event.data);
            } catch (error) {
              if (deltas.length > 0) yield { kind: "deltas", seq, deltas }; // what came before it is understood
              throw error;
            }
            const place = Number(event.id.slice(event.id.lastIndexOf(":") + 1));
            if (event.type === "message" && place > seq) {
              seq = place;
              deltas.push(data);
            } else if (event.type === "stream-error") error = upstreamError(data);
            else if (event.type === "gap") {
              const snapshot = await this.#json(`${this.#url(stream)}/snapshot`, signal);
              seq = snapshot.seq;
              deltas.length = 0;
              yield { kind: "snapshot", snapshot };
            } else if (event.type === "end") {
              if (deltas.length > 0) yield { kind: "deltas", seq, deltas };
              yield { kind: "end", reason: data.reason, finishReason: data.finish_reason, usage: data.usage, error };
              return;
            }
          }
          if (deltas.length > 0) {
            failures = 0;
            yield { kind: "deltas", seq, deltas };
          }
        }
        asked = decoder.retry ?? asked;
        if (error) {
          yield { kind: "end", reason: "error", finishReason: null, usage: null, error };
          return;
        }
        throw new RelayError("cut"); // an end without the event that says so
      } catch (thrown) {
        signal.throwIfAborted();
        const error = thrown instanceof RelayError ? thrown : new RelayError("offline", String(thrown));
        const passes = error.kind === "cut" || error.kind === "offline" || (stream !== null && PASSING.has(error.status ?? 0));
        failures += 1;
        if (!passes || failures >= (stream === null ? ATTEMPTS.start : ATTEMPTS.resume)) {
          throw stream !== null && passes ? new RelayError("cut", error.message, error) : error;
        }
        // The first time at once, since most cuts are short; then no sooner than the server asked, and with jitter, since
        // all its readers were cut together.
        const { first, most } = this.times;
        const backoff = failures === 1 ? first : Math.max(Math.min(asked, most), first * 2 ** failures);
        const delay = Math.min(Math.max(backoff * (0.5 + Math.random()), (error.retryAfter ?? 0) * 1000), most * 2);
        let now = () => {};
        const early = new Promise((resolve) => (now = () => resolve(undefined)));
        yield { kind: "lost", attempt: failures, delay, now };
        await Promise.race([pause(delay, signal), early]);
        signal.throwIfAborted();
      }
    }
  }

  /**
   * Have a stream stopped. Tried again while the network is away; a stream that is over is as good.
   * @param {string} stream
   */
  async stop(stream) {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        const headers = await this.headers();
        const response = await fetch(`${this.#url(stream)}/stop`, { method: "POST", headers, keepalive: true });
        if (!PASSING.has(response.status)) return;
      } catch {
        // tried again
      }
      await pause(this.times.first * 4 ** attempt);
    }
  }

  /**
   * The models that the relay offers, none where it does not say.
   * @param {string} url
   * @returns {Promise<string[]>}
   */
  async models(url) {
    const answer = await this.#json(new URL(url, document.baseURI).href, AbortSignal.timeout(10_000));
    return (answer.data ?? []).map((/** @type {{id: string}} */ model) => String(model.id));
  }

  /** @param {string} stream */
  #url(stream) {
    return `${this.src}/${encodeURIComponent(stream)}`;
  }

  /**
   * @param {object} body
   * @param {string} key
   * @param {AbortSignal} signal
   * @returns {Promise<string>}
   */
  async #start(body, key, signal) {
    const headers = new Headers(await this.headers());
    headers.set("content-type", "application/json");
    headers.set("accept", "application/json");
    headers.set("idempotency-key", key);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.times.start)]);
    const response = await fetch(this.src, { method: "POST", headers, body: JSON.stringify(body), signal: limit });
    const answer = await jsonOf(response);
    if (typeof answer.stream !== "string") throw new RelayError("protocol", "", { status: response.status });
    return answer.stream;
  }

  /**
   * A connection that tells what comes after an event; null where nothing comes any more.
   * @param {string} stream
   * @param {number} seq
   * @param {AbortSignal} signal
   */
  async #read(stream, seq, signal) {
    const headers = new Headers(await this.headers());
    headers.set("accept", "text/event-stream");
    if (seq > 0) headers.set("last-event-id", `${stream}:${seq}`);
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), this.times.silence);
    try {
      const response = await fetch(this.#url(stream), {
        headers,
        cache: "no-store",
        signal: AbortSignal.any([signal, limit.signal]),
      });
      if (response.status === 204) return null;
      if (response.status === 404) throw new RelayError("gone");
      if (!response.ok) throw await statusError(response);
      if (!/^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "") || response.body === null) {
        throw new RelayError("protocol", "", { status: response.status });
      }
      return response;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * What a connection brings, read by read. One that is silent for too long is cut: it may be dead without knowing.
   * @param {Response} response
   * @param {AbortSignal} signal
   */
  async *#reads(response, signal) {
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    let timer = 0;
    const cancel = () => void reader.cancel().catch(() => {});
    signal.addEventListener("abort", cancel);
    try {
      for (;;) {
        timer = setTimeout(cancel, this.times.silence);
        const { done, value } = await reader.read();
        clearTimeout(timer);
        if (done) return;
        yield value;
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
      cancel();
    }
  }

  /**
   * How a stream ended whose ending this reader has missed.
   * @param {string} stream
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<Update, void>}
   */
  async *#ending(stream, signal) {
    const snapshot = await this.#json(`${this.#url(stream)}/snapshot`, signal);
    yield { kind: "snapshot", snapshot };
    const error = snapshot.error ? upstreamError(snapshot.error) : null;
    const { reason, finish_reason: finishReason, usage } = snapshot;
    yield { kind: "end", reason: reason ?? "error", finishReason, usage, error };
  }

  /**
   * @param {string} url
   * @param {AbortSignal} signal
   */
  async #json(url, signal) {
    return jsonOf(await fetch(url, { headers: await this.headers(), cache: "no-store", signal }));
  }
}

/** @param {Response} response */
async function jsonOf(response) {
  if (!response.ok) throw await statusError(response);
  if (!/\bjson\b/i.test(response.headers.get("content-type") ?? "")) {
    throw new RelayError("protocol", "", { status: response.status });
  }
  return parsed(await response.text());
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    throw new RelayError("protocol", "an answer that is no JSON");
  }
}

/** @param {Response} response */
async function statusError(response) {
  const { status } = response;
  const after = response.headers.get("retry-after") ?? "";
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  const retryAfter = seconds >= 0 ? seconds : null;
  /** @type {{message?: string, code?: string}} */
  let said = {};
  try {
    said = JSON.parse(await response.text()).error ?? {};
  } catch {
    // Another server's page: its status says enough.
  }
  return new RelayError("status", said.message ?? "", { status, code: said.code ?? null, retryAfter });
}

/** @param {any} data */
function upstreamError(data) {
  const { message, status, code, retry_after: retryAfter } = data;
  return new RelayError("upstream", String(message ?? ""), { status, code, retryAfter });
}

/**
 * So many ms; less if the network comes back or the signal is aborted before.
 * @param {number} delay
 * @param {AbortSignal} [signal]
 */
function pause(delay, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal?.removeEventListener("abort", done);
      resolve(undefined);
    };
    const timer = setTimeout(done, delay);
    addEventListener("online", done);
    signal?.addEventListener("abort", done);
  });
}
