/**
 * What is known of an answer, piece by piece.
 *
 * @typedef {import("./history.js").Message} Message
 */

/**
 * @param {Message} message
 * @param {import("./relay.js").Delta} delta
 */
export function add(message, delta) {
  const now = Date.now();
  if (delta.text) message.text += delta.text;
  if (delta.reasoning) message.reasoning = (message.reasoning ?? "") + delta.reasoning;
  if (delta.refusal) message.refusal = (message.refusal ?? "") + delta.refusal;
  for (const fragment of delta.tool_calls ?? []) addCall((message.tools ??= []), fragment);
  if (delta.usage) message.usage = delta.usage;
  if (delta.finish_reason) message.finish = delta.finish_reason;
  if (message.times && (delta.text || delta.reasoning || delta.refusal || delta.tool_calls)) {
    message.times.first ||= now;
    message.times.last = now;
    message.times.pieces++;
  }
}

/**
 * A fragment of a call: some servers use one index for two calls, repeat the name, or send it in pieces.
 * @param {NonNullable<Message["tools"]>} calls
 * @param {import("./relay.js").ToolCallDelta} fragment
 */
function addCall(calls, { index, id, name, arguments: more }) {
  let call = (id && calls.find((one) => one.id === id)) || calls.findLast((one) => one.index === index);
  const another = call && call.id !== id && ((id && call.id) || (name && call.name && call.arguments && name !== call.name));
  if (!call || another) calls.push((call = { index, id: "", name: "", arguments: "" }));
  call.id ||= id ?? "";
  if (name && name !== call.name && !(call.name && call.arguments)) call.name += name;
  call.arguments += more ?? "";
}

/** @param {import("./relay.js").RelayError} error */
export function failure({ kind, message, status, code, retryAfter }) {
  return { kind, message, status, code, until: retryAfter === null ? null : Date.now() + retryAfter * 1000 };
}

/** @param {string} text */
export function titled(text) {
  const line = text.trim().split("\n", 1)[0];
  const words = [...line];
  return words.length > 60 ? `${words.slice(0, 59).join("").trimEnd()}\u2026` : line;
}

/** Unguessable, and there without HTTPS, where crypto.randomUUID is not. */
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
