/** Emphasis: which runs of `*`, `_` and `~` belong together. */

import { REACH } from "./reach.js";

const PUNCTUATION = /[!-/:-@[-`{-~\p{P}\p{S}]/u;
const TAG = { 1: "em", 2: "strong", "~": "s" };

/** @typedef {import("./tokens.js").Token} Token */

/**
 * Whether a run of delimiters can open or close emphasis: https://spec.commonmark.org/0.31.2/#left-flanking-delimiter-run;
 * and `2*3*4` is arithmetic.
 * @param {string} char
 * @param {string} before
 * @param {string} after
 */
export function flanks(char, before, after) {
  const blankBefore = before === "" || /\s/.test(before);
  const blankAfter = after === "" || /\s/.test(after);
  const markBefore = PUNCTUATION.test(before);
  const markAfter = PUNCTUATION.test(after);
  const left = !blankAfter && (!markAfter || blankBefore || markBefore);
  const right = !blankBefore && (!markBefore || blankAfter || markAfter);
  if (char === "_") return { opens: left && (!right || markBefore), closes: right && (!left || markAfter) };
  if (/\d/.test(before) && /\d/.test(after)) return { opens: false, closes: false };
  return { opens: left, closes: right };
}

/** @param {string} text */
export function lastCharacter(text) {
  return [...text].pop() ?? "";
}

/**
 * Match openers and closers: https://spec.commonmark.org/0.31.2/#phase-2-inline-structure, without its rule of three.
 * @param {Token[]} tokens
 * @returns {{start: number, end: number}[]}  what each emphasis spans
 */
export function pair(tokens) {
  /** @type {Token[]} */
  let open = [];
  /** @type {Record<string, number>} */
  const standing = { "*": 0, _: 0, "~": 0 };
  const pairs = [];
  for (const token of tokens) {
    if (!token.delimiter) continue;
    const kind = token.delimiter;
    while (token.closes && /** @type {number} */ (token.count) > 0 && standing[kind] > 0) {
      let index = open.length - 1;
      while (open[index].delimiter !== kind) index--;
      const opener = open[index];
      // What stands open between the two can no longer be closed; nor can what is out of reach, with one character to spare.
      const near = token.end + 1 - opener.start <= REACH;
      for (const lost of open.splice(near ? index + 1 : index)) {
        standing[/** @type {string} */ (lost.delimiter)]--;
        lost.opens = false;
      }
      if (!near) continue;
      const size = Math.min(2, /** @type {number} */ (token.count), /** @type {number} */ (opener.count));
      const tag = TAG[kind === "~" ? "~" : /** @type {1 | 2} */ (size)];
      (token.marks ??= []).push({ tag, opening: false });
      (opener.marks ??= []).unshift({ tag, opening: true });
      token.count = /** @type {number} */ (token.count) - size;
      opener.count = /** @type {number} */ (opener.count) - size;
      pairs.push({ start: opener.start, end: token.end });
      if (opener.count === 0) {
        open.pop();
        standing[kind]--;
      }
    }
    if (/** @type {number} */ (token.count) > 0 && token.opens) {
      open.push(token);
      standing[kind]++;
    }
  }
  return pairs;
}
