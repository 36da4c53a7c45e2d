/**
 * What is said under an answer: how it stands, what can be done, its figures.
 *
 * @typedef {import("./history.js").Message} Message
 * @typedef {import("./session.js").Trouble} Trouble
 * @typedef {{label: string, action: string}} Action
 * @typedef {"" | "lost" | "stalled" | "stopped" | "failed"} Kind
 * @typedef {{kind: Kind, note: string, facts: string, actions: Action[], ticking: boolean}} Verdict  `ticking`: it counts seconds
 */

import { FINISHES, asksForToken, explain, figures, seconds } from "./texts.js";

/** After so many ms without news a reader wants to know. */
const QUIET = 10_000;

/**
 * @param {Message} message
 * @param {{trouble: Trouble | null, last: boolean, src: string, now: number}} about  `last`: it can be asked for again
 * @returns {Verdict}
 */
export function verdict(message, { trouble, last, src, now }) {
  return message.state === "running" ? onTheWay(message, trouble, now) : over(message, last, src, now);
}

/**
 * @param {Message} message
 * @param {Trouble | null} trouble
 * @param {number} now
 * @returns {Verdict}
 */
function onTheWay(message, trouble, now) {
  const still = { facts: "", ticking: true };
  if (trouble?.lost) {
    const { attempt, until } = trouble.lost;
    const left = Math.ceil((until - now) / 1000);
    const next = left > 0 && attempt > 1 ? `Trying again in ${left} s\u2026` : "Reconnecting\u2026";
    const actions = attempt > 1 ? [{ label: "Reconnect now", action: "reconnect" }] : [];
    return { ...still, kind: "lost", note: `Connection lost. ${next}`, actions };
  }
  const quiet = trouble ? now - trouble.since : 0;
  if (quiet < QUIET) return { ...still, kind: "", note: "", actions: [] };
  const what = message.text || message.reasoning ? "Nothing new" : "No word yet";
  const note = `${what} for ${seconds(Math.floor(quiet / 1000) * 1000)}. Still connected, waiting for the model.`;
  return { ...still, kind: "stalled", note, actions: [] };
}

/**
 * @param {Message} message
 * @param {boolean} last
 * @param {string} src
 * @param {number} now
 * @returns {Verdict}
 */
function over(message, last, src, now) {
  const { state, error, finish, text } = message;
  /** @type {Action[]} */
  const actions = [];
  if (text) actions.push({ label: "Copy", action: "copy" });
  /** @type {[Kind, string]} */
  let [kind, note] = ["", ""];
  if (state === "stopped") {
    [kind, note] = ["stopped", text || message.reasoning ? "You stopped this answer." : "You stopped this answer before it began."];
  } else if (state === "failed" && error) {
    [kind, note] = ["failed", explain(error, src)];
    const token = asksForToken(error);
    if (token) actions.push({ label: "Enter token", action: "token" });
    if (message.stream && (token || error.kind === "cut")) actions.push({ label: "Continue", action: "resume" });
  } else if (finish && FINISHES[finish]) [kind, note] = ["stopped", FINISHES[finish]];
  else if (!text && !message.tools?.length && !message.refusal) [kind, note] = ["stopped", "The model gave no answer."];
  const wait = last ? Math.ceil(((error?.until ?? 0) - now) / 1000) : 0;
  if (wait > 0) note += ` Try again in ${wait} s.`;
  else if (last) actions.push({ label: "Try again", action: "retry" });
  if (last && error?.status === 413) actions.push({ label: "New conversation", action: "new" });
  return { kind, note, facts: figures(message), actions, ticking: wait > 0 };
}
