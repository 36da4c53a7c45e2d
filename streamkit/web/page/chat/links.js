/**
 * Links: which addresses are let through, how they are written. No link leads elsewhere than to http, https and mailto, and no
 * image is loaded: it is a link.
 */

import { REACH } from "./reach.js";

const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const LONGEST_URL = 800;
const BARE_URL = /https?:\/\/[^\s<>"`|\\]{1,800}/iy; // LONGEST_URL
// What may still become the beginning of an address: it is kept back at the end of a write.
const HALF_URL = /(?<![a-z0-9])h(?:t(?:t(?:p(?:s?(?::(?:\/\/?)?)?)?)?)?)?$/i;

/**
 * The absolute address if a link may lead there, else null. Control characters and blanks are judged as the browser would.
 * @param {string} text
 */
export function safeAddress(text) {
  try {
    const url = new URL(text.trim());
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative, or none at all: it would lead into the page that shows it
  }
}

/**
 * @param {string} address
 * @param {(Node | string)[]} children
 */
export function link(address, ...children) {
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.rel = "noopener noreferrer nofollow";
  anchor.target = "_blank"; // leaving the page would end the stream
  anchor.title = address;
  anchor.append(...children);
  return anchor;
}

/**
 * `[label](address "title")` from its bracket on, or null. An address of null: it is closed, and no link.
 * @param {string} source
 * @param {number} start
 * @param {(what: string, start: number) => number} find
 * @returns {{label: string, address: string | null, end: number} | null}
 */
export function bracketed(source, start, find) {
  const nearest = find("]", start);
  if (nearest < 0 || nearest - start > REACH) return null;
  let depth = 0;
  let close = start;
  for (const limit = Math.min(source.length, start + REACH); close < limit; close++) {
    const char = source[close];
    if (char === "\\") close++;
    else if (char === "[") depth++;
    else if (char === "]" && --depth === 0) break;
  }
  if (source[close] !== "]" || close + 1 >= source.length) return null;
  const label = source.slice(start + 1, close);
  if (source[close + 1] !== "(") return { label, address: null, end: close + 1 };
  depth = 0;
  for (let at = close + 1, limit = Math.min(source.length, close + REACH * 2); at < limit; at++) {
    const char = source[at];
    if (char === "\n") return { label, address: null, end: at };
    if (char === "\\") at++;
    else if (char === "(") depth++;
    else if (char === ")" && --depth === 0) {
      const inside = /^\s*(?:<([^<>]*)>|(\S*))(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*$/.exec(source.slice(close + 2, at));
      return { label, address: inside ? (inside[1] ?? inside[2]) : null, end: at + 1 };
    }
  }
  return source.length - close < REACH * 2 ? null : { label, address: null, end: close + 1 };
}

/**
 * An address that stands in the text as it is: where it ends, and how much of that is the sentence's; null if there is none.
 * @param {string} source
 * @param {number} start
 */
export function bareAddress(source, start) {
  BARE_URL.lastIndex = start;
  const found = BARE_URL.exec(source)?.[0];
  if (found === undefined) return null;
  const text = found.length < LONGEST_URL ? trimmed(found) : "";
  return { reach: found.length, text, address: safeAddress(text) };
}

/**
 * Where, at its end, an address may have begun; -1: nowhere.
 * @param {string} source
 */
export function halfAddress(source) {
  const half = HALF_URL.exec(source.slice(-10));
  return half ? source.length - half[0].length : -1;
}

/**
 * An address as people write it in a sentence: without the sentence's full stop or bracket.
 * @param {string} text
 */
function trimmed(text) {
  for (;;) {
    const last = text[text.length - 1];
    if (last === ")" && text.split("(").length >= text.split(")").length) return text;
    if (!/[.,;:!?'")\]}*_~]/.test(last)) return text;
    text = text.slice(0, -1);
  }
}
