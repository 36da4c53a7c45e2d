/** What the page says. */

/**
 * A failure, as a sentence that says what is and what can be done.
 * @param {NonNullable<import("./history.js").Message["error"]>} error
 * @param {string} src
 */
export function explain({ kind, message, status, code }, src) {
  const said = message ? ` The relay says: ${message.trim().replace(/([^.!?])$/, "$1.")}` : "";
  switch (kind) {
    case "offline":
      if (!navigator.onLine) return "You are offline. Your message is kept; try again when the network is back.";
      return new URL(src).origin === location.origin
        ? `Nothing answers at ${src}. The relay may not be running, or its address is another one.`
        : `Nothing answers at ${src}. The relay may not be running, or it does not let pages of ${location.origin} use it (CORS).`;
    case "protocol":
      return `What answers at ${src} is no relay: it sent no event stream (HTTP ${status ?? "?"}). Check the address.`;
    case "gone":
      return "The relay no longer has this answer, so the rest of it cannot be fetched. What had arrived is kept.";
    case "cut":
      return "The connection was lost and could not be restored. The answer is incomplete.";
    case "upstream":
      if (code === "shutting_down" || code === "shutdown") return "The relay was shut down. The answer is incomplete.";
      return `The answer broke off and is incomplete.${said}`;
    case "ended":
      if (message === "abort") return "The relay gave this answer up, as it does when nobody reads it for a while. It is incomplete.";
      return "The relay ended this answer. It is incomplete.";
  }
  switch (status) {
    case 401:
      if (asksForToken({ status, code })) return "The relay asks for a token. Whoever runs it can give you one.";
      return `The model's server does not accept the relay's key.${said}`;
    case 403:
      return `The relay does not allow this.${said}`;
    case 404:
    case 405:
      return `There is no relay at ${src} (HTTP ${status}). Check the address.`;
    case 413:
      return "This conversation is longer than the relay accepts. Start a new one, or edit an earlier message.";
    case 429:
      return "Too many requests at the moment.";
    case 503:
      return `The relay is busy or restarting.${said}`;
  }
  if (status !== null && status >= 500) return `The server failed (HTTP ${status}).${said}`;
  return `The request was refused (HTTP ${status ?? "?"}).${said}`;
}

/**
 * Whether it is the relay that wants to know who asks, not the server behind it.
 * @param {{status: number | null, code: string | null}} error
 */
export function asksForToken({ status, code }) {
  return status === 401 && (code === null || code === "invalid_token");
}

/** @type {Record<string, string>} */
export const FINISHES = {
  length: "The answer reached the length limit and is cut off.",
  content_filter: "The answer was cut off by a content filter.",
};

export const TROUBLES = {
  forbidden: "This browser does not let the page store anything: conversations last as long as this page is open.",
  full: "The browser's storage is full: new messages are not kept. Delete conversations to make room.",
};

/**
 * Time to the first token and speed, as far as they are known.
 * @param {import("./history.js").Message} message
 */
export function figures({ times, usage, model }) {
  const parts = [];
  if (times?.first) {
    parts.push(`${seconds(times.first - times.asked)} to first token`);
    const tokens = usage?.completion_tokens ?? times.pieces;
    const span = (times.last - times.first) / 1000;
    const about = usage?.completion_tokens === undefined ? "~" : "";
    if (span > 0.05 && tokens > 1) parts.push(`${about}${speed((tokens - 1) / span)} tokens/s`);
    parts.push(`${about}${tokens.toLocaleString("en")} token${tokens === 1 ? "" : "s"}`);
  }
  if (model) parts.push(model);
  return parts.join(" \u00b7 ");
}

/** @param {number} rate */
function speed(rate) {
  return rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en");
}

/** @param {number} ms */
export function seconds(ms) {
  return ms < 995 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
}
