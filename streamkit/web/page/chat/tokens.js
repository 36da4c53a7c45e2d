/**
 * The inside of a paragraph, in pieces: characters, code, links, emphasis; and how much of it can still become something else.
 *
 * @typedef {object} Token
 * @property {number} start  where its source begins
 * @property {number} end
 * @property {string} [text]         characters
 * @property {string} [code]
 * @property {boolean} [br]
 * @property {{address: string, label: string, image: boolean, plain: boolean}} [link]  `plain`: its label has no markup
 * @property {string} [delimiter]    `*`, `_` or `~`, then `count`, `opens`, `closes`
 * @property {number} [count]
 * @property {boolean} [opens]
 * @property {boolean} [closes]
 * @property {{tag: string, opening: boolean}[]} [marks]  the ends of emphasis that a run of delimiters became
 */

import { flanks, lastCharacter, pair } from "./emphasis.js";
import { bareAddress, bracketed, halfAddress, safeAddress } from "./links.js";
import { REACH } from "./reach.js";

/**
 * @param {string} source
 * @param {string} before  the character before it
 * @param {boolean} final  whether the text ends here
 * @param {number} depth   of links around it
 * @returns {{tokens: Token[], certain: number}}  `certain`: what comes before it can change no more
 */
export function tokenize(source, before, final, depth) {
  /** @type {Token[]} */
  const tokens = [];
  const length = source.length;
  let at = 0;
  let from = 0; // of the characters not yet in a token
  let undecided = length;
  /** @type {Map<string, number>} */
  const nowhere = new Map(); // what is known not to come again
  const chars = (/** @type {number} */ end) => {
    if (end > from) tokens.push({ start: from, end, text: source.slice(from, end) });
    from = end;
  };
  /** Where `what` comes next, looked for once. */
  const find = (/** @type {string} */ what, /** @type {number} */ start) => {
    const known = nowhere.get(what);
    if (known !== undefined && known >= start) return known === length ? -1 : known;
    const found = source.indexOf(what, start);
    nowhere.set(what, found < 0 ? length : found);
    return found;
  };
  /** Whether what begins at `start` may still be closed by text that is not here yet; if so, all from there on waits. */
  const waits = (/** @type {number} */ start) => {
    if (final || length - start > REACH) return false;
    undecided = Math.min(undecided, start);
    return true;
  };
  const put = (/** @type {number} */ start, /** @type {number} */ end, /** @type {Partial<Token>} */ what) => {
    chars(start);
    tokens.push({ start, end, ...what });
    at = from = end;
  };

  scan: for (; at < length; ) {
    const char = source[at];
    switch (char) {
      case "\\": {
        const next = source[at + 1];
        if (next === undefined) waits(at);
        else if (next === "(" || next === "[") {
          // TeX, as models write it: shown as it is, so that nothing in it is taken for markup.
          const close = find(next === "(" ? "\\)" : "\\]", at + 2);
          if (close >= 0 && close + 2 - at <= REACH) {
            at = close + 2;
            continue;
          }
          if (close < 0 && waits(at)) at = length;
          else at += 2;
          continue;
        } else if (next === "\n" || /[!-/:-@[-`{-~]/.test(next)) {
          chars(at);
          tokens.push({ start: at, end: at + 2, text: next });
          at = from = at + 2;
          continue;
        }
        break;
      }
      case "`": {
        let run = 1;
        while (source[at + run] === "`") run++;
        let close = at + run;
        const ticks = "`".repeat(run);
        for (;;) {
          close = find(ticks, close);
          if (close < 0) break;
          let size = run;
          while (source[close + size] === "`") size++;
          if (size === run) break;
          close += size;
        }
        if (close + run === length) waits(at); // the run may grow
        // One more than it needs: the character that shows that the run is whole.
        if (close >= 0 && close + run + 1 - at <= REACH) {
          let inner = source.slice(at + run, close).replaceAll("\n", " ");
          if (/^ .*[^ ].* $/.test(inner)) inner = inner.slice(1, -1);
          put(at, close + run, { code: inner });
        } else if (close < 0 && waits(at)) {
          if (at + run === length) break scan;
          put(at, length, { code: source.slice(at + run) });
        } else at += run;
        continue;
      }
      case "!":
      case "[": {
        const image = char === "!";
        if (image && source[at + 1] !== "[") {
          if (at + 1 === length) waits(at);
          break;
        }
        const found = bracketed(source, at + (image ? 1 : 0), find);
        if (found === null) {
          if (waits(at) && source.length - at > 1) {
            // Likely a link: its text is shown, its address not before it is whole.
            const close = source.indexOf("](", at);
            if (close > 0) {
              put(at, length, { text: source.slice(at + (image ? 2 : 1), close) });
              continue;
            }
          }
          at += image ? 2 : 1;
          continue;
        }
        const far = found.end - at > REACH;
        const address = found.address === null || far || depth > 0 ? null : safeAddress(found.address);
        if (address === null) {
          at += image ? 2 : 1;
          continue;
        }
        put(at, found.end, { link: { address, label: found.label, image, plain: false } });
        continue;
      }
      case "<": {
        const rest = source.slice(at, at + REACH);
        const br = /^<br ?\/?>/i.exec(rest);
        if (br) {
          put(at, at + br[0].length, { br: true });
          continue;
        }
        const auto = /^<([a-z]+:[^\s<>]+)>/i.exec(rest);
        const address = auto && depth === 0 ? safeAddress(auto[1]) : null;
        if (auto && address) {
          put(at, at + auto[0].length, { link: { address, label: auto[1], image: false, plain: true } });
          continue;
        }
        if (/^<(?:br? ?\/?|[a-z]*(?::[^\s<>]*)?)?$/i.test(rest)) waits(at);
        break;
      }
      case "*":
      case "_":
      case "~": {
        let run = 1;
        while (source[at + run] === char) run++;
        if (at + run === length) waits(at);
        if (char === "~" && run !== 2) {
          at += run;
          continue;
        }
        const previous = lastCharacter(source.slice(Math.max(0, at - 2), at)) || before;
        const next = at + run < length ? String.fromCodePoint(/** @type {number} */ (source.codePointAt(at + run))) : "";
        chars(at);
        tokens.push({ start: at, end: at + run, delimiter: char, count: run, ...flanks(char, previous, next) });
        at = from = at + run;
        continue;
      }
      case "h":
      case "H": {
        if (depth > 0 || /[\p{L}\p{N}]/u.test(at > 0 ? source[at - 1] : before)) break;
        const found = bareAddress(source, at);
        if (found === null) break;
        if (found.text === "") {
          at += found.reach;
          continue;
        }
        if (at + found.reach === length) waits(at);
        if (found.address === null) break;
        put(at, at + found.text.length, { link: { address: found.address, label: found.text, image: false, plain: true } });
        continue;
      }
    }
    at++;
  }
  if (!final && /[\ud800-\udbff]/.test(source[length - 1])) waits(length - 1); // half a character
  if (!final && depth === 0) {
    const half = halfAddress(source);
    if (half >= 0) waits(half);
  }
  chars(length);
  const pairs = pair(tokens);
  if (!final) {
    for (const token of tokens) if (token.delimiter && token.opens && token.count && waits(token.start)) break;
    // Emphasis around something undecided waits with it; from the innermost outwards.
    pairs.sort((a, b) => b.start - a.start);
    for (const { start, end } of pairs) if (start < undecided && undecided < end) undecided = start;
  }
  return { tokens: splitAt(tokens, undecided), certain: undecided };
}

/**
 * Cut the token of characters that reaches over `position`, so that what is before it can be kept.
 * @param {Token[]} tokens
 * @param {number} position
 */
function splitAt(tokens, position) {
  const index = tokens.findIndex((token) => token.start < position && token.end > position);
  if (index < 0) return tokens;
  const token = tokens[index];
  if (token.text === undefined) return tokens;
  const size = position - token.start;
  const parts = [
    { start: token.start, end: position, text: token.text.slice(0, size) },
    { start: position, end: token.end, text: token.text.slice(size) },
  ];
  return [...tokens.slice(0, index), ...parts, ...tokens.slice(index + 1)];
}
